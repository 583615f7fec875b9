export type { Change, ChangesQuery, PublishedFile, ReadModel } from './read-model.ts';
