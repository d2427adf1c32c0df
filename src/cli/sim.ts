/** `holdfast sim`: seeded histories of a simulated fleet. The simulator is part of a checkout, not of the package. */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { SimOptions } from './commands/checkout.ts';
import { Failure } from './failure.ts';

/** As large as the fleets of the test suite. */
const INSTANCES = 50;

interface Simulator {
  simulate(ask: { seed: number; hours: number; instances: number }): Promise<object>;
}

export async function runSim({ seed, hours, json }: SimOptions): Promise<number> {
  const file = fileURLToPath(new URL('../../test/sim/run.ts', import.meta.url));
  if (!existsSync(file))
    throw new Failure(
      'no-checkout',
      'The simulator is part of the checkout, not of the package: run `npm run -s holdfast -- sim` in one.',
    );
  const simulator = (await import(file)) as Simulator;
  const chosen = seed ?? Math.floor(Math.random() * 1_000_000);
  if (!json) process.stdout.write(`seed ${chosen}: ${hours} simulated hours of ${INSTANCES} instances\n`);
  try {
    const result = await simulator.simulate({ seed: chosen, hours, instances: INSTANCES });
    process.stdout.write(
      json
        ? `${JSON.stringify(result)}\n`
        : `every check held: ${Object.entries(result)
            .map(([what, count]) => `${what} ${String(count)}`)
            .join(', ')}\n`,
    );
    return 0;
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    process.stdout.write(
      json
        ? `${JSON.stringify({ seed: chosen, violated: message })}\n`
        : `violated: ${message}\nrepeat it: npm run -s holdfast -- sim --seed ${chosen} --hours ${hours}\n`,
    );
    return 1;
  }
}
