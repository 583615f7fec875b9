#!/usr/bin/env -S node --max-semi-space-size=16
// What npm installs as a command. For the option see docs/production.md, "Memory".

// oxlint-disable-next-line import/no-unassigned-import -- it watches what is loaded after it
import '@scrivener/runtime/telemetry';

await import('./main.ts');
