import { firstBrokenLink, type RecordedEvent, type RepositoryEvent } from '@scrivener/events';

/** The life of one repository as lines for people, and whether its chain of hashes is whole. */
export interface History {
  readonly lines: readonly string[];
  readonly intact: boolean;
}

/** `stream` has to be all of it, from the first event. */
export function historyOf(stream: readonly RecordedEvent[]): History {
  const broken = firstBrokenLink(stream);
  const rows = stream.map(({ position, version, event }) => {
    const who = event.cause.subject ?? event.cause.operator ?? '';
    return [String(position), String(version), event.at, event.type, who, what(event)];
  });
  const table = columns([['position', 'version', 'at', 'type', 'who', 'what'], ...rows]);
  const verdict =
    broken === undefined
      ? `${stream.length} events, every hash follows from the one before`
      : `the hash of version ${broken.version} (position ${broken.position}) does not follow: ` +
        'from there on, the log is not what was written';
  return { lines: [...table, verdict], intact: broken === undefined };
}

function what(event: RepositoryEvent): string {
  switch (event.type) {
    case 'KeyCreated':
      return `${event.data.role} ${event.data.key.keytype} ${event.data.keyid}`;
    case 'UpdatePublished':
    case 'RoleRenewed':
      return event.data.metafiles.map(({ role, version }) => `${role} ${version}`).join(', ');
    case 'RepositoryRestored':
      return `what version ${event.data.until} deleted`;
    case 'RepositoryDeleted':
      break;
  }
  return '';
}

function columns(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.max(...rows.map((row) => row[column]?.length ?? 0)),
  );
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
}
