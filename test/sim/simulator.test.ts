/**
 * The simulator in the suite: 200 seeds, 24 simulated hours each, of a fleet of 50. Each history checks itself; here it is
 * also held that together they are worth something: whatever can happen does happen in some of them.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { TABLE } from '../../src/core/table.ts';
import { mergeCensus, type Census } from './census.ts';
import { COMMON, RARE } from './expected.ts';
import { FAULT_KINDS } from './weather.ts';

const MAIN = fileURLToPath(new URL('./main.ts', import.meta.url));
const SEEDS = 200;
const HOURS = 24;
const WORKERS = 2;
/** Two minutes on two idle cores; a busy machine may take its time. */
const TIMEOUT_MS = 12 * 60_000;
/** In so many seeds at least something that must be common occurs; anything else in one. */
const COMMON_SEEDS = SEEDS / 10;

type Told =
  | { readonly ok: true; readonly seed: number; readonly digest: string; readonly census: Census }
  | {
      readonly ok: false;
      readonly seed: number;
      readonly message: string;
      readonly repeat: string;
      readonly trace: readonly string[];
    };

/** One worker: seeds `from` to `to`, each as it is done. */
async function worker(from: number, to: number, hours: number): Promise<readonly Told[]> {
  const args = ['--disable-warning=ExperimentalWarning', MAIN, String(from), String(to), String(hours)];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const told: Told[] = [];
  for await (const line of createInterface({ input: child.stdout })) told.push(JSON.parse(line) as Told);
  return told;
}

const failureOf = (told: Told): string[] =>
  told.ok
    ? []
    : [`seed ${told.seed}: ${told.message}\n  repeat it: ${told.repeat}\n    ${told.trace.slice(-30).join('\n    ')}`];

describe('the simulator', () => {
  const told: Told[] = [];
  const seedsWith = new Map<string, number>();
  const census: Census = {};

  before(
    async () => {
      const share = SEEDS / WORKERS;
      const all = Array.from({ length: WORKERS }, (_, i) => worker(i * share + 1, (i + 1) * share, HOURS));
      told.push(...(await Promise.all(all)).flat());
      for (const one of told) {
        if (!one.ok) continue;
        mergeCensus(census, one.census);
        for (const [what, count] of Object.entries(one.census))
          if (count > 0) seedsWith.set(what, (seedsWith.get(what) ?? 0) + 1);
      }
    },
    { timeout: TIMEOUT_MS },
  );

  test(`finds nothing in ${SEEDS} seeds of ${HOURS} hours`, () => {
    assert.deepEqual(told.flatMap(failureOf), []);
    assert.equal(told.length, SEEDS);
  });

  test('has every row of the table, and never the one for what no row knows', () => {
    const rows = TABLE.map(({ id }) => id).filter((id) => id !== 'unclassified');
    assert.deepEqual(
      rows.filter((id) => (seedsWith.get(`row ${id}`) ?? 0) < COMMON_SEEDS),
      [],
    );
    assert.equal(census['row unclassified'] ?? 0, 0);
  });

  test('has every fault it knows of', () => {
    assert.deepEqual(
      FAULT_KINDS.filter((kind) => (seedsWith.get(`fault ${kind}`) ?? 0) < COMMON_SEEDS),
      [],
    );
  });

  test('has every action, phase, hold, outcome, end and command, the common ones often', () => {
    const seldom = COMMON.filter((what) => (seedsWith.get(what) ?? 0) < COMMON_SEEDS);
    const never = RARE.filter((what) => !seedsWith.has(what));
    assert.deepEqual({ seldom, never }, { seldom: [], never: [] });
  });

  test('is lively: the fleet is neither always well nor always held', () => {
    const sum = (prefix: string): number =>
      Object.entries(census).reduce((total, [what, minutes]) => (what.startsWith(prefix) ? total + minutes : total), 0);
    const all = sum('minutes in phase ');
    const share = (what: string): number => (census[`minutes in ${what}`] ?? 0) / all;
    assert.ok(share('phase RUNNING') > 0.3 && share('phase RUNNING') < 0.8, `RUNNING ${share('phase RUNNING')}`);
    assert.ok(sum('minutes in hold ') / all < 0.25, `held ${sum('minutes in hold ') / all}`);
    assert.ok(share('hold blast-radius') < 0.1, `blast radius ${share('hold blast-radius')}`);
  });

  test(
    'gives the same history for the same seed, byte for byte, in another process',
    { timeout: TIMEOUT_MS },
    async () => {
      for (const again of await worker(7, 8, HOURS)) {
        const first = told.find(({ seed }) => seed === again.seed);
        assert.ok(again.ok && first?.ok === true, 'both have ended well');
        assert.equal(again.digest, first.digest);
        assert.deepEqual(again.census, first.census);
      }
    },
  );
});
