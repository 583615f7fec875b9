import { traceSettings, type TraceSettings } from './telemetry-settings.ts';

/*
 * Loaded before anything else, `node --import @scrivener/runtime/telemetry src/main.ts`: whoever is
 * to be watched has to be watched from the moment it is loaded. Where the environment asks for no
 * traces this costs nothing but a look at it.
 */

const settings = readSettings();
if (settings !== undefined) {
  const { startTraces } = await import('./telemetry-start.ts');
  startTraces(settings);
}

function readSettings(): TraceSettings | undefined {
  try {
    return traceSettings(process.env);
  } catch (error) {
    // The line that every program ends with that cannot use its configuration (WIRE §14.2).
    const msg = error instanceof Error ? error.message : String(error);
    process.stderr.write(
      `${JSON.stringify({ level: 'fatal', msg, time: new Date().toISOString() })}\n`,
    );
    process.exit(1);
  }
}
