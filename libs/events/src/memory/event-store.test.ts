import { describe } from 'vitest';
import { eventStoreContract } from '../event-store.contract.ts';
import { memoryEventStore } from './event-store.ts';

describe('the log in memory', () => {
  eventStoreContract(async () => {
    const events = memoryEventStore();
    // everybody shares the one process, so closing it is for the last
    const open = async () => ({ ...events, close: async () => {} });
    return { open, remove: () => events.close() };
  });
});
