export { memoryReadModel } from './read-model.ts';
