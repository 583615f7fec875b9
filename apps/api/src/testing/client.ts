import { parseGun, type Gun, type PublicKey, type ServerRole } from '@scrivener/tuf';
import { createPublisher, type Part, type Publisher } from '@scrivener/tuf/testing';
import { z } from 'zod';
import type { Answer, RequestOptions, TestServer } from './server.ts';

export function gunOf(text: string): Gun {
  const gun = parseGun(text);
  if (gun === undefined) throw new Error(`${text} is no GUN`);
  return gun;
}

/** A form as the original client sends it. */
export function formOf(parts: readonly Part[]): RequestOptions {
  const pieces = parts.flatMap(({ role, bytes }) => [
    `--form\r\nContent-Disposition: form-data; name="files"; filename="${role}"\r\n`,
    'Content-Type: application/octet-stream\r\n\r\n',
    bytes,
    '\r\n',
  ]);
  const body = Buffer.concat([...pieces, '--form--\r\n'].map((piece) => Buffer.from(piece)));
  return { headers: { 'Content-Type': 'multipart/form-data; boundary=form' }, body };
}

export function post(server: TestServer, gun: Gun, parts: readonly Part[]): Promise<Answer> {
  return server.request('POST', `/v2/${encodeURI(gun)}/_trust/tuf/`, formOf(parts));
}

const keyDocument = z.object({ keytype: z.string(), keyval: z.object({ public: z.string() }) });

export async function keyOf(server: TestServer, gun: Gun, role: ServerRole): Promise<PublicKey> {
  const { body } = await server.request('GET', `/v2/${encodeURI(gun)}/_trust/tuf/${role}.key`);
  const { keytype, keyval } = keyDocument.parse(JSON.parse(body));
  return { keytype, public: keyval.public };
}

export interface FirstPublishOptions {
  readonly now?: Date;
  /** The owner signs snapshots; the server where absent. */
  readonly ownSnapshot?: boolean;
}

/** A new repository with a root, targets and server-held timestamp; its owner. */
export async function firstPublish(
  server: TestServer,
  gun: Gun,
  { now = new Date(), ownSnapshot = false }: FirstPublishOptions = {},
): Promise<Publisher> {
  const timestamp = await keyOf(server, gun, 'timestamp');
  const snapshot = ownSnapshot ? undefined : await keyOf(server, gun, 'snapshot');
  const serverKeys = { timestamp, ...(snapshot && { snapshot }) };
  const owner = createPublisher(gun, { serverKeys, now });
  const files = [owner.root(), owner.targets({ first: 'content' })];
  const { status, body } = await post(
    server,
    gun,
    ownSnapshot ? [...files, owner.snapshot()] : files,
  );
  if (status !== 200) throw new Error(`the first publish of ${gun} was refused: ${body}`);
  return owner;
}
