import { decodeBase64 } from './base64.ts';
import { Refusal } from './errors.ts';

/** One block of a PEM file. */
export interface PemBlock {
  readonly label: string;
  readonly hasHeaders: boolean;
  readonly der: Uint8Array;
}

/** The blocks of a PEM file in order; text around them, and blocks that are broken, do not count. */
export function pemBlocks(bytes: Uint8Array): PemBlock[] {
  const blocks: PemBlock[] = [];
  let open: { label: string; lines: string[] } | undefined;
  for (const untrimmed of Buffer.from(bytes).toString('latin1').split('\n')) {
    const line = untrimmed.trimEnd();
    const [, boundary, label = ''] = /^-----(BEGIN|END) (.*)-----$/.exec(line) ?? [];
    if (boundary === undefined) {
      open?.lines.push(line);
      continue;
    }
    const block =
      boundary === 'END' && open?.label === label ? parseBlock(label, open.lines) : undefined;
    if (block !== undefined) blocks.push(block);
    open = boundary === 'BEGIN' ? { label, lines: [] } : undefined;
  }
  return blocks;
}

function parseBlock(label: string, lines: readonly string[]): PemBlock | undefined {
  const start = lines.findIndex((line) => !line.includes(':'));
  const headers = start === -1 ? lines.length : start;
  try {
    const der = decodeBase64(
      lines
        .slice(headers)
        .join('')
        .replaceAll(/[ \t\r]/g, ''),
    );
    return { label, hasHeaders: headers > 0, der };
  } catch (error) {
    if (error instanceof Refusal) return undefined;
    throw error;
  }
}

/** One certificate as PEM files have it: 64 columns and a final newline. */
export function certificatePem(der: Uint8Array): string {
  const base64 = Buffer.from(der)
    .toString('base64')
    .replaceAll(/.{1,64}/g, '$&\n');
  return `-----BEGIN CERTIFICATE-----\n${base64}-----END CERTIFICATE-----\n`;
}
