import { join } from 'node:path';

/** The clone's folder. */
export const ROOT = join(import.meta.dirname, '..');

/** Programs fetched once and kept; may be deleted at any time. Git-ignored. */
export const CACHE = join(ROOT, '.cache');
