import { signedUpdate } from './signed-update.ts';

export const snapshot = signedUpdate('snapshot', 'snapshot');
