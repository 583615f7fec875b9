declare const gun: unique symbol;

/**
 * Globally Unique Name: the name of one repository, e.g. `docker.io/library/alpine`.
 * Any text without `*`; case, slashes and blanks count. The empty text is no GUN.
 */
export type Gun = string & { readonly [gun]: true };

/** Brands `text`; `undefined` where it cannot be a GUN. */
export function parseGun(text: string): Gun | undefined {
  return text !== '' && !text.includes('*') ? (text as Gun) : undefined;
}
