import { ConfigError } from './config-error.ts';

/** Where to listen. */
export interface ListenAddress {
  /** Every interface where there is none. */
  readonly host?: string;
  readonly port: number;
  /** As the configuration has it: `:4443`. */
  readonly written: string;
}

/** The setting `metrics_addr`: empty for nowhere. Throws `ConfigError`. */
export function parseMetricsAddress(written: string): ListenAddress | undefined {
  return written === '' ? undefined : parseAddress(written);
}

/** `:4443`, `localhost:4443`, `[::1]:4443`. Throws `ConfigError` in the words of WIRE §14.3. */
export function parseAddress(written: string): ListenAddress {
  const match = /^(?:\[([^\]]*)\]|([^:]*)):([^:]*)$/.exec(written);
  if (match === null) throw new ConfigError(`address ${written}: missing port in address`);
  const [, bracketed, plain, port = ''] = match;
  if (!/^\d+$/.test(port)) throw new ConfigError(`address tcp/${port}: unknown port`);
  if (Number(port) > 65_535) throw new ConfigError(`address ${port}: invalid port`);
  const host = bracketed ?? plain ?? '';
  return { port: Number(port), written, ...(host !== '' && { host }) };
}
