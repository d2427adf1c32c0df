/**
 * Do the suites bite? The core is copied, one rule in the copy is broken, and the named test of the suite is run against the
 * copy: it must fail. Production code needs no seam for this.
 *
 * A mutation whose text no longer occurs fails here, too: whoever rewrites a rule says anew how it could be wrong.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const SUITES = ['table', 'gates', 'operations'] as const;
type Suite = (typeof SUITES)[number];

interface Mutation {
  /** What the broken core does. */
  readonly does: string;
  /** Below `src/core`. */
  readonly file: string;
  readonly from: string;
  readonly to: string;
  readonly suite: Suite;
  /** The title of the test that must fail. */
  readonly fails: string;
}

const MUTATIONS: readonly Mutation[] = [
  {
    does: 'creates what is not running',
    file: 'table.ts',
    from: 'matches: (c) => !c.inst.existed,',
    to: "matches: (c) => c.inst.resource?.state !== 'running',",
    suite: 'operations',
    fails: 'L15 asked to reconcile, what exists is never created again',
  },
  {
    does: 'has no row for what is missing',
    file: 'table.ts',
    from: "matches: (c) => c.inst.resource?.state === 'missing',",
    to: 'matches: () => false,',
    suite: 'table',
    fails: 'what is proved gone is provisioned again',
  },
  {
    does: 'ends its search at an update',
    file: 'table.ts',
    from: "with its data kept, by rollout.',\n  final: false,",
    to: "with its data kept, by rollout.',\n  final: true,",
    suite: 'table',
    fails: 'L81 an unappliable config does not shadow a silent agent, nor an update that gave up',
  },
  {
    does: 'starts what it updates',
    file: 'table.ts',
    from: 'unstarted: !c.running, disrupts: true, waitsForIdle: c.running',
    to: 'disrupts: true, waitsForIdle: c.running',
    suite: 'table',
    fails: 'L83 what differs is made right without waking it',
  },
  {
    does: 'starts with the refused config after exit 78',
    file: 'table.ts',
    from: 'return refused ? repairs : [...repairs, start];',
    to: 'return refused ? [start] : [...repairs, start];',
    suite: 'operations',
    fails: 'L87 while it cannot be written, it is not started with the old one',
  },
  {
    does: 'restarts before all plugins are in',
    file: 'plugin-row.ts',
    from: 'return [...changes, RESTART_FOR_PLUGINS];',
    to: 'return [RESTART_FOR_PLUGINS, ...changes];',
    suite: 'table',
    fails: 'is followed by one restart for all that changed together',
  },
  {
    does: 'restarts for plugins that need none',
    file: 'fold/delivered.ts',
    from: 'if (how.runs && needs && !same)',
    to: 'if (how.runs && !same)',
    suite: 'table',
    fails: 'when none of them needs it, nothing is restarted',
  },
  {
    does: 'forgets that a plugin needs a restart',
    file: 'fold/delivered.ts',
    from: 'if (how.runs && needs && !same)',
    to: 'if (false)',
    suite: 'table',
    fails: 'going away it needs a restart, too',
  },
  {
    does: 'has a start wait for a plugin that failed before',
    file: 'plugin-row.ts',
    from: "p.rule === 'plugins' && c.concern(p.concern).failures > 0;",
    to: 'false;',
    suite: 'table',
    fails: 'L82 one that failed before does not come before the start of what crashed',
  },
  {
    does: 'has a crash wait for the plugin that goes in',
    file: 'decide.ts',
    from: "!operation.unstarted && isToBeHealed(c)) return 'heal';",
    to: "isToBeHealed(c) && false) return 'heal';",
    suite: 'table',
    fails: 'L82 one that goes in while its agent dies is called off: the agent is started first, then it goes in',
  },
  {
    does: 'puts the busy to sleep',
    file: 'table.ts',
    from: "type: 'sleep', rule: 'idle', concern: 'stop', priority: UPDATE, waitsForIdle: true",
    to: "type: 'sleep', rule: 'idle', concern: 'stop', priority: UPDATE",
    suite: 'table',
    fails: 'L57 asked to sleep while busy it waits for the work, and reads PENDING',
  },
  {
    does: 'forgets when to look again',
    file: 'case.ts',
    from: 'if (at < this.wakeAt) this.wakeAt = at;',
    to: '',
    suite: 'gates',
    fails: 'L41 giving up is not for ever: one attempt every 30 minutes, and one only',
  },
  {
    does: 'ignores operator holds',
    file: 'gates.ts',
    from: "return hold('operator-hold', p, held.until, held.reason);",
    to: 'continue;',
    suite: 'gates',
    fails: 'L84 on hold nothing is healed, updated, created or pruned',
  },
  {
    does: 'lets an operator hold stop an operator',
    file: 'gates.ts',
    from: 'if (p.named === true) return null;',
    to: '',
    suite: 'gates',
    fails: 'L84 on hold a runaway can be stopped, and deleted, by its name',
  },
  {
    does: 'acts before it has looked',
    file: 'gates.ts',
    from: "return c.target.synced ? null : hold('unsynced', p, null, c.target.name);",
    to: 'return null;',
    suite: 'gates',
    fails: 'after a new owner nothing of a target is decided before it is synced; another target does not wait for it',
  },
  {
    does: 'believes any loss',
    file: 'gates.ts',
    from: 'if (p.heals !== true || c.target.blast === null) return null;',
    to: 'return null;',
    suite: 'gates',
    fails: 'L88 when all fall silent at once nobody is restarted, and being heard is what lifts it',
  },
  {
    does: 'lets a sweep confirm what is missing',
    file: 'fold/target.ts',
    from: "if (loss.kind !== 'stopped' || loss.seq > data.began) continue;",
    to: 'if (loss.seq > data.began) continue;',
    suite: 'gates',
    fails: 'L51 missing ones wait for an operator, however long and however often they are swept',
  },
  {
    does: 'rolls out to a tenth at once from the start',
    file: 'gates.ts',
    from: 'return (rollout.proved === 0 ? 1 : share) - rollout.active.size;',
    to: 'return share - rollout.active.size;',
    suite: 'gates',
    fails: 'L79 the first goes alone; the next wait until it is proved for healthyFor',
  },
  {
    does: 'rolls a failed revision on',
    file: 'fold/rollout.ts',
    from: 'failures: rollout.failures + add.failures',
    to: 'failures: 0',
    suite: 'gates',
    fails: 'L79 a bad image stops at the first, with the reason in sight',
  },
  {
    does: 'leaks the room of operations that it abandons',
    file: 'fold/tick.ts',
    from: "if (action.reason === 'deadline') unanswered(inst, event);\n      closeOperation(state, inst, event.seq);",
    to: 'inst.operation = null;',
    suite: 'gates',
    fails: 'no way of ending an operation leaks its room',
  },
  {
    does: 'retries at once, always',
    file: 'concern.ts',
    from: 'if (streak <= 1) return 0;',
    to: 'return 0;',
    suite: 'gates',
    fails: 'the first failure is healed at once, quick ones after it wait 1 s × 2ⁿ up to 5 min, ± 10 %',
  },
  {
    does: 'never gives up',
    file: 'concern.ts',
    from: 'const gaveUp = terminal || (!tireless && counts && failures >= giveUpAfter);',
    to: 'const gaveUp = terminal;',
    suite: 'gates',
    fails: 'L40 failures of different operations and lives add up in one place, and end in ERROR',
  },
  {
    does: 'forgets what failed when the agent is heard',
    file: 'concern.ts',
    from: '{ ...concern, gaveUpAt: null }',
    to: '{ ...concern, gaveUpAt: null, failures: 0 }',
    suite: 'gates',
    fails: 'L90 nor does one that falls silent after one beat: heard again it may go on, but the count stands',
  },
  {
    does: 'keeps an old failure against a new generation',
    file: 'fold/spec.ts',
    from: 'known.completed = false;\n  // A fixed spec is reason to try again at once, whatever failed before (L74).\n  pardonAll(known);',
    to: 'known.completed = false;',
    suite: 'gates',
    fails: 'L74 three hundred in ERROR take the fixed image without being reconciled by hand',
  },
  {
    does: 'never aborts for a deadline',
    file: 'decide.ts',
    from: "if (c.past(operation.deadlineAt)) return { type: 'abort', reason: 'deadline' };",
    to: '',
    suite: 'operations',
    fails: 'L27 an operation past its deadline is aborted, not only marked, and keeps its place until it has answered',
  },
  {
    does: 'lets a start run on under a stop',
    file: 'decide.ts',
    from: "operation.unstarted) return 'stop';",
    to: 'operation.unstarted) return null;',
    suite: 'operations',
    fails: 'stop beats whatever makes it run, and lets the rest end',
  },
  {
    does: 'believes the result of any operation',
    file: 'fold/operation.ts',
    from: 'if (operation === null || operation.id !== data.operation) return;',
    to: 'if (operation === null) return;',
    suite: 'operations',
    fails: 'L29 the result of an older operation does not touch a newer one',
  },
  {
    does: 'takes any report of success for success',
    file: 'fold/operation.ts',
    from: 'if (inst.specSeq > operation.seq) return null;\n  const gone',
    to: 'if (inst.specSeq >= 0) return null;\n  const gone',
    suite: 'operations',
    fails: 'L42 "done" without effect is a failure: it backs off instead of being decided at every tick',
  },
  {
    does: 'believes old looks',
    file: 'fold/resource.ts',
    from: 'began < inst.operationSeq;',
    to: 'began < 0 && began < inst.operationSeq;',
    suite: 'operations',
    fails: 'L77 a listing begun before a start and told after it changes nothing: no flap, no second start',
  },
  {
    does: 'takes every end for a flap',
    file: 'fold/resource.ts',
    from: '(incarnation !== null && incarnation === inst.endingIncarnation) || endedByUs(inst, end);',
    to: 'false;',
    suite: 'operations',
    fails: 'an operation explains the end it was sent for, even aborted, abandoned, or of an owner that is gone',
  },
  {
    does: 'forgets what was asked during an operation',
    file: 'fold/resource.ts',
    from: 'if (inst.operation === null || (inst.restartAskedSeq ?? 0) < inst.operation.seq) inst.restartAskedSeq = null;',
    to: 'inst.restartAskedSeq = null;',
    suite: 'operations',
    fails: 'L30 a restart asked while it is being started is done after it',
  },
  {
    does: 'lets the dead speak',
    file: 'fold/tick.ts',
    from: 'state.instances.delete(inst.uid);',
    to: '',
    suite: 'operations',
    fails: 'L18 whatever is told of an instance that is gone resurrects nothing',
  },
];

const copies: string[] = [];
after(() => {
  for (const copy of copies) rmSync(copy, { recursive: true, force: true });
});

/** The core and its suites in a place of their own. */
function copyOfCore(): string {
  const copy = mkdtempSync(join(tmpdir(), 'holdfast-mutation-'));
  copies.push(copy);
  writeFileSync(join(copy, 'package.json'), '{ "type": "module" }');
  symlinkSync(join(ROOT, 'node_modules'), join(copy, 'node_modules'));
  cpSync(join(ROOT, 'src/core'), join(copy, 'src/core'), { recursive: true });
  mkdirSync(join(copy, 'test/core'), { recursive: true });
  cpSync(join(ROOT, 'test/support'), join(copy, 'test/support'), { recursive: true });
  for (const suite of SUITES)
    cpSync(join(ROOT, `test/core/${suite}.test.ts`), join(copy, `test/core/${suite}.test.ts`));
  return copy;
}

function mutate(copy: string, { file, from, to }: Mutation): void {
  const path = join(copy, 'src/core', file);
  const source = readFileSync(path, 'utf8');
  const found = [...source.matchAll(anyLayout(from))];
  assert.equal(found.length, 1, `${file} must hold ${JSON.stringify(from)} exactly once`);
  writeFileSync(
    path,
    source.replace(anyLayout(from), () => to),
  );
}

const escaped = (text: string): string => text.replace(/[\\^$.*+?()[\]{}|/]/gu, '\\$&');

/** The same code however a formatter breaks its lines. */
const anyLayout = (code: string): RegExp =>
  new RegExp(
    escaped(code)
      .replace(/\s+/gu, '\\s+')
      .replaceAll('\\(', '\\(\\s*')
      .replaceAll('\\)', ',?\\s*\\)')
      .replaceAll('\\}', ',?\\s*\\}'),
    'gu',
  );

/** Titles of tests that passed and failed; only those with that title are run, if one is given. */
async function run(
  copy: string,
  suite: Suite,
  title: string | null,
): Promise<{ passed: Set<string>; failed: Set<string>; output: string }> {
  const only = title === null ? [] : [`--test-name-pattern=${escaped(title)}`];
  const args = [
    '--disable-warning=ExperimentalWarning',
    '--test',
    '--test-reporter=tap',
    ...only,
    `test/core/${suite}.test.ts`,
  ];
  // Inside a test run, Node tells its children that they are part of it; this one is not.
  const { NODE_TEST_CONTEXT: _ours, ...env } = process.env;
  const output = await new Promise<string>((resolve) => {
    execFile(
      process.execPath,
      args,
      { cwd: copy, env, timeout: 60_000, maxBuffer: 64 * 1024 * 1024 },
      (_error, stdout) => resolve(stdout),
    );
  });
  const titles = (verdict: 'ok' | 'not ok'): Set<string> =>
    new Set(
      [...output.matchAll(new RegExp(`^ *${verdict} \\d+ - (.*)$`, 'gmu'))].map((line) =>
        (line[1] ?? '').replaceAll('\\#', '#'),
      ),
    );
  return { passed: titles('ok'), failed: titles('not ok'), output };
}

describe('a core that', { concurrency: 4 }, () => {
  test('is as it is, passes every test that a mutation must fail', async () => {
    const copy = copyOfCore();
    for (const suite of SUITES) {
      const { passed, failed, output } = await run(copy, suite, null);
      assert.deepEqual([...failed], [], output.slice(0, 4_000));
      for (const { fails } of MUTATIONS.filter((one) => one.suite === suite))
        assert.ok(passed.has(fails), `${suite} has no test "${fails}"`);
    }
  });

  for (const mutation of MUTATIONS) {
    test(`${mutation.does} fails "${mutation.fails}"`, async () => {
      const copy = copyOfCore();
      mutate(copy, mutation);
      const { failed, output } = await run(copy, mutation.suite, mutation.fails);
      assert.ok(failed.has(mutation.fails), output.slice(0, 4_000));
    });
  }
});
