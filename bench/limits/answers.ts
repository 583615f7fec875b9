import { readFileSync, writeFileSync } from 'node:fs';
import { Connection, type Answer } from '../load/connection.ts';
import { again } from '../again.ts';

/** What the server that is measured answered: the limits serve the same bytes with the same headers. */
export interface KnownAnswer {
  readonly path: string;
  /** Names in lower case, without those of a connection. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body: Buffer;
}

const OF_THE_CONNECTION = new Set(['date', 'connection', 'keep-alive', 'transfer-encoding']);
const READERS = 8;

/** Asks for all of them, each again and again where it is not a 200. Throws where it stays so. */
export async function collectAnswers(
  url: string,
  ca: Buffer,
  paths: readonly string[],
): Promise<KnownAnswer[]> {
  const todo = [...paths];
  const answers: KnownAnswer[] = [];
  await Promise.all(
    Array.from({ length: READERS }, async () => {
      const connection = new Connection(url, ca);
      for (let path = todo.pop(); path !== undefined; path = todo.pop()) {
        const { headers, body } = await again(() => read(connection, path));
        const own = headers.filter(([name]) => !OF_THE_CONNECTION.has(name));
        answers.push({ path, headers: withLength(own, body), body });
      }
      connection.close();
    }),
  );
  return answers;
}

async function read(connection: Connection, path: string): Promise<Answer> {
  const answer = await connection.get(path);
  if (answer.status !== 200) {
    throw new Error(`GET ${path}: ${answer.status} ${answer.body.toString()}`);
  }
  return answer;
}

function withLength(headers: KnownAnswer['headers'], body: Buffer): KnownAnswer['headers'] {
  if (headers.some(([name]) => name === 'content-length')) return headers;
  return [...headers, ['content-length', String(body.length)]];
}

export function writeAnswers(file: string, answers: readonly KnownAnswer[]): void {
  const lines = answers.map((answer) =>
    JSON.stringify({ ...answer, body: answer.body.toString('base64') }),
  );
  writeFileSync(file, lines.join('\n'));
}

export function readAnswers(file: string): KnownAnswer[] {
  return readFileSync(file, 'utf8')
    .split('\n')
    .map((line) => {
      const answer = JSON.parse(line) as Omit<KnownAnswer, 'body'> & { readonly body: string };
      return { ...answer, body: Buffer.from(answer.body, 'base64') };
    });
}
