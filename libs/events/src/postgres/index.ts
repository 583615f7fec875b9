export { byIndex, lookAfter, promptly } from './connections.ts';
export { eventColumns, projectedColumns, recordedEvent, type EventRow } from './event-row.ts';
export { postgresEventStore, type PostgresOptions } from './event-store.ts';
export type { Ride, Rider } from './rider.ts';
export { listen, type Listener, type Listening } from './listen.ts';
