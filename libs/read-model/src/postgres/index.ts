export { postgresGenerations } from './generations.ts';
export { postgresReadModel, type PostgresOptions } from './read-model.ts';
