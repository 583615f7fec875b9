export type { AnsweredCall } from './calls.ts';
export {
  createRemoteSigner,
  type RemoteSigner,
  type RemoteSignerHealth,
  type RemoteSignerOptions,
} from './remote-signer.ts';
export { serveGrpcSigner, type GrpcServeOptions, type ServedGrpcSigner } from './serve-signer.ts';
export type { ClientTls, ServerTls } from './tls.ts';
