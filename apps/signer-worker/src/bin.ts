#!/usr/bin/env node
// What npm installs as a command.

// oxlint-disable-next-line import/no-unassigned-import -- it watches what is loaded after it
import '@scrivener/runtime/telemetry';

await import('./main.ts');
