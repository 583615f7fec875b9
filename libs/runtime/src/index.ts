export { refuseWords, UsageError, type CommandLine } from './command-line.ts';
export { ConfigError, readConfig, resolveBeside, type ConfigSource } from './config.ts';
export { waitForDatabase, type WaitOptions } from './database.ts';
export { isDatabaseTrouble } from './database-trouble.ts';
export { createLogger, logLevel, type Logger, type LogLevel } from './logger.ts';
export { migrate, MigrationError } from './migrate.ts';
export { runProgram } from './program.ts';
export { drainOnSignal } from './shutdown.ts';
