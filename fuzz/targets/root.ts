import { signedUpdate } from './signed-update.ts';

export const root = signedUpdate('root', 'root');
