import type { JobsOptions } from 'bullmq';
import { z } from 'zod';
import type { Carrier } from '../trace.ts';

/*
 * A job carries its trace in the place that BullMQ keeps for that. BullMQ's own telemetry would also
 * make spans of every look at an idle queue, which is why it stays off.
 */

/** More is not looked at: whoever calls an API has a say in what is carried. */
const LONGEST = 1_000;

/** What is added to the options of a job. */
export type Carried = Pick<JobsOptions, 'telemetry'>;

export function carried(carrier: Carrier): Carried {
  if (Object.keys(carrier).length === 0) return {};
  const metadata = JSON.stringify(carrier);
  return metadata.length > LONGEST ? {} : { telemetry: { metadata } };
}

const carrier = z.record(z.string(), z.string());
const telling = z.object({ telemetry: z.object({ metadata: z.string().max(LONGEST) }) });

/** Whatever stands there: an empty carrier where it is of no use. */
export function carrierOf(options: unknown): Carrier {
  const metadata = telling.safeParse(options).data?.telemetry.metadata;
  if (metadata === undefined) return {};
  try {
    return carrier.safeParse(JSON.parse(metadata)).data ?? {};
  } catch {
    return {};
  }
}
