import { signedUpdate } from './signed-update.ts';

export const targets = signedUpdate('targets', 'targets');
