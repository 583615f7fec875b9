import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ConfigError } from '@scrivener/runtime';
import { readServerConfig } from '../../apps/api/src/config.ts';
import { readProjectorConfig } from '../../apps/projector/src/config.ts';
import { readWorkerConfig } from '../../apps/signer-worker/src/config.ts';
import { verdictOf, type Target } from '../target.ts';

const ENVIRONMENT = { NOTARY_SIGNER_PASSPHRASE1: 'secret' };

/** Files of settings in one format, read by each of the programs. */
function configuration(format: 'json' | 'yaml' | 'toml', words: readonly string[]): Target {
  return {
    name: `config-${format}`,
    words: [
      ...words,
      'server',
      'http_addr',
      ':4443',
      'trust_service',
      'type',
      'local',
      'queue',
      'storage',
      'backend',
      'memory',
      'postgres',
      'db_url',
      'postgres://u:p@h/d',
      'logging',
      'level',
      'production',
      'true',
      'auth',
      'token',
      'options',
      'guard',
      'renewal',
      'limits',
    ],
    runs: 400,
    open: () => {
      const folder = mkdtempSync(join(tmpdir(), 'fuzz-config-'));
      const file = join(folder, `config.${format}`);
      return {
        run: async (input) => {
          writeFileSync(file, input);
          const verdicts = [
            await verdictOf(() => readServerConfig(file, ENVIRONMENT), ConfigError),
            await verdictOf(() => readWorkerConfig(file, ENVIRONMENT), ConfigError),
            await verdictOf(() => readProjectorConfig(file, ENVIRONMENT), ConfigError),
          ];
          return verdicts.includes('value') ? 'value' : 'refusal';
        },
        close: async () => rmSync(folder, { recursive: true }),
      };
    },
  };
}

export const configJson = configuration('json', ['{', '}', '[', ']', ':', ',', '"']);
export const configYaml = configuration('yaml', [
  ': ',
  '\n',
  '  ',
  '- ',
  '&a ',
  '*a',
  '<<: ',
  '!!js/function ',
  '|',
  '>',
  '---\n',
  '%YAML 1.2\n',
  '? ',
  '#',
]);
export const configToml = configuration('toml', [
  '[',
  ']',
  ' = ',
  '\n',
  '.',
  '[[',
  ']]',
  '"""',
  "'",
  '#',
  '1979-05-27',
  'inf',
]);
