export { draftOf, isStorableGun, type Draft } from './draft.ts';
export { EventLogError, type EventLogErrorCode } from './errors.ts';
export { emptyHead, eventHash, firstBrokenLink, type HashedEvent } from './event-hash.ts';
export { causeOf, documentOf, filesOf, readKeyids, type EventDocument } from './event-document.ts';
export { deserialise, serialise, type StoredEvent } from './event-json.ts';
export {
  WrongExpectedVersion,
  type AppendOptions,
  type EventStore,
  type RecordedEvent,
  type StreamHead,
  type Unsubscribe,
} from './event-store.ts';
export {
  deleteRepository,
  emptyRepository,
  evolve,
  evolveAll,
  publishUpdate,
  recordKey,
  renewRoles,
  restoreRepository,
  type Deletion,
  type NewKey,
  type NewMetafile,
  type Occasion,
  type Publication,
  type Repository,
  type Restoration,
  type ServerKey,
} from './repository.ts';
export type {
  Cause,
  KeyCreated,
  MetafileRef,
  RepositoryDeleted,
  RepositoryEvent,
  RepositoryRestored,
  RoleRenewed,
  UpdatePublished,
} from './repository-events.ts';
export { retold, withoutUndone } from './retold.ts';
export { readMoment, type Moment } from './moment.ts';
