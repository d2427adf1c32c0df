/**
 * `node test/sim/main.ts FROM TO [HOURS] [INSTANCES]`: seeds FROM…TO, one line of JSON each. Also a worker of the test suite.
 * Exit code 1 if any seed fails; each failure says the one command that repeats it.
 */
import { simulate } from './run.ts';
import { Violated } from './violated.ts';

const [from = 1, to = from, hours = 24, instances = 50] = process.argv.slice(2).map(Number);
let failed = 0;
for (let seed = from; seed <= to; seed += 1) {
  try {
    process.stdout.write(`${JSON.stringify({ ok: true, ...(await simulate({ seed, hours, instances })) })}\n`);
  } catch (error) {
    failed += 1;
    const message = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
    const repeat = `npm run -s holdfast -- sim --seed ${seed} --hours ${hours}`;
    const trace = error instanceof Violated ? error.trace : error instanceof Error ? [error.stack ?? ''] : [];
    process.stdout.write(`${JSON.stringify({ ok: false, seed, message, repeat, trace })}\n`);
  }
}
process.exitCode = failed === 0 ? 0 : 1;
