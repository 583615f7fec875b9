export { changeRows } from './changefeed.ts';
export { ReadModelError, type ReadModelErrorCode } from './errors.ts';
export type {
  Alarm,
  ClaimQuery,
  Due,
  Expiries,
  ExpiriesQuery,
  Expiry,
  ExpiryPlace,
  ExpirySummary,
  Maker,
  RenewalPolicy,
} from './expiries.ts';
export type {
  Difference,
  Generations,
  RebuildOptions,
  RebuildProgress,
  Rebuilt,
  Serving,
} from './generations.ts';
export type {
  Change,
  ChangesQuery,
  ProjectedBatch,
  ProjectionLag,
  PublishedFile,
  ReadModel,
} from './read-model.ts';
export type { Memory, Reader, Readers } from './readers.ts';
export { runProjection, type ProjectionOptions } from './run-projection.ts';
export { expiryChanges, type ExpiryRow } from './expiries.ts';
export { metafileChanges, type MetafileRow } from './metafiles.ts';
