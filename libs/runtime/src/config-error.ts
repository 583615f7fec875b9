/** A configuration that cannot be used; `message` is written for the operator. */
export class ConfigError extends Error {
  override readonly name: string = 'ConfigError';
}

/** A file that is not in its format: the old programs said so in another way (WIRE §14.2). */
export class UnparsableConfig extends ConfigError {
  override readonly name = 'UnparsableConfig';

  constructor(reason: string) {
    super(`Error parsing config: ${reason}`);
  }
}
