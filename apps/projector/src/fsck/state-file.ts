import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import { z } from 'zod';
import { findingSchema } from './finding.ts';

/** How far a run has got. */
const progress = z.object({
  format: z.literal(1),
  head: z.object({ position: z.number(), digest: z.string() }),
  /** Every repository up to this digest of its GUN is checked. */
  after: z.string(),
  events: z.number(),
  files: z.number(),
  repositories: z.number(),
  unprojected: z.number(),
  findings: z.array(findingSchema),
});

export type Progress = z.output<typeof progress>;

/** Where a run that was killed had got; undefined where there is no such file. Throws `SyntaxError`. */
export async function readProgress(file: string): Promise<Progress | undefined> {
  let text;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
  const read = progress.safeParse(JSON.parse(text));
  if (!read.success) throw new SyntaxError(`${file} is not the state of an fsck`);
  return read.data;
}

/** All or nothing: a kill leaves the file of before. */
export async function writeProgress(file: string, state: Progress): Promise<void> {
  await writeFile(`${file}.new`, JSON.stringify(state));
  await rename(`${file}.new`, file);
}

export async function removeProgress(file: string): Promise<void> {
  await rm(file, { force: true });
}
