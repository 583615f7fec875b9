/** Something the person at the keyboard can put right; `message` is one line that says how. */
export class SetUpError extends Error {
  override readonly name = 'SetUpError';
}
