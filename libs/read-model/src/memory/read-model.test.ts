import { memoryEventStore } from '@scrivener/events/memory';
import { describe } from 'vitest';
import { expiriesContract } from '../expiries.contract.ts';
import { readModelContract } from '../read-model.contract.ts';
import { memoryReadModel } from './read-model.ts';

const make = async () => {
  const events = memoryEventStore();
  const readModel = memoryReadModel(events);
  // everybody shares the one process, so closing it is for the last
  const open = async () => ({ ...readModel, close: async () => {} });
  return { events, open, remove: () => readModel.close() };
};

describe('the read model in memory', () => {
  readModelContract(make);
  describe('expiries', () => {
    expiriesContract(make);
  });
});
