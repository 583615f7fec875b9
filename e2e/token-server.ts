import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { certify, signToken, type Identity } from '../apps/api/src/testing/tokens.ts';
import { FIXTURES } from '../fixtures/certificates.ts';
import { freePort } from '../scripts/processes.ts';

/** What somebody may do, by what `type:name` begins with. */
type Rights = Readonly<Record<string, readonly string[]>>;

export interface Account {
  readonly password: string;
  readonly rights: Rights;
}

export interface TokenServerOptions {
  readonly accounts: Readonly<Record<string, Account>>;
  /** Of those who do not log in. */
  readonly everybody: Rights;
}

/** What a client came for: who it was, and the scopes. */
export interface Asked {
  readonly account: string;
  readonly scopes: readonly string[];
}

export interface TokenServer {
  /** The `auth` section of an API that believes this server. */
  readonly auth: object;
  /** Every question so far. */
  readonly asked: readonly Asked[];
  stop(): Promise<void>;
}

const SERVICE = 'notary';
const ISSUER = 'the token server';
const LIFETIME = 300;

/**
 * Speaks the token protocol of the Docker registry: a GET with user and password, `service` and
 * `scope`; a token for as much of that as the user may do. A wrong password gets none; nobody in
 * particular gets a token, too, for what everybody may do.
 */
export async function startTokenServer(options: TokenServerOptions): Promise<TokenServer> {
  const directory = mkdtempSync(join(tmpdir(), 'token-server-'));
  const ca = await certify({ name: 'tokens CA', ca: true });
  const signer = await certify({ name: 'tokens', issuer: ca });
  const bundle = join(directory, 'bundle.pem');
  writeFileSync(bundle, ca.pem);

  const asked: Asked[] = [];
  const answer = async (req: IncomingMessage, res: ServerResponse) => {
    const account = login(req, options);
    if (account === undefined) {
      res.writeHead(401, { 'WWW-Authenticate': 'Basic realm="tokens"' }).end();
      return;
    }
    const { searchParams } = new URL(req.url ?? '', 'https://localhost');
    const scopes = searchParams.getAll('scope').flatMap((scope) => scope.split(' '));
    asked.push({ account, scopes });
    const rights = options.accounts[account]?.rights ?? options.everybody;
    const token = await issue(signer, account, searchParams.get('service'), scopes, rights);
    res.writeHead(200, { 'Content-Type': 'application/json' });
    res.end(JSON.stringify({ token, expires_in: LIFETIME, issued_at: new Date() }));
  };
  const server = createServer(
    {
      cert: readFileSync(join(FIXTURES, 'notary-server.crt')),
      key: readFileSync(join(FIXTURES, 'notary-server.key')),
    },
    (req, res) => {
      answer(req, res).catch((error: unknown) => res.destroy(error as Error));
    },
  );
  const port = await freePort();
  await new Promise<void>((resolve) => void server.listen(port, '127.0.0.1', resolve));

  return {
    auth: {
      type: 'token',
      options: {
        realm: `https://localhost:${port}/token`,
        service: SERVICE,
        issuer: ISSUER,
        rootcertbundle: bundle,
      },
    },
    asked,
    stop: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => void server.close(resolve));
      rmSync(directory, { recursive: true });
    },
  };
}

/** The name of who asks, empty for nobody; undefined for a wrong password. */
function login({ headers }: IncomingMessage, { accounts }: TokenServerOptions): string | undefined {
  const basic = /^Basic (.+)$/.exec(headers.authorization ?? '')?.[1];
  if (basic === undefined) return '';
  const [name = '', password] = Buffer.from(basic, 'base64').toString().split(':');
  return accounts[name]?.password === password ? name : undefined;
}

function issue(
  signer: Identity,
  sub: string,
  aud: string | null,
  scopes: readonly string[],
  rights: Rights,
): Promise<string> {
  const now = Math.floor(Date.now() / 1000);
  const claims = { iss: ISSUER, sub, aud, iat: now, nbf: now, exp: now + LIFETIME };
  const access = scopes.map((scope) => granted(scope, rights));
  return signToken(signer.privateKey, { alg: 'ES256', x5c: [signer.x5c] }, { ...claims, access });
}

/** As much of `type:name:action,action` as the rights allow. */
function granted(scope: string, rights: Rights): object {
  const [, type = '', name = '', wanted = ''] = /^([^:]+):(.+):([^:]+)$/.exec(scope) ?? [];
  const allowed = new Set(
    Object.entries(rights)
      .filter(([prefix]) => `${type}:${name}`.startsWith(prefix))
      .flatMap(([, actions]) => actions),
  );
  const isGranted = (action: string) => allowed.has(action) || allowed.has('*');
  return { type, name, actions: wanted.split(',').filter(isGranted) };
}
