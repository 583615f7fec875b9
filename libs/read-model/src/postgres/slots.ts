/** Where a generation of the read model lies: `migrations/server/011_generations.sql`. */
export type Slot = 'a' | 'b';

/** The tables of one generation, and the row of `projections` that says how far it has got. */
export interface Tables {
  readonly projection: string;
  readonly metafiles: string;
  readonly changefeed: string;
  readonly expiries: string;
}

/** The first has the names from when there was but one. */
export const TABLES: Readonly<Record<Slot, Tables>> = {
  a: {
    projection: 'repositories',
    metafiles: 'metafiles',
    changefeed: 'changefeed',
    expiries: 'expiries',
  },
  b: {
    projection: 'repositories_b',
    metafiles: 'metafiles_b',
    changefeed: 'changefeed_b',
    expiries: 'expiries_b',
  },
};

export function otherSlot(slot: Slot): Slot {
  return slot === 'a' ? 'b' : 'a';
}

export function slotOf(projection: string): Slot {
  return projection === TABLES.a.projection ? 'a' : 'b';
}
