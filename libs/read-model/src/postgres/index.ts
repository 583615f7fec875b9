export { postgresReadModel, type PostgresOptions } from './read-model.ts';
