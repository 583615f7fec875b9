/** Those who wait for the checkpoint to reach a position, and how far it is known to be. */
export interface PositionWaiters {
  /** True at once or as soon as `reached` says so; false when the time is over or on `close`. */
  wait(position: number, timeoutMs: number): Promise<boolean>;
  /** The checkpoint has reached `position`. */
  reached(position: number): void;
  /** Nothing is known any more: the connection that told us was away. */
  forget(): void;
  isWaiting(): boolean;
  close(): void;
}

export function positionWaiters(): PositionWaiters {
  interface Waiter {
    readonly position: number;
    readonly settle: (reached: boolean) => void;
  }
  const waiters = new Set<Waiter>();
  let known = 0;

  return {
    async wait(position, timeoutMs) {
      if (position <= known) return true;
      const { promise, resolve } = Promise.withResolvers<boolean>();
      const waiter = { position, settle: resolve };
      waiters.add(waiter);
      const timer = setTimeout(() => resolve(false), timeoutMs);
      try {
        return await promise;
      } finally {
        clearTimeout(timer);
        waiters.delete(waiter);
      }
    },

    reached(position) {
      known = Math.max(known, position);
      for (const waiter of waiters) if (waiter.position <= known) waiter.settle(true);
    },

    forget() {
      known = 0;
    },

    isWaiting: () => waiters.size > 0,

    close() {
      for (const waiter of waiters) waiter.settle(false);
    },
  };
}
