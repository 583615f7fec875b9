import { historySvg, rotationsOf } from '@scrivener/events/picture';
import { answer } from '../answer.ts';
import { withDeadline } from '../deadline.ts';
import type { Handler } from '../routes/route.ts';
import { notThere, type Past } from './at.ts';

/** `GET /_notary_server/v1/guns/{gun}/history.svg`: all that happened, for people to look at. */
export function getPicture(past: Past): Handler<'HistoryPicture'> {
  return async ({ gun }, { res }) => {
    const { events, streams, now, timeoutMs, turnstile } = past;
    const draw = async () => {
      const stream = await streams.read(gun);
      if (stream.length === 0) throw notThere('the repository has no events');
      return historySvg({ gun, stream, rotations: await rotationsOf(stream, events), now: now() });
    };
    const svg = await withDeadline(timeoutMs, () => turnstile.run(draw));
    answer(res, 200, HEADERS, svg);
  };
}

/** A browser that opens it runs nothing and fetches nothing, whatever is in it. */
const HEADERS = {
  'Content-Type': 'image/svg+xml; charset=utf-8',
  'Content-Security-Policy': "default-src 'none'; style-src 'unsafe-inline'; sandbox",
  'X-Content-Type-Options': 'nosniff',
  'Cache-Control': 'no-store',
};
