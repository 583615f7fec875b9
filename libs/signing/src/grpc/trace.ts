import { Metadata } from '@grpc/grpc-js';
import type { Carrier } from '../trace.ts';

/** What a call says beside its message. An old Signer, and any other, passes over it. */
export function metadataOf(carrier: Carrier): Metadata {
  const metadata = new Metadata();
  for (const [name, value] of Object.entries(carrier)) metadata.set(name, value);
  return metadata;
}

/** The part of a call's metadata that W3C Trace Context defines. */
export function carrierOf(metadata: Metadata): Carrier {
  const [traceparent] = metadata.get('traceparent');
  return typeof traceparent === 'string' ? { traceparent } : {};
}
