import { z } from 'zod';

/**
 * What may be wrong.
 *
 * - `log`: positions have a gap or come twice, or the head of the log is not its last position
 * - `chain`: an event is missing from its stream, there twice, out of order, or its hash does not
 *   follow from the one before: `column` says what was changed, as far as that can be told
 * - `event`: a row that is no event, or not as it was written
 * - `file`: the bytes of a metafile are missing, or not those that the event names
 * - `signature`, `link`: see `Flaw` of libs/tuf
 * - `read-model`: what GETs see is not what the log says
 * - `recorded-head`: the log is not the one whose head was recorded
 */
export const FINDING_KINDS = [
  'log',
  'chain',
  'event',
  'file',
  'signature',
  'link',
  'read-model',
  'recorded-head',
] as const;

export interface Finding {
  readonly kind: (typeof FINDING_KINDS)[number];
  readonly reason: string;
  /** Where in the log. */
  readonly position?: number;
  readonly gun?: string;
  /** Where in the stream of that repository. */
  readonly version?: number;
  readonly role?: string;
  /** Of `events`, or the table that differs. */
  readonly column?: string;
}

/** As it stands in a report. */
export const findingSchema = z.object({
  kind: z.enum(FINDING_KINDS),
  reason: z.string(),
  position: z.number().exactOptional(),
  gun: z.string().exactOptional(),
  version: z.number().exactOptional(),
  role: z.string().exactOptional(),
  column: z.string().exactOptional(),
});

/** One line for people; control characters in names are escaped. */
export function describeFinding(finding: Finding): string {
  const { kind, position, gun, version, role, column, reason } = finding;
  const places = [
    position !== undefined && `position ${position}`,
    gun !== undefined && JSON.stringify(gun),
    version !== undefined && `version ${version}`,
    role,
    column !== undefined && `column ${column}`,
  ].filter((place) => place !== undefined && place !== false);
  return `${kind}: ${[...places, ''].join(', ').replace(/, $/, ': ')}${reason}`;
}
