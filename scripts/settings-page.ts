// Writes docs/settings.md from the schemas of the settings: `npm run settings`.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { FLAGS, settingRows } from '@scrivener/runtime';
import { SERVER_PREFIX, serverSettings } from '../apps/api/src/config.ts';
import { PROJECTOR_PREFIX, projectorSettings } from '../apps/projector/src/config.ts';
import { SIGNER_PREFIX, signerSettings } from '../apps/signer-worker/src/config.ts';
import { ROOT } from './places.ts';

export const SETTINGS_PAGE = join(ROOT, 'docs', 'settings.md');

type Schema = Parameters<typeof settingRows>[0];

const INTRODUCTION = `# Command line and settings

<!-- Made by \`npm run settings\` from the schemas in apps/*/src/config.ts: change those. -->

## Command line

\`notary-server\`, \`notary-signer\` and \`projector\` take these flags, with one dash or two, and \`-config=FILE\` as well as
\`-config FILE\`:

${flags()}

A command line that makes no sense ends with exit 2; settings that cannot be used, with exit 1 and a line of log at level
\`fatal\`. SIGTERM and SIGINT finish what is in hand, then exit 0. SIGUSR1 has the log say more, SIGUSR2 less, by one level.
The log is on stderr. With several processes (\`server.workers\`) signals go to the one that was started, and \`-debug\` shows the first of the
others. With \`-debug\`, and for somebody on the same machine only:

\`\`\`sh
curl localhost:8080/debug/vars                               # process, event loop, heap, queue, pools of connections
curl localhost:8080/debug/health                             # what fails, if anything
curl -o cpu.pb.gz 'localhost:8080/debug/pprof/profile?seconds=10'
curl -o heap.pb.gz localhost:8080/debug/pprof/heap           # both for \`go tool pprof\` and its like
\`\`\`

## File and variables

The programs read a file that \`-config\` names: JSON, YAML or TOML, by its extension (\`.json\`, \`.yaml\` or \`.yml\`,
\`.toml\`). The names are those of the old Notary, and its files load as they are, or the one line of a refusal says what
to change. \`notary-server\` needs a file; \`notary-signer\` and \`projector\` start without one where variables say it all.

- A dot in a name stands for a section: \`storage.db_url\` is \`db_url\` in \`storage\`. Names of sections may be in any case,
  and a whole path may stand at the top (\`"storage.db_url": …\`). What nobody knows is ignored.
- A variable overrides the file; an empty one does not. One that would replace a whole section is refused.
- Paths of files are relative to the file of settings, or to where the program runs if there is none. Only
  \`auth.options.rootcertbundle\` is always relative to where the program runs.
- A list may be written as one text with blanks between its members; numbers and \`true\` may be text, too.

\`-check-config\` checks all of it without starting anything, and prints what is in effect, with secrets masked; what it
ignores is named on stderr. \`-help\` prints this list.
`;

function flags(): string {
  const rows = Object.entries(FLAGS).map(([name, flag]) => {
    const value = 'value' in flag ? ` ${flag.value}` : '';
    return `| \`-${name}${value}\` | ${flag.says} |`;
  });
  return ['| Flag | |', '| --- | --- |', ...rows].join('\n');
}

/** What stands in docs/settings.md. */
export function settingsPage(): string {
  return [
    INTRODUCTION,
    table('notary-server', 'The API.', serverSettings, SERVER_PREFIX),
    table(
      'notary-signer',
      'A signer worker. The passphrase of an alias is in the variable `NOTARY_SIGNER_<ALIAS>`; a key stays readable as long as\nthat of the alias it was sealed under is set.',
      signerSettings,
      SIGNER_PREFIX,
    ),
    table(
      'projector',
      'It reads the file and the variables of the server, and what it has no use for is ignored.',
      projectorSettings,
      PROJECTOR_PREFIX,
    ),
  ].join('\n');
}

function table(name: string, about: string, schema: Schema, prefix: string): string {
  const rows = settingRows(schema, prefix).map(({ name, variable, byDefault, description }) =>
    [
      `\`${name}\``,
      byDefault === undefined ? '' : `\`${byDefault}\``,
      description,
      variable === undefined ? 'none' : `\`${variable}\``,
    ].join(' | '),
  );
  return [
    `## ${name}\n`,
    `${about}\n`,
    '| Setting | Default | | Variable |',
    '| --- | --- | --- | --- |',
    ...rows.map((row) => `| ${row} |`),
    '',
  ].join('\n');
}

if (import.meta.main) writeFileSync(SETTINGS_PAGE, settingsPage());
