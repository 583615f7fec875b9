import { readJson, type Json, type JsonObject } from './json.ts';

/**
 * A file as real clients list it, in canonical JSON: nothing in it can be wrong. Its name has no escapes and
 * no surrogates, so that the order of UTF-16 units is that of bytes, and a double holds its length.
 */
const FILE =
  /"[ !#-[\]-\ud7ff\ue000-\uffff]*":\{"hashes":\{"sha256":"[A-Za-z0-9+/]{43}="(?:,"sha512":"[A-Za-z0-9+/]{86}==")?\},"length":(?:0|[1-9]\d{0,14})\}/y;

/** Stands for each of them where only its form matters. */
const SAMPLE: Json = new Map<string, Json>([
  ['hashes', new Map([['sha256', `${'A'.repeat(43)}=`]])],
  ['length', 0],
]);

const QUOTE = '"';
const COMMA = 0x2c;
const CLOSING_BRACE = 0x7d;

/**
 * The files of a targets role, each as `FILE` has it, in canonical order. They have been looked through, and
 * become objects only where somebody wants to know one: whoever judges an update does not, and of a large
 * one they are nearly all.
 */
export class PlainFiles extends Map<string, Json> {
  /** Undefined once it is read. */
  #text: string | undefined;

  private constructor(text: string) {
    super();
    this.#text = text;
  }

  /** Those that begin with the brace at `at`; undefined where there are none, or others among them. */
  static scan(text: string, at: number): { value: PlainFiles; end: number } | undefined {
    let last: string | undefined;
    for (let next = at + 1; ; next += 1) {
      FILE.lastIndex = next;
      if (!FILE.test(text)) return undefined;
      const name = text.slice(next + 1, text.indexOf(QUOTE, next + 1));
      if (last !== undefined && name <= last) return undefined;
      last = name;
      next = FILE.lastIndex;
      const behind = text.charCodeAt(next);
      if (behind === CLOSING_BRACE) {
        return { value: new PlainFiles(text.slice(at, next + 1)), end: next + 1 };
      }
      if (behind !== COMMA) return undefined;
    }
  }

  #read(): void {
    if (this.#text === undefined) return;
    const files = readJson(this.#text).value as JsonObject;
    this.#text = undefined;
    for (const [name, file] of files) super.set(name, file);
  }

  override get size(): number {
    this.#read();
    return super.size;
  }

  override get(name: string): Json | undefined {
    this.#read();
    return super.get(name);
  }

  override has(name: string): boolean {
    this.#read();
    return super.has(name);
  }

  override keys(): MapIterator<string> {
    this.#read();
    return super.keys();
  }

  override values(): MapIterator<Json> {
    this.#read();
    return super.values();
  }

  override entries(): MapIterator<[string, Json]> {
    this.#read();
    return super.entries();
  }

  override [Symbol.iterator](): MapIterator<[string, Json]> {
    return this.entries();
  }

  override forEach(visit: (file: Json, name: string, files: Map<string, Json>) => void): void {
    this.#read();
    super.forEach(visit);
  }
}

/** The members of an object whose forms there are: one for all of those that have the same. */
export function formsIn(object: JsonObject): Iterable<Json> {
  return object instanceof PlainFiles ? [SAMPLE] : object.values();
}
