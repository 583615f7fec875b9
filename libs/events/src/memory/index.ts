export { memoryEventStore } from './event-store.ts';
