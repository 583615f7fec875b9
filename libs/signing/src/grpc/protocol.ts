import { fileURLToPath } from 'node:url';
import { loadSync, type ServiceDefinition } from '@grpc/proto-loader';
import { z } from 'zod';

/*
 * The messages of the old Signer as they come out of Protocol Buffers: text and bytes that were not
 * sent are empty, messages that were not sent are null. Both sides parse what they receive.
 */

const [signerFile, healthFile] = ['signer.proto', 'health.proto'].map((name) =>
  fileURLToPath(new URL(name, import.meta.url)),
);

const definitions = loadSync([signerFile ?? '', healthFile ?? ''], {
  keepCase: true,
  defaults: true,
  enums: String,
});

function service(name: string): ServiceDefinition {
  const definition = definitions[name];
  if (definition === undefined || 'format' in definition) throw new Error(`no service ${name}`);
  return definition;
}

export const keyManagementService = service('proto.KeyManagement');
export const signerService = service('proto.Signer');
export const healthService = service('grpc.health.v1.Health');

const bytes = z.custom<Uint8Array>((value) => value instanceof Uint8Array, 'not bytes');
const keyID = z.object({ ID: z.string() });
const algorithm = z.object({ algorithm: z.string() });
const keyInfo = z.object({ keyID: keyID.nullable(), algorithm: algorithm.nullable() });

const createKeyRequest = z.object({ algorithm: z.string(), gun: z.string(), role: z.string() });
const publicKey = z.object({ keyInfo: keyInfo.nullable(), publicKey: bytes });
const getKeyInfoResponse = z.object({ ...publicKey.shape, role: z.string() });
const signatureRequest = z.object({ keyID: keyID.nullable(), content: bytes });
const signature = z.object({
  keyInfo: keyInfo.nullable(),
  algorithm: algorithm.nullable(),
  content: bytes,
});
const healthCheckRequest = z.object({ service: z.string() });
const healthCheckResponse = z.object({
  status: z.enum(['UNKNOWN', 'SERVING', 'NOT_SERVING', 'SERVICE_UNKNOWN']),
});

export type PublicKeyMessage = z.output<typeof publicKey>;
export type SignatureMessage = z.output<typeof signature>;
export type ServingStatus = z.output<typeof healthCheckResponse>['status'];

/** One call: how it is named and written, and what either side may expect. */
export interface Method<Request = unknown, Response = unknown> {
  /** As in logs: `Signer/Sign`. */
  readonly name: string;
  readonly definition: ServiceDefinition[string];
  readonly request: z.ZodType<Request>;
  readonly response: z.ZodType<Response>;
}

function method<Request, Response>(
  service: ServiceDefinition,
  name: string,
  request: z.ZodType<Request>,
  response: z.ZodType<Response>,
): Method<Request, Response> {
  const definition = service[name];
  if (definition === undefined) throw new Error(`no call ${name}`);
  return { name: definition.path.replace(/^\/(.*\.)?/, ''), definition, request, response };
}

export const createKey = method(keyManagementService, 'CreateKey', createKeyRequest, publicKey);
export const deleteKey = method(keyManagementService, 'DeleteKey', keyID, z.object({}));
export const getKeyInfo = method(keyManagementService, 'GetKeyInfo', keyID, getKeyInfoResponse);
export const sign = method(signerService, 'Sign', signatureRequest, signature);
export const checkHealth = method(healthService, 'Check', healthCheckRequest, healthCheckResponse);
export const watchHealth = method(healthService, 'Watch', healthCheckRequest, healthCheckResponse);

/** The names that a Signer answers for (SIGNER §1.4); an old Server asks for both, one by one. */
export const HEALTH_OF_KEY_MANAGEMENT = 'grpc.health.v1.Health.KeyManagement';
export const HEALTH_OF_SIGNER = 'grpc.health.v1.Health.Signer';
