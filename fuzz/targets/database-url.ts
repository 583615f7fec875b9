import { ConfigError, parseAddress, parseDatabaseUrl } from '@scrivener/runtime';
import { textOf, verdictOf, type Target } from '../target.ts';

/** `storage.db_url`, in both of its forms, and addresses to listen on. */
export const databaseUrl: Target = {
  name: 'database-url',
  words: [
    'postgres://',
    'postgresql://',
    '@',
    ':',
    '/',
    '?',
    '&',
    'sslmode=',
    'verify-full',
    'sslrootcert=',
    'host=',
    'user=',
    'password=',
    "'",
    '\\',
    ' ',
    '%',
    '%zz',
    '[::1]',
  ],
  runs: 3_000,
  open: () => ({
    run: async (input) => {
      const text = textOf(input);
      await verdictOf(() => parseAddress(text), ConfigError);
      return verdictOf(() => parseDatabaseUrl(text), ConfigError);
    },
  }),
};
