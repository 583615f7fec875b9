import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { Agent, request } from 'node:https';
import type { Gun, PublicKey, ServerRole } from '@scrivener/tuf';
import type { Part } from '@scrivener/tuf/testing';
import { CA_FILE } from '../fixtures/certificates.ts';

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  /** `errors[0].code` of an error document. */
  readonly code: string | undefined;
}

let agent: Agent | undefined;

/** Made when first needed: whoever runs this may have to make the certificates first. */
function keptAlive(): Agent {
  agent ??= new Agent({ keepAlive: true, ca: readFileSync(CA_FILE) });
  return agent;
}

/** `file` as in `…/_trust/tuf/{file}`. Rejects when the connection breaks. */
export function getFile(url: string, gun: Gun, file: string): Promise<Answer> {
  return exchange('GET', `${url}/v2/${gun}/_trust/tuf/${file}`);
}

/** Asks for the server's key of a role, and gives it as it goes into root. */
export async function getKey(url: string, gun: Gun, role: ServerRole): Promise<PublicKey> {
  const { status, body } = await getFile(url, gun, `${role}.key`);
  if (status !== 200) throw new Error(`no ${role} key: ${status} ${body.toString()}`);
  const { keytype, keyval } = JSON.parse(body.toString()) as {
    keytype: string;
    keyval: { public: string };
  };
  return { keytype, public: keyval.public };
}

/** Publishes in the form that the `notary` client sends. */
export function postUpdate(url: string, gun: Gun, parts: readonly Part[]): Promise<Answer> {
  const boundary = randomUUID();
  const body = Buffer.concat([
    ...parts.flatMap(({ role, bytes }) => [
      Buffer.from(
        `--${boundary}\r\nContent-Disposition: form-data; name="files"; filename="${role}"\r\n` +
          'Content-Type: application/octet-stream\r\n\r\n',
      ),
      bytes,
      Buffer.from('\r\n'),
    ]),
    Buffer.from(`--${boundary}--\r\n`),
  ]);
  return exchange('POST', `${url}/v2/${gun}/_trust/tuf/`, body, {
    'Content-Type': `multipart/form-data; boundary=${boundary}`,
  });
}

export function getChanges(url: string, records: number): Promise<Answer> {
  return exchange('GET', `${url}/v2/_trust/changefeed?records=${records}`);
}

/** One request and its answer. Rejects when the connection breaks. */
export function exchange(
  method: string,
  url: string,
  body?: Buffer,
  headers: Readonly<Record<string, string>> = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const options = { method, agent: keptAlive(), headers, timeout: 30_000 };
    const sent = request(url, options, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => resolve(answer(response, Buffer.concat(chunks))));
    });
    sent.on('timeout', () => sent.destroy(new Error(`${method} ${url} took longer than 30 s`)));
    sent.on('error', reject);
    sent.end(body);
  });
}

function answer({ statusCode: status = 0, headers }: IncomingMessage, body: Buffer): Answer {
  return { status, headers, body, code: status < 400 ? undefined : errorCode(body.toString()) };
}

function errorCode(text: string): string | undefined {
  try {
    const document = JSON.parse(text) as { errors?: readonly { code: string }[] };
    return document.errors?.[0]?.code;
  } catch {
    return undefined;
  }
}
