export { ReadModelError, type ReadModelErrorCode } from './errors.ts';
export type {
  Change,
  ChangesQuery,
  ProjectedBatch,
  ProjectionLag,
  PublishedFile,
  ReadModel,
} from './read-model.ts';
export { runProjection, type ProjectionOptions } from './run-projection.ts';
