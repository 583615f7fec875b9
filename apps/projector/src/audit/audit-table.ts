import type { Cause } from '@scrivener/events';
import type { AuditEntry } from './audit-entry.ts';

export interface TableForm {
  /** Everything in full, for terminals and pagers that are wide. */
  readonly isWide: boolean;
  /** Whether repositories are told apart: not where there is one. */
  readonly hasGuns: boolean;
}

interface Column {
  readonly title: string;
  readonly width: number;
  readonly align?: 'right';
  /** Whose end says more than its beginning. */
  readonly keepsEnd?: boolean;
  readonly only?: 'wide' | 'narrow';
  readonly of: (entry: AuditEntry) => string;
}

/** Of checksums and ids, what is enough to find them by. */
const SHORT = 8;

const GUN: Column = {
  title: 'REPOSITORY',
  width: 24,
  keepsEnd: true,
  of: ({ event }) => event.gun,
};
const COLUMNS: readonly Column[] = [
  { title: 'POSITION', width: 8, align: 'right', of: ({ position }) => `${position}` },
  {
    title: 'VERSION',
    width: 7,
    align: 'right',
    only: 'wide',
    of: ({ version }) => `${version}`,
  },
  { title: 'TIME', width: 20, of: ({ event }) => event.at },
  GUN,
  { title: 'KIND', width: 18, of: ({ event }) => event.type },
  {
    title: 'WHO',
    width: 16,
    only: 'narrow',
    of: ({ event: { cause } }) => whoOf(cause),
  },
  {
    title: 'SUBJECT',
    width: 16,
    only: 'wide',
    of: ({ event: { cause } }) => cause.subject ?? cause.operator ?? '',
  },
  {
    title: 'CERTIFICATE',
    width: 24,
    only: 'wide',
    of: ({ event: { cause } }) => cause.certificate ?? '',
  },
  {
    title: 'ADDRESS',
    width: 15,
    only: 'wide',
    of: ({ event: { cause } }) => cause.remoteAddress ?? '',
  },
  { title: 'REQUEST', width: SHORT, of: ({ event: { cause } }) => cause.requestId ?? '' },
  { title: 'TRACE', width: 32, only: 'wide', of: ({ event: { cause } }) => cause.traceId ?? '' },
];

export function titlesOf(form: TableForm): string {
  return columnsOf(form)
    .map(({ title, width, align }) => (align ? title.padStart(width) : title.padEnd(width)))
    .join('  ')
    .trimEnd();
}

/** A line for the event, and one below it for each file and key. */
export function linesOf(entry: AuditEntry, form: TableForm): readonly string[] {
  const cells = columnsOf(form).map((column) => {
    const text = printable(
      column.title === 'TIME' && !form.isWide ? seconds(entry) : column.of(entry),
    );
    const cell = form.isWide ? text : cut(text, column);
    return column.align ? cell.padStart(column.width) : cell.padEnd(column.width);
  });
  return [cells.join('  ').trimEnd(), ...detailsOf(entry, form)];
}

function columnsOf({ isWide, hasGuns }: TableForm): readonly Column[] {
  return COLUMNS.filter((column) => {
    if (column === GUN) return hasGuns;
    return column.only === undefined || (column.only === 'wide') === isWide;
  });
}

function detailsOf({ event, files }: AuditEntry, { isWide }: TableForm): readonly string[] {
  const short = (id: string) => (isWide ? id : id.slice(0, SHORT));
  const indent = ' '.repeat(10);
  if (event.type === 'KeyCreated') {
    const { role, keyid, key } = event.data;
    return [`${indent}${role} key ${short(keyid)}, ${printable(key.keytype)}`];
  }
  const lines = files.map(({ ref, keyids }) => {
    const signed =
      keyids === undefined
        ? 'cannot be read'
        : `signed by ${keyids.map((id) => printable(short(id))).join(', ')}`;
    const file = `${printable(ref.role)} ${ref.version}`.padEnd(24);
    return `${indent}${file}  sha256 ${short(ref.sha256)}  ${signed}`;
  });
  const reason =
    event.cause.reason === undefined ? '' : `, because: ${printable(event.cause.reason)}`;
  return event.type === 'RepositoryRestored'
    ? [`${indent}what version ${event.data.until} deleted${reason}`, ...lines]
    : lines;
}

const whoOf = ({ subject, operator, certificate, remoteAddress }: Cause) =>
  subject ?? operator ?? certificate ?? remoteAddress ?? '';

const seconds = ({ event: { at } }: AuditEntry) => `${at.slice(0, 19)}Z`;

function cut(text: string, { width, keepsEnd = false }: Column): string {
  if (text.length <= width) return text;
  if (width <= SHORT) return text.slice(0, width);
  return keepsEnd ? `…${text.slice(1 - width)}` : `${text.slice(0, width - 1)}…`;
}

/** Names that others chose must not move the cursor of a terminal, or turn the direction of writing. */
function printable(text: string): string {
  return text.replaceAll(
    /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu,
    (character) => `\\u{${character.codePointAt(0)?.toString(16)}}`,
  );
}
