// Loaded before a program by `node --import`: its clock is wrong by as many milliseconds as the file
// named by TORTURE_CLOCK says. Timers go on as they would; databases keep the true time.

import { readFileSync } from 'node:fs';

const file = process.env['TORTURE_CLOCK'];
const offset = file === undefined ? 0 : Number(readFileSync(file, 'utf8'));

if (offset !== 0) {
  const TrueDate = Date;
  const now = () => TrueDate.now() + offset;
  globalThis.Date = new Proxy(TrueDate, {
    construct: (target, given: unknown[], newTarget: new () => Date) =>
      Reflect.construct(target, given.length === 0 ? [now()] : given, newTarget) as Date,
    apply: () => new TrueDate(now()).toString(),
    get: (target, name, receiver) =>
      name === 'now' ? now : (Reflect.get(target, name, receiver) as unknown),
  });
}
