/** What applying would do: results, effects, reasons, and above all what it would *not* do. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ManifestContext } from '../../src/core/manifest/context.ts';
import { planManifest } from '../../src/core/manifest/plan.ts';
import type { CurrentInstance, Plan, PlanInput } from '../../src/core/manifest/plan.ts';
import type { Manifest } from '../../src/core/manifest/read.ts';
import { HIDDEN } from '../../src/core/manifest/words.ts';
import type { Desired, JsonObject } from '../../src/core/model.ts';
import {
  contextOf,
  dockerType,
  externalType,
  fileChannel,
  processType,
  readGood,
  withInstances,
} from './manifest-context.ts';

/** The fleet as it is once a manifest has been applied. */
function applied(manifest: Manifest, desired: Desired = 'running'): ReadonlyMap<string, CurrentInstance> {
  return new Map(
    [...manifest.specs].map(([name, { spec, hashes }]) => [name, { spec, hashes, generation: 1, desired }]),
  );
}

/** Plans `next` on a fleet to which `before` was applied. */
function planFrom(before: Manifest | null, next: Manifest, changes: Partial<PlanInput> = {}): Plan {
  return planManifest({
    current: before === null ? new Map() : applied(before),
    currentPolicy: before === null ? null : before.policy,
    previous: before === null ? null : before.normalised,
    next,
    context: contextOf(),
    replace: false,
    prune: null,
    ...changes,
  });
}

const one = (rest: string, context?: ManifestContext): Manifest =>
  readGood(withInstances(`  a: { target: docker, run: { image: "x:1", env: { LEVEL: info } }${rest} }\n`), context);
const edited = (text: string): Manifest => readGood(withInstances(text));

function only(plan: Plan) {
  assert.equal(plan.results.length, 1);
  return plan.results[0]!;
}

test('what is new is created at generation 1, under a new uid', () => {
  const plan = planFrom(null, one(''));
  const result = only(plan);
  assert.deepEqual([result.name, result.result, result.effect, result.diff], ['a', 'created', 'none', []]);
  assert.deepEqual([result.apply!.generation, result.apply!.uid], [1, 'new']);
  assert.deepEqual([plan.problems, plan.same, plan.policy.changed], [[], false, true]);
});

test('applying the same manifest again changes nothing at all', () => {
  const plan = planFrom(one(''), one(''));
  assert.deepEqual(only(plan), {
    name: 'a',
    result: 'unchanged',
    effect: 'none',
    because: [],
    diff: [],
    note: null,
    apply: null,
  });
  assert.ok(plan.same);
});

test('another image is a re-provision, and says so with both values', () => {
  const plan = planFrom(one(''), edited('  a: { target: docker, run: { image: "x:2", env: { LEVEL: info } } }\n'));
  const result = only(plan);
  assert.deepEqual([result.result, result.effect, result.because], ['updated', 'recreate', ['run.image']]);
  assert.deepEqual(result.diff, [{ path: 'run.image', from: 'x:1', to: 'x:2' }]);
  assert.deepEqual([result.apply!.generation, result.apply!.uid], [2, 'same']);
  assert.ok(!plan.same);
});

test('what comes and goes is named key by key', () => {
  const result = only(
    planFrom(
      one(''),
      edited('  a: { target: docker, run: { image: "x:1", env: { X: "1" } }, heartbeat: { every: 5s }, expose: [] }\n'),
    ),
  );
  assert.deepEqual(result.diff, [
    { path: 'heartbeat.every', from: null, to: '5s' },
    { path: 'heartbeat.silentAfter', from: null, to: '90s' },
    { path: 'heartbeat.startGrace', from: null, to: '1m' },
    { path: 'run.env.LEVEL', from: 'info', to: null },
    { path: 'run.env.X', from: null, to: '1' },
  ]);
});

test('each kind of edit has the effect that it has on what runs', () => {
  const config = ', config: { channel: file, path: /c, onChange: none, value: { a: 1 } }';
  const cases: readonly (readonly [string, string, string, readonly string[]])[] = [
    ['', ', labels: { a: b }', 'none', ['labels.a']],
    [
      '',
      ', heartbeat: { every: 1m, silentAfter: 2m, startGrace: 0s }',
      'none',
      ['heartbeat.every', 'heartbeat.silentAfter', 'heartbeat.startGrace'],
    ],
    ['', ', onSilent: alert, onDelete: delete', 'none', ['onDelete', 'onSilent']],
    ['', ', lifecycle: lazy', 'recreate', ['lifecycle']],
    ['', ', plugins: ["file:/p#v1"]', 'config', ['plugins']],
    [config, config.replace('a: 1', 'a: 2'), 'config', ['config.value.a']],
    [config, config.replace('none', 'restart'), 'restart', ['config.onChange']],
    [config, config.replace('/c', '/d'), 'config', ['config.path']],
    [config, '', 'config', ['config.channel', 'config.onChange', 'config.path', 'config.value.a']],
  ];
  for (const [before, after, effect, because] of cases) {
    const result = only(planFrom(one(before), one(after)));
    assert.deepEqual([result.result, result.effect, result.because], ['updated', effect, because], after);
  }
});

test('on a target that respawns in place, a re-provision is a restart', () => {
  const plan = planFrom(
    edited('  a: { target: process, run: { command: [x] } }\n'),
    edited('  a: { target: process, run: { command: [y] } }\n'),
  );
  const result = only(plan);
  assert.deepEqual([result.effect, result.diff], ['restart', [{ path: 'run.command', from: ['x'], to: ['y'] }]]);
});

test('L56 what was removed from the file is said and kept, never passed over', () => {
  const before = edited('  a: { target: docker, run: { image: x } }\n  gone: { target: docker, run: { image: x } }\n');
  const plan = planFrom(before, edited('  a: { target: docker, run: { image: x } }\n'));
  assert.deepEqual(
    plan.results.map(({ name, result, effect }) => [name, result, effect]),
    [
      ['a', 'unchanged', 'none'],
      ['gone', 'undeclared', 'none'],
    ],
  );
  assert.match(plan.results[1]!.note!, /no longer in the manifest, and kept/);
  assert.deepEqual([plan.same, plan.problems], [false, []]);
});

test('L56 no edit is ignored: every section that differs makes an update with its path', () => {
  const base =
    ', config: { channel: file, path: /c, value: 1 }, lifecycle: lazy, idleAfter: 5m, expose: [], labels: { a: "1" }';
  const sections: { readonly [path: string]: string } = {
    lifecycle: base.replace('lifecycle: lazy, idleAfter: 5m', 'lifecycle: hot'),
    idleAfter: base.replace('5m', '6m'),
    'labels.a': base.replace('"1"', '"2"'),
    onComplete: `${base}, onComplete: stop`,
    onDelete: `${base}, onDelete: delete`,
    'health.http.port': `${base}, health: { http: { port: 1, path: / } }`,
    'heartbeat.every': `${base}, heartbeat: { every: 1s }`,
    'config.value': base.replace('value: 1', 'value: 2'),
    plugins: `${base}, plugins: ["file:/p"]`,
    onSilent: `${base}, onSilent: alert`,
    onDegraded: `${base}, onDegraded: restart`,
    drift: `${base}, drift: report`,
  };
  for (const [path, rest] of Object.entries(sections)) {
    const result = only(planFrom(one(base), one(rest)));
    assert.equal(result.result, 'updated', path);
    assert.ok(result.because.includes(path), `${path}: ${result.because.join(', ')}`);
  }
});

test('prune deletes what is no longer declared, and only when the count is the expected one', () => {
  const before = edited(
    '  a: { target: docker, run: { image: x } }\n  b: { target: docker, run: { image: x } }\n  c: { target: docker, run: { image: x } }\n',
  );
  const next = edited('  a: { target: docker, run: { image: x } }\n');
  const right = planFrom(before, next, { prune: 2 });
  assert.deepEqual(
    right.results.map(({ name, result, effect }) => [name, result, effect]),
    [
      ['a', 'unchanged', 'none'],
      ['b', 'pruned', 'delete'],
      ['c', 'pruned', 'delete'],
    ],
  );
  assert.deepEqual(right.problems, []);
  const wrong = planFrom(before, next, { prune: 1 });
  assert.deepEqual(wrong.problems, [
    { kind: 'prune-count', instance: null, message: 'prune expects to delete 1, but 2 would be deleted: b, c' },
  ]);
  assert.equal(planFrom(next, next, { prune: 0 }).problems.length, 0);
});

test('an instance whose deletion was asked is gone: the name is created anew, or not mentioned', () => {
  const before = one('');
  const again = planFrom(before, one(''), { current: applied(before, 'deleted') });
  assert.deepEqual([only(again).result, only(again).apply!.uid], ['created', 'new']);
  const without = planFrom(before, readGood('version: 1\nfleet: demo\ninstances: {}\n'), {
    current: applied(before, 'deleted'),
  });
  assert.deepEqual(without.results, []);
});

test('a changed target is a conflict unless replace is said, and then a new incarnation', () => {
  const next = edited('  a: { target: box1, run: { image: "x:1", env: { LEVEL: info } } }\n');
  const refused = planFrom(one(''), next);
  assert.equal(refused.problems[0]!.kind, 'target-immutable');
  assert.match(
    refused.problems[0]!.message,
    /lives on target "docker" \(docker\) and cannot move to "box1" \(docker\): say replace/,
  );
  assert.equal(only(refused).apply, null);
  const replaced = planFrom(one(''), next, { replace: true });
  assert.deepEqual(replaced.problems, []);
  const result = only(replaced);
  assert.deepEqual([result.result, result.effect, result.because], ['updated', 'recreate', ['target']]);
  assert.deepEqual([result.apply!.generation, result.apply!.uid], [1, 'new']);
});

test('a target name that now means another type is the same conflict', () => {
  const targets = new Map([['docker', processType]]);
  const context = contextOf({ targets });
  const next = readGood(withInstances('  a: { target: docker, run: { command: [x] } }\n'), context);
  const plan = planFrom(one(''), next, { context });
  assert.match(plan.problems[0]!.message, /"docker" \(docker\) and cannot move to "docker" \(process\)/);
});

test('a stopped instance is updated and stays stopped, and the plan says so', () => {
  const before = one('');
  const result = only(planFrom(before, one(', labels: { a: b }'), { current: applied(before, 'stopped') }));
  assert.match(result.note!, /stays stopped/);
});

// ── an upgrade of Holdfast is not an edit ───────────────────────────────────────────────────────────────────────────

const buildWith = (defaults: JsonObject): ManifestContext =>
  contextOf({ targets: new Map([['docker', dockerType(defaults)]]) });

test('L78 a build with another default changes nothing of a fleet that is applied again', () => {
  const old = one('', buildWith({ init: true }));
  const context = buildWith({ init: false, readOnly: true });
  const next = one('', context);
  assert.notDeepEqual(next.specs.get('a')!.spec, old.specs.get('a')!.spec, 'frozen alone, it would be another spec');
  const plan = planFrom(old, next, { context });
  assert.equal(only(plan).result, 'unchanged');
  assert.ok(plan.same);
});

test('L78 an edit elsewhere does not bring the new default in', () => {
  const old = one('', buildWith({ init: true }));
  const context = buildWith({ init: false, readOnly: true });
  const result = only(planFrom(old, one(', labels: { a: b }', context), { context }));
  assert.deepEqual([result.effect, result.because], ['none', ['labels.a']]);
  assert.deepEqual(result.apply!.spec.run, { init: true, image: 'x:1', env: { LEVEL: 'info' } });
  assert.equal(result.apply!.hashes.infra, old.specs.get('a')!.hashes.infra);
});

test('L78 a build that hashes other parts, or in another way, keeps what is recorded', () => {
  const old = one(', config: { channel: file, path: /c, value: 1 }');
  const recorded = new Map([
    [
      'a',
      {
        ...applied(old).get('a')!,
        hashes: { infra: '1:of an older idea of infra', config: old.specs.get('a')!.hashes.config },
      },
    ],
  ]);
  const docker = dockerType();
  const context = contextOf({
    targets: new Map([['docker', { ...docker, infra: (spec) => ({ run: spec.run, more: 'than before' }) }]]),
  });
  const plan = planFrom(old, one(', config: { channel: file, path: /c, value: 1 }, labels: { a: b }', context), {
    context,
    current: recorded,
  });
  assert.equal(only(plan).effect, 'none');
  assert.deepEqual(only(plan).apply!.hashes, recorded.get('a')!.hashes);
});

test('L78 a frozen spec of an older log, without a section that this build knows, is no drift', () => {
  const old = one('');
  const { onComplete: _missing, ...before } = old.specs.get('a')!.spec;
  const current = new Map([['a', { ...applied(old).get('a')!, spec: before as CurrentInstance['spec'] }]]);
  assert.equal(only(planFrom(old, one(''), { current })).result, 'unchanged');
});

test('L78 policy: what nobody edited stays, and an edit changes only what it edits', () => {
  const policy = (text: string) => readGood(`version: 1\nfleet: demo\npolicy: ${text}\ninstances: {}\n`);
  const old = policy('{ giveUpAfter: 5 }');
  const frozen = { ...old.policy, retryErrorEveryMs: 99_000, rollout: { ...old.policy.rollout, maxFailures: 7 } }; // defaults then
  const same = planFrom(old, policy('{ giveUpAfter: 5 }'), { currentPolicy: frozen });
  assert.deepEqual([same.policy.changed, same.policy.policy, same.same], [false, frozen, true]);
  const edit = planFrom(old, policy('{ giveUpAfter: 6, rollout: { healthyFor: 1m } }'), { currentPolicy: frozen });
  assert.deepEqual(edit.policy.policy, {
    ...frozen,
    giveUpAfter: 6,
    rollout: { ...frozen.rollout, healthyForMs: 60_000 },
  });
  assert.deepEqual(
    edit.policy.diff.map(({ path }) => path),
    ['giveUpAfter', 'rollout.healthyFor'],
  );
});

test('an edit of the section itself is frozen by the build that reads it', () => {
  const old = one('', buildWith({ init: true }));
  const context = buildWith({ init: false });
  const next = readGood(
    withInstances('  a: { target: docker, run: { image: "x:2", env: { LEVEL: info } } }\n'),
    context,
  );
  assert.deepEqual(only(planFrom(old, next, { context })).because, ['run.image', 'run.init']);
});

test('what a type froze in its own units is shown in those of the manifest', () => {
  const freezes = (stopTimeoutMs: number): ManifestContext =>
    contextOf({ targets: new Map([['docker', dockerType({ stopTimeoutMs, memoryBytes: stopTimeoutMs * 1024 })]]) });
  const result = only(
    planFrom(null, one('', freezes(30_000)), { current: applied(one('', freezes(60_000))), context: freezes(30_000) }),
  );
  assert.deepEqual(result.diff, [
    { path: 'run.memory', from: '60000k', to: '30000k' },
    { path: 'run.stopTimeout', from: '1m', to: '30s' },
  ]);
});

test('writing the same thing in other words is no change', () => {
  const before = one(', heartbeat: { every: 60s }, plugins: ["file:/p#v1"]');
  const after = one(', heartbeat: { every: 1m }, plugins: [{ source: "file:/p", ref: v1 }]');
  assert.ok(planFrom(before, after).same);
});

// ── secrets ─────────────────────────────────────────────────────────────────────────────────────────────────────────

test('a secret that was rotated without a record is caught by its version, and its value shows nowhere', () => {
  const config = ', config: { channel: file, path: /c, value: { key: "${secret:llm}" } }';
  const before = one(config);
  const context = contextOf({ secrets: new Map([['llm', 4]]) });
  const result = only(planFrom(before, one(config, context), { context }));
  assert.deepEqual(
    [result.result, result.effect, result.because, result.diff],
    ['updated', 'restart', ['config.value'], []],
  );
  assert.match(result.note!, /another version/);
});

test('values that look like secrets are named in a diff and not shown', () => {
  const run = (env: string, args = '[]') =>
    edited(`  a: { target: docker, run: { image: x, args: ${args}, env: { ${env} } } }\n`);
  const before = run(
    'API_KEY: old-one, PASSWORD: p1, DB: "postgres://u:pw1@h/d", PLAIN: a, REF: x, MAXTOKENS: "1"',
    '["--token", t1, "--level", a]',
  );
  const after = run(
    'API_KEY: new-one, PASSWORD: p2, DB: "postgres://u:pw2@h/d", PLAIN: b, REF: "${secret:llm}", OTHER: sk-live-12345678',
    '["--token", t2, "--level", b]',
  );
  const result = only(planFrom(before, after));
  const shown = Object.fromEntries(result.diff.map(({ path, from, to }) => [path, [from, to]]));
  assert.deepEqual(shown, {
    'run.args': [
      ['--token', HIDDEN, '--level', 'a'],
      ['--token', HIDDEN, '--level', 'b'],
    ],
    'run.env.API_KEY': [HIDDEN, HIDDEN],
    'run.env.DB': [HIDDEN, HIDDEN],
    'run.env.MAXTOKENS': [HIDDEN, null],
    'run.env.OTHER': [null, HIDDEN],
    'run.env.PASSWORD': [HIDDEN, HIDDEN],
    'run.env.PLAIN': ['a', 'b'],
    'run.env.REF': ['x', '${secret:llm}'],
  });
  for (const secret of ['old-one', 'new-one', 'pw1', 'pw2', 't1', 't2', 'sk-live']) {
    assert.ok(!JSON.stringify(result.diff).includes(`"${secret}`), secret);
  }
});

test('results come by name in code-unit order, whatever the order of file and fleet', () => {
  const names = ['b', 'a-10', 'a-9', 'zz'];
  const line = (name: string): string => `  ${name}: { target: docker, run: { image: x } }\n`;
  const plan = planFrom(edited(names.map(line).join('')), edited(names.slice(0, 2).map(line).join('') + line('a')));
  assert.deepEqual(
    plan.results.map(({ name }) => name),
    ['a', 'a-10', 'a-9', 'b', 'zz'],
  );
});

test('the doubles of this suite are of the shapes that real ones have', () => {
  assert.deepEqual(
    [processType, externalType].map(({ type }) => type),
    ['process', 'external'],
  );
  assert.ok(!fileChannel.settings({}).ok);
});

test('L80 a name whose data outlived an earlier instance is refused without reuseData, and who lives is not asked', () => {
  const retained = new Map([['a', ['volume-of-a']]]);
  const refused = planFrom(null, one(''), { retained });
  assert.deepEqual(
    refused.problems.map(({ kind, instance }) => [kind, instance]),
    [['retained-data', 'a']],
  );
  assert.match(refused.problems[0]!.message, /volume-of-a.*reuseData: true.*volumes rm/);
  assert.deepEqual(planFrom(null, one(', reuseData: true'), { retained }).problems, []);
  assert.deepEqual(planFrom(one(''), one(''), { retained }).problems, []);
  const gone = planFrom(one(''), one(''), { retained, current: applied(one(''), 'deleted') });
  assert.equal(gone.problems.length, 1);
});

test('L80 to take back reuseData, or to give it, touches nothing that runs', () => {
  const result = only(planFrom(one(''), one(', reuseData: true')));
  assert.deepEqual([result.result, result.effect, result.because], ['updated', 'none', ['reuseData']]);
  assert.equal(only(planFrom(one(', reuseData: true'), one(''))).effect, 'none');
});
