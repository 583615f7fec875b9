#!/usr/bin/env node
// What npm installs as a command. Whoever is to be watched is loaded after the one who watches.

await import('@scrivener/runtime/telemetry');
await import('./main.ts');

export {};
