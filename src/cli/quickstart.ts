/** The first minute: declares the example fleet, and shows each agent on its way to where it was declared to be. */
import { readFileSync } from 'node:fs';
import type { StoredEvent } from '../core/events.ts';
import type { Composed } from '../runtime/compose.ts';
import { prepareManifest } from './manifest-file.ts';

const SHOWN_MS = 30_000;
const PHASE_WIDTH = 12;

export async function showQuickstart(composed: Composed, file: string, say: (line: string) => void): Promise<void> {
  const { control, runtime } = composed;
  const known = runtime.fleet('quickstart');
  if (known !== null && known.loop.state.names.size > 0) {
    say('The quickstart fleet is declared already; it is kept as it is.');
  } else {
    const text = prepareManifest(readFileSync(file, 'utf8'), file).text;
    const by = { token: 'admin', via: 'quickstart' };
    await control.apply(null, { text, dryRun: false, prune: null, ifMatch: null, replace: false, by });
    say(`Declared three agents from ${file}:`);
  }
  await comeUp(composed, say);
  say('');
  say('Now try, in another terminal:');
  say('  npm run -s holdfast -- get                  what is declared, and what is so');
  say('  npm run -s holdfast -- wake archivist       wake the sleeper');
  say('  npm run -s holdfast -- why gambler          why it is as it is');
}

/** One line per change of phase, until all are at rest. */
async function comeUp({ runtime, control }: Composed, say: (line: string) => void): Promise<void> {
  const fleet = runtime.fleet('quickstart');
  if (fleet === null) return;
  const began = performance.now();
  const show = (events: readonly StoredEvent[]): void => {
    for (const event of events) {
      if (event.type !== 'tick.decided') continue;
      for (const { instance, to } of event.data.transitions) {
        say(
          `  ${((performance.now() - began) / 1000).toFixed(1).padStart(5)} s  ${to.padEnd(PHASE_WIDTH)} ${instance}`,
        );
      }
    }
  };
  const unlisten = fleet.listen(show);
  const signal = AbortSignal.timeout(SHOWN_MS);
  await Promise.all(
    [...fleet.loop.state.names.keys()].map((name) =>
      control.settled('quickstart', name, fleet.loop.state.seq, SHOWN_MS, signal),
    ),
  );
  unlisten();
}
