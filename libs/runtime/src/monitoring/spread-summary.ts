import { Summary, type Registry } from 'prom-client';
import { Spread, type SpreadState } from './spread.ts';

const QUANTILES = [0.5, 0.9, 0.99];

export interface SpreadSummaryOptions {
  readonly name: string;
  readonly help: string;
  readonly label: string;
  /** The values of the label that are there from the start. */
  readonly values: readonly string[];
  readonly register: Registry;
}

/** All of a summary, as it is told to another process. */
export interface SummaryState {
  readonly name: string;
  readonly help: string;
  readonly label: string;
  readonly rows: readonly (readonly [value: string, spread: SpreadState])[];
}

/** A summary with one label, for next to nothing; labels in alphabetical order, as scrapers of the old server saw them. */
export class SpreadSummary extends Summary {
  readonly #spreads = new Map<string, Spread>();
  readonly #options: Pick<SpreadSummaryOptions, 'name' | 'help' | 'label'>;

  constructor({ name, help, label, values, register }: SpreadSummaryOptions) {
    // What several processes have seen is put together from their states, not from their quantiles.
    super({ name, help, labelNames: [label], aggregator: 'omit', registers: [register] });
    this.#options = { name, help, label };
    for (const value of values) this.#spreads.set(value, new Spread());
  }

  /** Counts a value for one of the label's values; nothing for any other. */
  add(labelled: string, value: number): void {
    this.#spreads.get(labelled)?.add(value);
  }

  merge({ rows }: Pick<SummaryState, 'rows'>): void {
    for (const [labelled, state] of rows) {
      const spread = this.#spreads.get(labelled) ?? new Spread();
      this.#spreads.set(labelled, spread);
      spread.merge(state);
    }
  }

  get state(): SummaryState {
    const rows = [...this.#spreads].map(([labelled, spread]) => [labelled, spread.state] as const);
    return { ...this.#options, rows };
  }

  override async get(): ReturnType<Summary['get']> {
    const { name, label } = this.#options;
    const values = [...this.#spreads].flatMap(([labelled, spread]) => [
      ...QUANTILES.map((quantile) => {
        return { labels: { [label]: labelled, quantile }, value: spread.quantile(quantile) };
      }),
      { metricName: `${name}_sum`, labels: { [label]: labelled }, value: spread.sum },
      { metricName: `${name}_count`, labels: { [label]: labelled }, value: spread.count },
    ]);
    return { ...(await super.get()), values };
  }
}
