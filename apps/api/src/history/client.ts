import type { IncomingMessage } from 'node:http';
import { BlockList, isIP, isIPv4, type Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import type { Cause } from '@scrivener/events';

/** What events note about who is connected. */
type Client = Pick<Cause, 'certificate' | 'certificateSha256' | 'remoteAddress'>;

export type ClientOf = (request: IncomingMessage) => Client;

export interface AuditSettings {
  /** Whether events note where a request came from. */
  readonly remoteAddress: boolean;
  /** Those whose `X-Forwarded-For` is believed. */
  readonly trustedProxies: BlockList;
}

/**
 * Tells what is known about the other end of a connection: the certificate that TLS has verified
 * (never what a header says about one), and its address where the operator wants that.
 */
export function createClientOf(
  { remoteAddress, trustedProxies }: AuditSettings = {
    remoteAddress: false,
    trustedProxies: new BlockList(),
  },
): ClientOf {
  const seen = new WeakMap<Socket, Client>();
  const certificateOf = (socket: Socket): Client => {
    const known = seen.get(socket);
    if (known !== undefined) return known;
    const read = readCertificate(socket);
    seen.set(socket, read);
    return read;
  };
  return ({ socket, headers }) => {
    const client = certificateOf(socket);
    if (!remoteAddress) return client;
    const forwarded = String(headers['x-forwarded-for'] ?? '');
    const address = addressOf(socket.remoteAddress ?? '', forwarded, trustedProxies);
    return address === undefined ? client : { ...client, remoteAddress: address };
  };
}

/** A subject is whatever a CA signed; one that is longer is cut. */
const MAX_SUBJECT = 500;

function readCertificate(socket: Socket): Client {
  if (!(socket instanceof TLSSocket) || !socket.authorized) return {};
  const certificate = socket.getPeerX509Certificate();
  if (certificate === undefined) return {};
  const subject = certificate.subject ?? ''; // Node has none where the certificate has none
  return {
    certificate: subject
      .replaceAll(/\p{Cc}+/gu, ', ')
      .slice(0, MAX_SUBJECT)
      .toWellFormed(),
    certificateSha256: certificate.fingerprint256.replaceAll(':', '').toLowerCase(),
  };
}

/**
 * The address that the last proxy we trust was asked from. `X-Forwarded-For` is read from its end,
 * for each proxy adds there what it saw; what stands before the first stranger is anybody's.
 */
function addressOf(peer: string, forwarded: string, trusted: BlockList): string | undefined {
  const hops = forwarded.split(',').map((hop) => plain(hop.trim()));
  let address = plain(peer);
  while (isIP(address) !== 0 && isTrusted(address, trusted)) {
    const before = hops.pop();
    if (before === undefined || isIP(before) === 0) break;
    address = before;
  }
  return isIP(address) === 0 ? undefined : address;
}

function isTrusted(address: string, trusted: BlockList): boolean {
  return trusted.check(address, isIPv4(address) ? 'ipv4' : 'ipv6');
}

/** An IPv4 address that came over a socket for both kinds is shown as what it is. */
function plain(address: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address);
  return mapped?.[1] ?? address;
}

/** Reads addresses and networks; `wrong` is the first that is neither. */
export function parseNetworks(texts: readonly string[]): {
  readonly networks: BlockList;
  readonly wrong?: string;
} {
  const networks = new BlockList();
  for (const text of texts) if (!add(networks, text)) return { networks, wrong: text };
  return { networks };
}

function add(networks: BlockList, text: string): boolean {
  const [address = '', prefix, ...more] = text.split('/');
  const family = isIPv4(address) ? 'ipv4' : 'ipv6';
  const longest = family === 'ipv4' ? 32 : 128;
  const length = prefix ?? String(longest);
  if (isIP(address) === 0 || more.length > 0) return false;
  if (!/^\d{1,3}$/.test(length) || Number(length) > longest) return false;
  networks.addSubnet(address, Number(length), family);
  return true;
}
