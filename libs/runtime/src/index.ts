export { parseAddress, parseMetricsAddress, type ListenAddress } from './address.ts';
export { FLAGS, parseOptions, refuseWords, UsageError, type CommandLine } from './command-line.ts';
export { readConfig, resolveBeside, type ConfigSource } from './config.ts';
export { ConfigError } from './config-error.ts';
export { waitForDatabase, type WaitOptions } from './database.ts';
export { showPool, type Debug } from './debug-server.ts';
export { isDatabaseTrouble } from './database-trouble.ts';
export { parseDatabaseUrl, USE_INSTEAD } from './database-url.ts';
export { createLogger, logLevel, type Logger, type LogLevel } from './logger.ts';
export { migrate, MigrationError } from './migrate.ts';
export { refuseDevelopment } from './production.ts';
export { runCommand, runProgram, type Context } from './program.ts';
export {
  parseRedis,
  readJobKeys,
  redisShape,
  tlsClientShape,
  type RedisSettings,
} from './redis-settings.ts';
export { settingRows, type SettingRow } from './settings-text.ts';
export { flag, list, port, seconds, text, whole } from './settings.ts';
export { drainOnSignal } from './shutdown.ts';
export {
  openReason,
  readCa,
  readClientTls,
  readServerPair,
  readText,
  reasonOf,
  type Beside,
  type ClientTls,
  type TlsFiles,
} from './tls-files.ts';
export type { Group } from './workers/group.ts';
