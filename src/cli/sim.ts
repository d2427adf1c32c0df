/** `holdfast sim`: seeded histories of a simulated fleet. The simulator is part of a checkout, not of the package. */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { wordsOf } from '../core/error-words.ts';
import type { SimOptions } from './commands/checkout.ts';
import { Failure } from './failure.ts';

/** As large as the fleets of the test suite. */
const INSTANCES = 50;

/** What this needs of `test/sim/run.ts`. */
interface Simulator {
  simulate(ask: { seed: number; hours: number; instances: number }): Promise<Result>;
}

interface Result {
  readonly events: number;
  readonly ticks: number;
  readonly lives: number;
  readonly snapshots: number;
  readonly digest: string;
  readonly census: { readonly [what: string]: number };
}

export async function runSim({ seed, hours, json }: SimOptions): Promise<number> {
  const file = fileURLToPath(new URL('../../test/sim/run.ts', import.meta.url));
  if (!existsSync(file)) {
    const message =
      'The simulator is part of the checkout, not of the package: run `npm run -s holdfast -- sim` in one.';
    throw new Failure('no-checkout', message);
  }
  const simulator = (await import(file)) as Simulator;
  const chosen = seed ?? Math.floor(Math.random() * 1_000_000);
  const say = (line: string): boolean => process.stdout.write(`${line}\n`);
  if (!json) say(`seed ${chosen}: ${hours} simulated hours of ${INSTANCES} instances`);
  try {
    const result = await simulator.simulate({ seed: chosen, hours, instances: INSTANCES });
    if (json) say(JSON.stringify({ ok: true, ...result }));
    else for (const line of summary(result)) say(line);
    return 0;
  } catch (error) {
    const message = wordsOf(error);
    const trace = traceOf(error);
    const repeat = `npm run -s holdfast -- sim --seed ${chosen} --hours ${hours}`;
    if (json) say(JSON.stringify({ ok: false, seed: chosen, violated: message, trace, repeat }));
    else for (const line of [...trace, `violated: ${message}`, `repeat it: ${repeat}`]) say(line);
    return 1;
  }
}

/** The story behind a violation, where the simulator tells one; where it is a crash of our own, its stack. */
function traceOf(error: unknown): readonly string[] {
  if (!(error instanceof Error)) return [];
  return 'trace' in error && Array.isArray(error.trace) ? error.trace.map(String) : [error.stack ?? ''];
}

function summary({ events, ticks, lives, snapshots, digest, census }: Result): readonly string[] {
  const faults = Object.entries(census).filter(([what]) => what.startsWith('fault '));
  const struck = faults.reduce((sum, [, count]) => sum + count, 0);
  return [
    `every check held: ${ticks} ticks wrote ${events} events (${digest}), in ${lives} lives of the control plane with ${snapshots} snapshots`,
    `${struck} faults of ${faults.length} kinds, ${census['event operation.ended'] ?? 0} operations, ${census['event flap.observed'] ?? 0} flaps`,
  ];
}
