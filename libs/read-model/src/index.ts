export { ReadModelError, type ReadModelErrorCode } from './errors.ts';
export type { Change, ChangesQuery, PublishedFile, ReadModel } from './read-model.ts';
export { runProjection, type ProjectionOptions } from './run-projection.ts';
