import type { Troubles } from '@scrivener/runtime/monitoring';
import { answer, JSON_TEXT } from '../answer.ts';
import { jsonText } from '../json-text.ts';
import type { Handler } from './route.ts';

/** `GET /_notary_server/health` and its kin: 200 `{}`, or 503 and what is wrong by the name of its check. */
export function getHealth<Op extends 'Health' | 'Live' | 'Ready'>(
  health: () => Promise<Troubles>,
): Handler<Op> {
  return async (_route, { res }) => {
    const wrong = await health();
    const status = Object.keys(wrong).length === 0 ? 200 : 503;
    answer(res, status, { 'Content-Type': JSON_TEXT }, jsonText(wrong));
  };
}
