export { ConfigError, readConfig, resolveBeside, type ConfigSource } from './config.ts';
export { createLogger, logLevel, type Logger, type LogLevel } from './logger.ts';
export { drainOnSignal } from './shutdown.ts';
