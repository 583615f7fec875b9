import { z } from 'zod';
import { answer, JSON_TEXT } from '../answer.ts';
import type { Operation } from '../paths.ts';
import { expiringPage } from '../routes/expiring.ts';
import type { Handler } from '../routes/route.ts';
import { diffDocument } from './diff.ts';
import { eventsPage } from './events.ts';

/** What stands elsewhere: the old routes (a contract of their own), health and metrics. */
type Elsewhere =
  | 'Version'
  | 'UpdateTUF'
  | 'GetRoleByHash'
  | 'GetRoleByVersion'
  | 'GetRole'
  | 'GetKey'
  | 'RotateKey'
  | 'DeleteTUF'
  | 'Changefeed'
  | 'Health'
  | 'Live'
  | 'Ready'
  | 'Metrics'
  | 'NotFound';

/** The operations below `/_notary_server/v1`. A new one does not compile until it is described. */
type Described = Exclude<Operation, Elsewhere>;

const errorDocument = z.strictObject({
  errors: z
    .array(
      z.strictObject({
        code: z
          .string()
          .describe('such as `INVALID_PARAMETERS`, `METADATA_NOT_FOUND`, `UNAUTHORIZED`'),
        message: z.string(),
        detail: z.unknown().optional(),
      }),
    )
    .length(1),
});

type JsonSchema = Readonly<Record<string, unknown>>;

/** The schema of what is sent, so members with defaults are there. */
function schemaOf(shape: z.ZodType): JsonSchema {
  const { $schema: _, ...schema } = z.toJSONSchema(shape, { target: 'draft-2020-12' });
  return schema;
}

const REFUSALS = {
  400: 'a parameter makes no sense: `INVALID_PARAMETERS`; `detail` names it',
  401: 'no token, or none that allows this; `WWW-Authenticate` names the one to ask for',
  404: 'there is nothing: `METADATA_NOT_FOUND`; `detail` says why',
  503: 'a store was away, or too many wait: ask again after `Retry-After` seconds',
} as const;

type Status = keyof typeof REFUSALS;

function refusals(...statuses: readonly Status[]) {
  return Object.fromEntries(
    statuses.map((status) => [
      String(status),
      {
        description: REFUSALS[status],
        content: { 'application/json': { schema: { $ref: '#/components/schemas/Error' } } },
      },
    ]),
  );
}

function query(name: string, description: string, schema: JsonSchema, required = false) {
  return { name, in: 'query', description, required, schema };
}

function inPath(name: string, description: string) {
  return {
    name,
    in: 'path',
    description,
    required: true,
    schema: { type: 'string', minLength: 1 },
  };
}

const GUN = inPath('gun', 'name of a repository; its slashes stand as they are');
const MOMENT_TEXT =
  'a position of the log (the state after that event; 0: before the first) or an RFC 3339 time, not in the future';
const LIMIT = (byDefault: number, maximum: number) =>
  query('limit', 'how many', { type: 'integer', minimum: 1, maximum, default: byDefault });
const json = (schema: JsonSchema) => ({ 'application/json': { schema } });
const PULL = 'For who may pull the repository, and for administrators (`registry:catalog:*`).';

interface Description {
  readonly path: string;
  readonly summary: string;
  readonly description: string;
  readonly methods: readonly ('get' | 'head')[];
  readonly parameters: readonly unknown[];
  readonly responses: Readonly<Record<string, unknown>>;
  /** Whether it is for everybody even where tokens are asked for. */
  readonly isOpen?: true;
}

const unchanged = { description: 'the client has it already (`If-None-Match`)' };

const described: Readonly<Record<Described, Description>> = {
  Expiring: {
    path: '/_notary_server/v1/expiring',
    summary: 'What expires soon',
    description: 'Soonest first. For administrators (`registry:catalog:*`).',
    methods: ['get'],
    parameters: [
      query('within', 'hours or days from now', {
        type: 'string',
        pattern: '^[0-9]{1,9}[hd]$',
        default: '30d',
      }),
      query('made_by', 'who signs it', { enum: ['client', 'server'], default: 'client' }),
      LIMIT(100, 1_000),
      query('after', '`next` of the page before', { type: 'string' }),
    ],
    responses: {
      200: { description: 'a page', content: json(schemaOf(expiringPage)) },
      ...refusals(400, 401, 503),
    },
  },
  Events: {
    path: '/_notary_server/v1/events',
    summary: 'What happened, in the order of commits and without a gap',
    description:
      'Pages, long polls (`wait`) or server-sent events (`stream`, or `Accept: text/event-stream`). A token shows the repositories that it may pull, an administrator’s all; positions of others are stepped over, so a client goes on at `next` and never counts itself. Each server-sent event has its position as `id` and an event as `data`; an `id` without data says how far the log has been read. A stream ends with the token, when the server stops, and for clients that do not read: come back with `Last-Event-ID`.',
    methods: ['get'],
    parameters: [
      query('after', 'only events with a higher position', {
        type: 'integer',
        minimum: 0,
        default: 0,
      }),
      LIMIT(100, 1_000),
      query('gun', 'only this repository', { type: 'string' }),
      query('wait', 'seconds to wait for the first event', {
        type: 'integer',
        minimum: 0,
        maximum: 30,
        default: 0,
      }),
      query('stream', '1: server-sent events; 0: never', { enum: ['0', '1'] }),
      {
        name: 'Last-Event-ID',
        in: 'header',
        description: 'of a stream, instead of `after`: the last `id` that was received',
        schema: { type: 'string', pattern: '^[0-9]{1,15}$' },
      },
    ],
    responses: {
      200: {
        description: 'a page, or a stream',
        content: {
          ...json(schemaOf(eventsPage)),
          'text/event-stream': {
            schema: { type: 'string', description: 'each `data` is one of `events` of a page' },
          },
        },
      },
      ...refusals(400, 401, 404, 503),
    },
  },
  HistoryAt: {
    path: '/_notary_server/v1/guns/{gun}/at/{moment}/{role}.json',
    summary: 'The bytes of a role that were current then',
    description: `Also of what has been deleted since. By position they never change; \`Content-Location\` names the position that a time led to. ${PULL}`,
    methods: ['get', 'head'],
    parameters: [
      GUN,
      inPath('moment', MOMENT_TEXT),
      inPath(
        'role',
        '`root`, `targets`, `snapshot`, `timestamp`, or a delegation such as `targets/releases`',
      ),
    ],
    responses: {
      200: {
        description: 'TUF metadata, to the byte',
        headers: {
          ETag: { schema: { type: 'string' } },
          'Content-Location': { schema: { type: 'string' } },
        },
        content: { 'text/plain; charset=utf-8': { schema: { type: 'string' } } },
      },
      304: unchanged,
      ...refusals(400, 401, 404, 503),
    },
  },
  HistoryDiff: {
    path: '/_notary_server/v1/guns/{gun}/diff',
    summary: 'What came, went and changed between two moments, and by whom',
    description: `Targets come in pages; for the pages to go together give positions. ${PULL}`,
    methods: ['get'],
    parameters: [
      GUN,
      query('from', MOMENT_TEXT, { type: 'string' }, true),
      query('to', `${MOMENT_TEXT}; now where absent`, { type: 'string' }),
      LIMIT(1_000, 10_000),
      query('after', '`next` of the page before', { type: 'integer', minimum: 0, default: 0 }),
    ],
    responses: {
      200: { description: 'the differences', content: json(schemaOf(diffDocument)) },
      ...refusals(400, 401, 404, 503),
    },
  },
  HistoryPicture: {
    path: '/_notary_server/v1/guns/{gun}/history.svg',
    summary: 'A picture of all that happened',
    description: PULL,
    methods: ['get', 'head'],
    parameters: [GUN],
    responses: {
      200: {
        description: 'SVG without scripts, fonts and links',
        content: { 'image/svg+xml; charset=utf-8': { schema: { type: 'string' } } },
      },
      ...refusals(401, 404, 503),
    },
  },
  OpenApi: {
    path: '/_notary_server/v1/openapi.json',
    summary: 'This description',
    description: 'For everybody.',
    methods: ['get'],
    parameters: [],
    responses: {
      200: { description: 'OpenAPI 3.1', content: json({ type: 'object', required: ['openapi'] }) },
    },
    isOpen: true,
  },
};

/** OpenAPI 3.1 of all routes below `/_notary_server/v1`; each operation is named as in `paths.ts`. */
export function describeApi() {
  const paths = Object.entries(described).map(([operation, { path, methods, isOpen, ...rest }]) => {
    const entry = (method: string) => ({
      operationId: method === 'get' ? operation : `${operation}Head`,
      ...rest,
      ...(isOpen && { security: [] }),
    });
    return [path, Object.fromEntries(methods.map((method) => [method, entry(method)]))] as const;
  });
  return {
    openapi: '3.1.1',
    info: {
      title: 'Scrivener: what a Notary server knows about the past and the near future',
      version: '1',
      license: { name: 'Apache 2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: '/' }],
    security: [{}, { token: [] }],
    paths: Object.fromEntries(paths),
    components: {
      schemas: { Error: schemaOf(errorDocument) },
      securitySchemes: {
        token: {
          type: 'http',
          scheme: 'bearer',
          bearerFormat: 'JWT',
          description:
            'of the token server that a 401 names; only where the server asks for tokens',
        },
      },
    },
  };
}

/** `GET /_notary_server/v1/openapi.json`. */
export function getOpenApi(): Handler<'OpenApi'> {
  const body = `${JSON.stringify(describeApi(), null, 2)}\n`;
  return (_route, { res }) => {
    answer(res, 200, { 'Content-Type': JSON_TEXT, 'Cache-Control': 'max-age=300' }, body);
  };
}
