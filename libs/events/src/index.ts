export {
  WrongExpectedVersion,
  type EventStore,
  type RecordedEvent,
  type StreamHead,
  type Unsubscribe,
} from './event-store.ts';
export type {
  Cause,
  KeyCreated,
  MetafileRef,
  RepositoryDeleted,
  RepositoryEvent,
  RoleRenewed,
  UpdatePublished,
} from './repository-events.ts';
