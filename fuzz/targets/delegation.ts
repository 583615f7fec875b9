import { signedUpdate } from './signed-update.ts';

export const delegation = signedUpdate('delegation', 'targets/a');
