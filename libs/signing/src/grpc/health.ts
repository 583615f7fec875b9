import { setTimeout as delay } from 'node:timers/promises';
import {
  status,
  type handleServerStreamingCall,
  type handleUnaryCall,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import type { KeyStore } from '../key-store.ts';
import {
  checkHealth,
  HEALTH_OF_KEY_MANAGEMENT,
  HEALTH_OF_SIGNER,
  watchHealth,
  type ServingStatus,
} from './protocol.ts';

export interface Health {
  readonly calls: UntypedServiceImplementation;
  /** Ends all watches. */
  close(): void;
}

/** A store that has not answered by then is down; in milliseconds. */
const CHECK_LIMIT = 1_000;
/** How soon a watcher hears of a change. */
const WATCH_PAUSE = 1_000;

/** All services stand and fall with the keys; the empty name means the program as a whole. */
const SERVICES: ReadonlySet<string> = new Set(['', HEALTH_OF_KEY_MANAGEMENT, HEALTH_OF_SIGNER]);

/** Asked anew each time, where the old Signer said SERVING whatever the state of its database. */
export function createHealth(keys: Pick<KeyStore, 'check'>): Health {
  const closing = new AbortController();

  const check: handleUnaryCall<unknown, { status: ServingStatus }> = (call, respond) => {
    const { service } = checkHealth.request.parse(call.request);
    if (SERVICES.has(service)) {
      void state(keys).then((status) => respond(null, { status }));
    } else {
      respond({ code: status.NOT_FOUND, details: 'unknown service' });
    }
  };

  const watch: handleServerStreamingCall<unknown, { status: ServingStatus }> = (call) => {
    const { service } = watchHealth.request.parse(call.request);
    const over = new AbortController();
    call.on('cancelled', () => over.abort());
    const signal = AbortSignal.any([over.signal, closing.signal]);
    const look = async (): Promise<ServingStatus> =>
      SERVICES.has(service) ? state(keys) : 'SERVICE_UNKNOWN';
    void tellChanges(look, signal, (status) => call.write({ status })).then(() => call.end());
  };

  return { calls: { Check: check, Watch: watch }, close: () => closing.abort() };
}

async function tellChanges(
  look: () => Promise<ServingStatus>,
  signal: AbortSignal,
  tell: (status: ServingStatus) => void,
): Promise<void> {
  let told: ServingStatus | undefined;
  while (!signal.aborted) {
    const now = await look();
    if (now !== told && !signal.aborted) tell(now);
    told = now;
    await delay(WATCH_PAUSE, undefined, { signal }).catch(() => {});
  }
}

async function state(keys: Pick<KeyStore, 'check'>): Promise<ServingStatus> {
  const answered = new AbortController();
  const late = delay(CHECK_LIMIT, 'NOT_SERVING' as const, { signal: answered.signal });
  const asked = keys.check().then(
    () => 'SERVING' as const,
    () => 'NOT_SERVING' as const,
  );
  const status = await Promise.race([asked, late]);
  late.catch(() => {});
  answered.abort();
  return status;
}
