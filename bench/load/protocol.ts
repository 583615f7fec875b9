import type { Sample } from '../series.ts';

/** What the load client is asked to do; it answers each with `Told`, in order. */
export type Order =
  | { readonly do: 'open'; readonly url: string; readonly caFile: string }
  /** Makes a pool of collections, each published once. Answers with their GUNs. */
  | { readonly do: 'create'; readonly pool: string; readonly size: number; readonly files: number }
  | {
      readonly do: 'publish';
      readonly pool: string;
      readonly clients: number;
      readonly ms: number;
    }
  /** Publishes to every collection of a pool until each has so many versions. Answers with nothing. */
  | { readonly do: 'age'; readonly pool: string; readonly versions: number }
  /** First publishes of new collections: two keys asked for, one update sent. */
  | { readonly do: 'init'; readonly files: number; readonly clients: number; readonly ms: number }
  /** Pulls (four reads each) of one pool; every so many requests one is a publish to the other. */
  | {
      readonly do: 'mix';
      readonly paths: readonly string[];
      readonly pool: string;
      readonly publishEvery: number;
      readonly clients: number;
      readonly ms: number;
    };

export type Told =
  | { readonly ok: true; readonly guns?: readonly string[]; readonly result?: Sample }
  | { readonly ok: false; readonly message: string };
