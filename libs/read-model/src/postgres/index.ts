export { postgresGenerations } from './generations.ts';
export { openPastSchema, type PastSchema } from './past.ts';
export { postgresReadModel, type PostgresOptions } from './read-model.ts';
