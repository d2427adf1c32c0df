/** Stored secrets on the real runtime: from being stored to an agent's environment, and nowhere else. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { checkText } from '../../src/core/audit.ts';
import { freeze } from '../../src/core/snapshot.ts';
import type { Store } from '../../src/ports/store.ts';
import type { Subject } from '../../src/ports/target.ts';
import { Refusal } from '../../src/runtime/api.ts';
import { VERSIONS_KEPT } from '../../src/runtime/secrets/limits.ts';
import { createMemoryStore } from '../../src/stores/memory.ts';
import { testKey } from '../support/secret-key.ts';
import { BY, FLEET, Stage } from './stage.ts';

const OLD = 'sk-old-0123456789';
const NEW = 'sk-new-0123456789';

const put = (stage: Stage, name: string, value: string) =>
  stage.during(stage.control.putSecret(FLEET, name, value, BY));

/** `names`: instances of the manifest; each has KEY in its environment, or what `env` says. */
async function declare(stage: Stage, names: readonly string[], env = 'KEY: "Bearer ${secret:llm}"', more = '') {
  const lines = names.map((name) => `  ${name}: { target: fake, run: { env: { ${env} } } }\n`);
  const text = `version: 1\nfleet: ${FLEET}\n${more}instances:${lines.length === 0 ? ' {}' : ''}\n${lines.join('')}`;
  const ask = { text, dryRun: false, prune: null, ifMatch: null, replace: false, by: BY };
  return stage.during(stage.control.apply(FLEET, ask));
}

/** What each verb was given as KEY, as `verb instance value`. */
function overhear(stage: Stage): string[] {
  const heard: string[] = [];
  stage.target.before = async (verb, subject: Subject) => {
    const env = subject.spec.run['env'] as { KEY?: string } | undefined;
    heard.push(`${verb} ${subject.instance} ${env?.KEY ?? '-'}`);
  };
  return heard;
}

const refusal =
  (kind: Refusal['kind'], rule: string, words?: RegExp) =>
  (error: unknown): boolean => {
    assert.ok(error instanceof Refusal, String(error));
    assert.deepEqual([error.kind, error.rule], [kind, rule]);
    if (words !== undefined) assert.match(`${error.message} ${JSON.stringify(error.errors)}`, words);
    return true;
  };

async function logOf(stage: Stage): Promise<string> {
  return JSON.stringify(await stage.store.read(FLEET, { after: 0, limit: 100_000 }));
}

async function begun(ask: ConstructorParameters<typeof Stage>[0] = {}): Promise<Stage> {
  const stage = new Stage(ask);
  await stage.runtime.start();
  return stage;
}

test('L70 a stored secret reaches the agent, and neither manifest, log, snapshot nor answer', async () => {
  const stage = await begun();
  const heard = overhear(stage);
  const stored = await put(stage, 'llm', OLD);
  assert.deepEqual([stored.version, stored.usedBy, stored.note], [1, [], null]);
  await declare(stage, ['a']);
  await stage.pass(3_000);
  assert.deepEqual(heard, [`provision a Bearer ${OLD}`]);
  const said = [
    await logOf(stage),
    freeze(stage.fleet.loop.state),
    JSON.stringify(await stage.control.instance(FLEET, 'a')),
    JSON.stringify(await stage.control.manifest(FLEET, null)),
    JSON.stringify(await stage.control.secrets(FLEET)),
    JSON.stringify(await stage.control.why(FLEET, 'a', null)),
    await stage.control.metrics(),
    JSON.stringify(stage.lines),
  ];
  for (const text of said) assert.deepEqual(checkText(text, new Map([['llm', OLD]]), 'it'), []);
  assert.match(said[2] ?? '', /Bearer \$\{secret:llm\}/);
  const [row] = await stage.store.secrets(FLEET);
  assert.ok(row !== undefined && !Buffer.from(row.sealed).includes(OLD));
});

test('what an agent says of its secret is taken out before it is written, logged or answered', async () => {
  const stage = await begun();
  await put(stage, 'llm', OLD);
  await declare(stage, ['a', 'b']);
  await stage.pass(3_000);
  stage.target.before = async (verb) => {
    if (verb === 'start') throw new Error(`env KEY=${OLD} is not accepted`);
  };
  stage.target.exits('a', 1, `the key is ${OLD}`);
  await stage.pass(2_000);
  const log = await logOf(stage);
  assert.ok(log.includes('the key is [secret:llm]'), 'the last output');
  assert.ok(log.includes('env KEY=[secret:llm] is not accepted'), 'the error of an operation');
  assert.ok(!log.includes(OLD));
  assert.ok(!JSON.stringify(await stage.control.instance(FLEET, 'a')).includes(OLD));
  stage.target.logs = async function* () {
    yield Buffer.from(`say ${OLD.slice(0, 7)}`);
    yield Buffer.from(`${OLD.slice(7)}!`);
  };
  const out: Uint8Array[] = [];
  const chunks = await stage.control.logs(
    FLEET,
    'b',
    { follow: false, tail: 9, previous: false },
    new AbortController().signal,
  );
  for await (const chunk of chunks) out.push(chunk);
  assert.equal(Buffer.concat(out).toString(), 'say [secret:llm]!');
});

describe('rotation', () => {
  test('L79 a new version is drift, and goes to one first', async () => {
    const stage = await begun();
    const heard = overhear(stage);
    await put(stage, 'llm', OLD);
    const names = ['a', 'b', 'c', 'd'];
    await declare(stage, names, undefined, 'policy: { rollout: { healthyFor: 30s } }\n');
    await stage.pass(3_000);
    heard.length = 0;
    const stored = await put(stage, 'llm', NEW);
    assert.deepEqual([stored.version, stored.usedBy], [2, names]);
    await stage.pass(5_000);
    assert.deepEqual(heard, [`update a Bearer ${NEW}`]);
    await stage.pass(5 * 60_000);
    assert.deepEqual(
      heard,
      names.map((name) => `update ${name} Bearer ${NEW}`),
    );
    for (const name of names) assert.equal(stage.inst(name).phase, 'RUNNING');
  });

  test('L79 a bad one stops with the first, and the next one goes on', async () => {
    const stage = await begun();
    await put(stage, 'llm', OLD);
    await declare(stage, ['a', 'b', 'c']);
    await stage.pass(3_000);
    stage.target.before = async (verb) => {
      if (verb === 'update') throw new Error('401');
    };
    await put(stage, 'llm', NEW);
    await stage.pass(60_000);
    assert.deepEqual(
      stage.target.calls.filter((call) => call.startsWith('update')).map((call) => call.split(' ')[1]),
      Array<string>(stage.target.calls.filter((call) => call.startsWith('update')).length).fill('a'),
    );
    assert.equal(stage.inst('b').hold?.reason, 'rollout-failed');
    const heard = overhear(stage);
    await put(stage, 'llm', 'sk-good-0123456789');
    await stage.pass(5 * 60_000);
    assert.deepEqual(
      heard.toSorted(),
      ['a', 'b', 'c'].map((name) => `update ${name} Bearer sk-good-0123456789`),
    );
  });

  test('an instance that does not use it keeps its hashes and its life', async () => {
    const stage = await begun();
    await put(stage, 'llm', OLD);
    await put(stage, 'other', OLD);
    await declare(stage, ['a']);
    await stage.pass(3_000);
    const { hashes } = stage.inst('a');
    await put(stage, 'other', NEW);
    await stage.pass(3_000);
    assert.deepEqual(stage.inst('a').hashes, hashes);
    assert.deepEqual(stage.target.calls, ['provision a']);
  });

  test('a manifest that is applied later counts with the version in force, so that nothing differs', async () => {
    const stage = await begun();
    await put(stage, 'llm', OLD);
    await put(stage, 'llm', NEW);
    await declare(stage, ['a']);
    await stage.pass(3_000);
    const again = await declare(stage, ['a']);
    assert.deepEqual(
      again.results.map(({ result }) => result),
      ['unchanged'],
    );
    const next = await declare(stage, ['a', 'b']);
    assert.deepEqual(
      next.results.map(({ result }) => result),
      ['unchanged', 'created'],
    );
    assert.equal(stage.inst('a').hashes.infra, stage.inst('b').hashes.infra);
  });

  test('only the last few versions are kept', async () => {
    const stage = await begun();
    for (let i = 1; i <= VERSIONS_KEPT + 3; i += 1) await put(stage, 'llm', `sk-number-${i}-xxxx`);
    const kept = (await stage.store.secrets(FLEET)).map(({ version }) => version);
    assert.deepEqual(kept, [4, 5, 6]);
  });
});

describe('what cannot be', () => {
  test('a manifest that names a secret which is not stored is refused with path and line', async () => {
    const stage = await begun();
    await put(stage, 'llm', OLD);
    await assert.rejects(
      declare(stage, ['a'], 'KEY: "${secret:lmm}"'),
      refusal('invalid', 'manifest', /instances\.a\.run\.env\.KEY.*"line":4.*did you mean \\"llm\\"/),
    );
  });

  test('a manifest that holds a stored value in plain is refused, and so is what is shown in its place', async () => {
    const stage = await begun();
    await put(stage, 'llm', OLD);
    await assert.rejects(
      declare(stage, ['a'], `KEY: "Bearer ${OLD}"`),
      refusal('invalid', 'manifest', /instances\.a\.run\.env\.KEY.*the value of secret \\"llm\\" stands here in plain/),
    );
    await assert.rejects(
      declare(stage, ['a'], 'KEY: "[secret:llm]"'),
      refusal('invalid', 'manifest', /is what is shown in place of a value/),
    );
    await assert.rejects(declare(stage, [`x-${OLD}`]), refusal('invalid', 'manifest', /part of this name/));
    assert.ok(!(await logOf(stage)).includes(OLD));
  });

  test('a secret in use is not deleted; afterwards it is, with its values, and its versions are not used again', async () => {
    const stage = await begun();
    await put(stage, 'llm', OLD);
    await put(stage, 'llm', NEW);
    await declare(stage, ['a']);
    await stage.pass(3_000);
    const remove = () => stage.during(stage.control.deleteSecret(FLEET, 'llm', BY));
    await assert.rejects(remove(), refusal('conflict', 'secret-in-use', /used by a:/));
    await declare(stage, ['a'], 'KEY: none');
    await remove();
    assert.deepEqual([await stage.control.secrets(FLEET), await stage.store.secrets(FLEET)], [[], []]);
    await assert.rejects(remove(), refusal('not-found', 'no-secret'));
    assert.equal((await put(stage, 'llm', OLD)).version, 3);
    assert.equal((await put(stage, 'fresh', OLD)).version, 3);
  });

  test('bad names and values are refused, and nothing is made for them', async () => {
    const stage = await begun();
    const kinds: readonly (readonly [name: string, value: string, rule: string])[] = [
      ['a b', OLD, 'secret-name'],
      ['llm', '', 'secret-value'],
      ['llm', 'a\0b', 'secret-value'],
      ['llm', 'x'.repeat(32 * 1024 + 1), 'secret-value'],
    ];
    for (const [name, value, rule] of kinds) await assert.rejects(put(stage, name, value), refusal('invalid', rule));
    assert.deepEqual(await stage.store.fleets(), []);
    await declare(stage, ['production-1'], 'KEY: x');
    await assert.rejects(put(stage, 'stage', 'production'), refusal('conflict', 'secret-in-name'));
    assert.match((await put(stage, 'pin', '1234')).note ?? '', /fewer than 8 characters/);
  });

  test('a value that stands in plain in the manifest may become a secret, with a word about it', async () => {
    const stage = await begun();
    await declare(stage, ['a'], `KEY: "${OLD}"`);
    assert.match((await put(stage, 'llm', OLD)).note ?? '', /stands in plain in the manifest/);
    assert.ok(!JSON.stringify(await stage.control.instance(FLEET, 'a')).includes(OLD), 'and is shown no more');
  });
});

describe('between the value and the fact', () => {
  test('a crash leaves a version that nobody is given; the next one has another number', async () => {
    let fails = false;
    const first = await begun({
      store: (inner): Store => ({
        ...inner,
        append: (...args) => (fails ? Promise.reject(new Error('killed')) : inner.append(...args)),
      }),
    });
    await put(first, 'llm', OLD);
    await declare(first, ['a']);
    await first.pass(3_000);
    fails = true;
    await assert.rejects(put(first, 'llm', NEW), refusal('unavailable', 'log-not-writable'));
    first.kill();
    const second = new Stage({ after: first, owner: 'second' });
    await second.during(second.runtime.start(), 60_000);
    const heard = overhear(second);
    assert.equal((await second.control.secrets(FLEET))[0]?.version, 1);
    await second.control.command(FLEET, 'a', 'restart', BY);
    await second.pass(10_000);
    assert.ok(
      heard.some((call) => call === `provision a Bearer ${OLD}` || call === `start a Bearer ${OLD}`),
      heard.join(),
    );
    assert.ok(heard.every((call) => !call.includes(NEW)));
    assert.equal((await put(second, 'llm', NEW)).version, 3);
  });

  test('what another wrote meanwhile is no conflict for whoever stores', async () => {
    const stage = await begun();
    await put(stage, 'llm', OLD);
    await declare(stage, ['a']);
    const [one, other] = await stage.during(
      Promise.all([
        stage.control.putSecret(FLEET, 'llm', 'sk-one-0123456789', BY),
        stage.control.putSecret(FLEET, 'llm', 'sk-other-0123456789', BY),
      ]),
    );
    assert.notEqual(one.version, other.version);
    const last = Math.max(one.version, other.version);
    assert.equal((await stage.control.secrets(FLEET))[0]?.version, last);
    assert.equal(stage.fleet.secret('llm'), last === one.version ? 'sk-one-0123456789' : 'sk-other-0123456789');
  });
});

describe('the key', () => {
  async function stored(): Promise<Stage> {
    const stage = await begun();
    await put(stage, 'llm', OLD);
    await declare(stage, ['a']);
    await stage.pass(3_000);
    stage.kill();
    return stage;
  }

  test('without it or with another one the start is refused in one sentence, and nothing is lost', async () => {
    const after = await stored();
    for (const [secretKey, why] of [
      [testKey(7, false), /secrets of fleet "demo" cannot be opened \(llm\): the key is missing \(the test\)/],
      [testKey(8), /sealed with another key .*Nothing is changed/],
    ] as const) {
      const wrong = new Stage({ after, owner: 'wrong', secretKey });
      await assert.rejects(wrong.during(wrong.runtime.start(), 60_000), why);
      wrong.kill();
      assert.equal(secretKey.read()?.[0], secretKey.read() === null ? undefined : 8, 'no key is made over a lost one');
    }
    const right = new Stage({ after, owner: 'right' });
    await right.during(right.runtime.start(), 60_000);
    assert.equal(right.fleet.secret('llm'), OLD);
  });

  test('whoever says that it is lost goes on: who needs a value fails with words, until it is stored anew', async () => {
    const after = await stored();
    const stage = new Stage({ after, owner: 'new', secretKey: testKey(9), withoutLostSecrets: true });
    await stage.during(stage.runtime.start(), 60_000);
    await stage.pass(2_000);
    stage.target.exits('a');
    await stage.pass(2_000);
    const { lastError } = await stage.control.instance(FLEET, 'a');
    assert.equal(lastError?.code, 'secret-unavailable');
    assert.match(lastError?.message ?? '', /secret "llm" \(version 1\) .*cannot be opened .*holdfast secret set llm/);
    const heard = overhear(stage);
    await put(stage, 'llm', NEW);
    await stage.pass(10_000);
    assert.equal(stage.inst('a').phase, 'RUNNING');
    assert.ok(heard.includes(`update a Bearer ${NEW}`), heard.join());
  });

  test('a sealed value opens only as what it was sealed as', async () => {
    const stage = await begun();
    await put(stage, 'llm', OLD);
    const [row] = await stage.store.secrets(FLEET);
    stage.kill();
    const store = createMemoryStore({ disk: stage.disk });
    await store.putSecret(FLEET, { name: 'other', version: 1, sealed: row!.sealed });
    const moved = new Stage({ after: stage, owner: 'moved' });
    await assert.rejects(moved.during(moved.runtime.start(), 60_000), /cannot be opened \(other\): they are damaged/);
  });
});

test('to stop and to delete, no secret is needed', async () => {
  const first = await begun();
  await put(first, 'llm', OLD);
  await declare(first, ['a']);
  await first.pass(3_000);
  first.kill();
  const stage = new Stage({ after: first, secretKey: testKey(9), withoutLostSecrets: true });
  await stage.during(stage.runtime.start(), 60_000);
  await stage.pass(2_000);
  const heard = overhear(stage);
  await stage.during(stage.control.delete(FLEET, 'a', { data: null, forget: false }, BY));
  await stage.pass(10_000);
  assert.deepEqual(heard, ['destroy a Bearer [secret:llm]']);
  assert.equal(stage.fleet.loop.state.instances.size, 0);
});
