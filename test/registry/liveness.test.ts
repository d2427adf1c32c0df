/** What heartbeats become: facts on transitions, silence that is nobody else's downtime, and every road to RUNNING. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { EventData, StoredEvent } from '../../src/core/events.ts';
import type { Store } from '../../src/ports/store.ts';
import { TargetError } from '../../src/ports/target.ts';
import type { HeartbeatResult } from '../../src/runtime/api.ts';
import type { Beat } from '../../src/runtime/beats.ts';
import { PROBES_AT_ONCE } from '../../src/runtime/limits.ts';
import { nextBeatMs } from '../../src/runtime/registry.ts';
import { BY, FLEET, hangs, Stage } from '../runtime/stage.ts';

type StageAsk = NonNullable<ConstructorParameters<typeof Stage>[0]>;

const EVERY_MS = 10_000;
const SILENT_MS = 30_000;
const BEATS = ', heartbeat: { every: 10s, silentAfter: 30s, startGrace: 60s }';
const EXTERNAL = '{ target: external, heartbeat: { every: 10s, silentAfter: 30s } }';

async function started(ask: StageAsk = {}): Promise<Stage> {
  const stage = new Stage(ask);
  await stage.during(stage.runtime.start(), 60_000);
  return stage;
}

async function declare(stage: Stage, instances: { readonly [name: string]: string }): Promise<void> {
  const lines = Object.entries(instances).map(([name, spec]) => `  ${name}: ${spec}\n`);
  const text = `version: 1\nfleet: ${FLEET}\ninstances:\n${lines.join('')}`;
  await stage.during(
    stage.control.apply(FLEET, { text, dryRun: false, prune: null, ifMatch: null, replace: false, by: BY }),
  );
}

function beat(stage: Stage, name: string, what: Beat = { status: 'ready' }): Promise<HeartbeatResult> {
  const token = stage.registry.env(FLEET, stage.inst(name))['HOLDFAST_INSTANCE_TOKEN'] ?? '';
  return stage.control.heartbeat(token, async () => what);
}

/** Time goes by while these beat on. */
async function beating(stage: Stage, names: readonly string[], ms: number, what?: Beat): Promise<void> {
  for (let left = ms; left > 0; left -= EVERY_MS) {
    for (const name of names) await beat(stage, name, what);
    await stage.pass(Math.min(EVERY_MS, left));
  }
}

const eventsOf = (stage: Stage): Promise<readonly StoredEvent[]> =>
  stage.store.read(FLEET, { after: 0, limit: 100_000 });

async function reports(stage: Stage, name: string): Promise<readonly EventData['agent.reported'][]> {
  const found = await eventsOf(stage);
  return found.flatMap((event) => (event.type === 'agent.reported' && event.instance === name ? [event.data] : []));
}

const kinds = async (stage: Stage, name: string): Promise<readonly string[]> =>
  (await reports(stage, name)).map(({ report }) => report);
const phase = (stage: Stage, name: string): string => stage.inst(name).phase;

async function upAndHeard(names: readonly string[], more = BEATS, ask: StageAsk = {}): Promise<Stage> {
  const stage = await started(ask);
  await stage.up(names, more);
  for (const name of names) await beat(stage, name);
  await stage.pass(1_000);
  for (const name of names) assert.equal(phase(stage, name), 'RUNNING');
  return stage;
}

describe('only transitions reach the log', () => {
  test('L49 a thousand beats that say the same write nothing', async () => {
    const stage = await upAndHeard(['a']);
    const { seq } = stage.fleet.loop.state;
    for (let n = 0; n < 1_000; n += 1) await beat(stage, 'a', { status: 'ready', activeTasks: 0, work: n });
    await stage.pass(5_000);
    assert.equal(stage.fleet.loop.state.seq, seq);
  });

  test('each edge is one fact: heard, busy, idle, version, degraded, well, silent, recovered', async () => {
    const stage = await upAndHeard(['a'], `${BEATS}, onSilent: alert`);
    const says = async (what: Beat): Promise<void> => {
      for (let n = 0; n < 3; n += 1) await beat(stage, 'a', what);
      await stage.pass(2_000);
    };
    await says({ activeTasks: 2, version: '1' });
    await says({ activeTasks: 0, version: '2' });
    await says({ errorRate: 0.5 });
    await says({ errorRate: 0.3 });
    await says({ errorRate: 0.05 });
    await says({ status: 'wedged', message: 'out of memory' });
    await says({ status: 'ready' });
    await stage.pass(SILENT_MS + 1_000);
    await says({ status: 'ready' });
    assert.deepEqual(await kinds(stage, 'a'), [
      'first', 'busy', 'version', 'idle', 'version', 'degraded', 'well', 'degraded', 'well', 'silent', 'recovered',
    ]); // prettier-ignore
    const said = (await reports(stage, 'a')).flatMap((data) => (data.report === 'degraded' ? [data.message] : []));
    assert.deepEqual(said, ['its error rate is 50 %', 'wedged: out of memory']);
  });

  test('an agent that changes its mind with every beat is believed once a second', async () => {
    const stage = await upAndHeard(['a']);
    for (let n = 0; n < 200; n += 1) {
      await beat(stage, 'a', { activeTasks: n % 2 });
      await stage.pass(50);
    }
    const edges = (await kinds(stage, 'a')).length;
    assert.ok(edges > 3 && edges < 15, `${edges} facts in 10 s`);
  });

  test('10,000 that reconnect at once are one batch of facts, not 10,000', async () => {
    const names = Array.from({ length: 10_000 }, (_, n) => `e${n}`);
    let appends = 0;
    const store = (inner: Store): Store => ({
      ...inner,
      append: (...args) => {
        appends += 1;
        return inner.append(...args);
      },
    });
    const stage = await started({ store });
    await declare(stage, Object.fromEntries(names.map((name) => [name, EXTERNAL])));
    await stage.pass(1_000);
    appends = 0;
    for (const name of names) await beat(stage, name);
    await stage.pass(1_000);
    assert.ok(names.every((name) => phase(stage, name) === 'RUNNING'));
    assert.ok(appends <= 3, `${appends} appends`);
    const { nextSeconds } = (await beat(stage, 'e0')) as { nextSeconds: number };
    assert.equal(nextSeconds, 10, 'ten thousand every ten seconds are bearable');
  });
});

describe('when to come again', () => {
  test('is as declared for a few, and later for very many, but never so late as to look silent', async () => {
    const stage = await upAndHeard(['a']);
    const inst = stage.inst('a');
    assert.deepEqual(
      [1, 10_000, 14_500, 1_000_000].map((agents) => nextBeatMs(inst, agents)),
      [10_000, 10_000, 14_500, 15_000],
    );
    const quick = {
      ...inst,
      spec: { ...inst.spec, heartbeat: { everyMs: 500, silentAfterMs: 90_000, startGraceMs: 1_000 } },
    };
    assert.deepEqual(
      [1, 999, 50_000].map((agents) => nextBeatMs(quick, agents)),
      [500, 999, 45_000],
    );
  });
});

describe('silence', () => {
  test('L08 an agent that is dead while its process lives is not shown as healthy, and is restarted after a second silence', async () => {
    const stage = await upAndHeard(['a']);
    await stage.pass(SILENT_MS + 2_000);
    assert.equal(phase(stage, 'a'), 'DEGRADED');
    assert.ok(!stage.target.calls.includes('stop a'), 'silence alone kills nobody');
    await stage.pass(SILENT_MS);
    assert.deepEqual(stage.target.calls.slice(-2), ['stop a', 'start a']);
    await beat(stage, 'a');
    await stage.pass(2_000);
    assert.equal(phase(stage, 'a'), 'RUNNING');
  });

  test('L05 of one that answers when it is asked restarts nobody', async () => {
    const health = ', health: { http: { port: 1, path: / }, every: 5s, silentAfter: 30s, startGrace: 60s }';
    const stage = await upAndHeard(['a'], `${BEATS}${health}`);
    await stage.pass(10 * SILENT_MS);
    assert.deepEqual(stage.target.calls, ['provision a']);
    assert.ok((await kinds(stage, 'a')).includes('silent'));
  });

  test('L02 an engine that cannot be asked for its verdict gives none: only a bad one is acted on', async () => {
    const health = ', health: { engine: true, every: 5s, silentAfter: 30s, startGrace: 60s }';
    const stage = await started();
    stage.target.health = async () => ({ ok: true, message: 'healthy' });
    await stage.up(['a'], health);
    await stage.pass(10_000);
    assert.equal(phase(stage, 'a'), 'RUNNING');
    stage.target.health = async () => {
      throw new TargetError({ class: 'transient', fault: 'target', code: 'down', message: 'no answer' });
    };
    await stage.pass(10 * SILENT_MS);
    assert.deepEqual([phase(stage, 'a'), stage.target.calls], ['RUNNING', ['provision a']]);
    stage.target.health = async () => ({ ok: false, message: 'unhealthy' });
    await stage.pass(10 * SILENT_MS);
    assert.ok(stage.target.calls.includes('stop a'), 'it is restarted');
  });

  test('many that hang do not keep the others from being asked, nor are all asked at once', async () => {
    const health = ', health: { http: { port: 1, path: / }, every: 5s, silentAfter: 60s, startGrace: 60s }';
    const names = Array.from({ length: 300 }, (_, at) => `h${at}`);
    let asking = 0;
    let most = 0;
    const probe: StageAsk['probe'] = async (inst, signal) => {
      asking += 1;
      most = Math.max(most, asking);
      try {
        if (inst.name !== 'last') await hangs(signal);
        return { ok: true, message: 'ok' };
      } finally {
        asking -= 1;
      }
    };
    const stage = await started({ probe });
    await stage.up(names, health);
    await stage.up([...names, 'last'], health);
    await stage.pass(30_000);
    assert.equal(phase(stage, 'last'), 'RUNNING');
    assert.ok(most > 1 && most <= PROBES_AT_ONCE, `${most} were asked at once`);
  });

  test('L05 a quiet one that beats and has nothing to do is left alone', async () => {
    const stage = await upAndHeard(['a']);
    await beating(stage, ['a'], 20 * SILENT_MS, { status: 'ready', activeTasks: 0, work: 0 });
    assert.deepEqual(stage.target.calls, ['provision a']);
    assert.equal(phase(stage, 'a'), 'RUNNING');
  });

  test('L06 a slow boot is starting, not dead, for as long as its own start grace', async () => {
    const stage = await started();
    await stage.up(['a'], ', heartbeat: { every: 10s, silentAfter: 30s, startGrace: 5m }');
    await stage.pass(240_000);
    assert.equal(phase(stage, 'a'), 'RECONCILING');
    await beat(stage, 'a');
    await stage.pass(1_000);
    assert.equal(phase(stage, 'a'), 'RUNNING');
    assert.deepEqual(stage.target.calls, ['provision a']);
  });

  test('on hold it is said, and heals by being heard; nothing is restarted', async () => {
    const stage = await upAndHeard(['a']);
    await stage.during(
      stage.control.hold(FLEET, { reason: 'night', forMs: null, target: null, instances: null, by: BY }),
    );
    await stage.pass(4 * SILENT_MS);
    assert.equal(phase(stage, 'a'), 'DEGRADED');
    assert.equal((await beat(stage, 'a')).kind, 'heard');
    await stage.pass(1_000);
    assert.equal(phase(stage, 'a'), 'RUNNING');
    assert.deepEqual(stage.target.calls, ['provision a']);
  });
});

describe('progress', () => {
  test('L07 busy without progress is DEGRADED with the reason, and well again with the next step', async () => {
    const stage = await upAndHeard(['a']);
    await beating(stage, ['a'], SILENT_MS + 2 * EVERY_MS, { status: 'ready', activeTasks: 1, work: 41 });
    assert.equal(phase(stage, 'a'), 'DEGRADED');
    assert.match(
      stage.inst('a').agent?.degraded?.message ?? '',
      /^it is busy, and its work has stood at 41 for 3\d s$/,
    );
    await beat(stage, 'a', { activeTasks: 1, work: 42 });
    await stage.pass(2_000);
    assert.equal(phase(stage, 'a'), 'RUNNING');
  });

  test('idle without progress is rest, and busy without a counter is believed', async () => {
    const stage = await upAndHeard(['a', 'b']);
    for (let n = 0; n < 10; n += 1) {
      await beat(stage, 'a', { activeTasks: 0, work: 41 });
      await beat(stage, 'b', { activeTasks: 3 });
      await stage.pass(EVERY_MS);
    }
    assert.deepEqual([phase(stage, 'a'), phase(stage, 'b')], ['RUNNING', 'RUNNING']);
  });

  test('a new life starts from its own counter, even if that reads the same', async () => {
    const stage = await upAndHeard(['a']);
    const stuck = { status: 'ready', activeTasks: 1, work: 1 };
    await beating(stage, ['a'], SILENT_MS - EVERY_MS, stuck);
    await stage.during(stage.control.command(FLEET, 'a', 'restart', BY));
    await stage.pass(1_000);
    await beating(stage, ['a'], SILENT_MS - EVERY_MS, stuck);
    assert.ok(!(await kinds(stage, 'a')).includes('degraded'));
  });

  test('L60 idle is measured by work, not by beats: a lazy one that beats sleeps, and one that works does not', async () => {
    const stage = await started();
    await stage.up(['a', 'b'], `${BEATS}, lifecycle: lazy, idleAfter: 40s`);
    for (const name of ['a', 'b']) await stage.during(stage.control.command(FLEET, name, 'wake', BY));
    await stage.pass(1_000);
    for (let n = 0; n < 8; n += 1) {
      if (phase(stage, 'a') !== 'SLEEPING') await beat(stage, 'a', { activeTasks: 0 });
      await beat(stage, 'b', { activeTasks: 1, work: n });
      await stage.pass(EVERY_MS);
    }
    assert.deepEqual([phase(stage, 'a'), phase(stage, 'b')], ['SLEEPING', 'RUNNING']);
    assert.ok(!(await kinds(stage, 'a')).includes('silent'), 'asleep is not silent');
  });
});

describe('our own downtime is not theirs', () => {
  test('L11 L12 after it everybody has a full grace, and who stays silent is noticed after that', async () => {
    const stage = await upAndHeard(['a', 'b']);
    stage.kill();
    await stage.pass(20 * SILENT_MS);
    const next = new Stage({ clock: stage.clock, disk: stage.disk });
    for (const [uid, item] of stage.target.held) next.target.held.set(uid, item);
    await next.during(next.runtime.start(), 60_000);
    await next.pass(3_000);
    const { ownerAt } = next.fleet.loop.state;
    await beating(next, ['a'], SILENT_MS + EVERY_MS);
    assert.deepEqual([phase(next, 'a'), phase(next, 'b')], ['RUNNING', 'DEGRADED']);
    const silent = (await eventsOf(next)).find(
      (event) => event.type === 'agent.reported' && event.data.report === 'silent',
    );
    assert.equal(silent?.instance, 'b');
    assert.ok((silent?.at ?? 0) - ownerAt >= SILENT_MS, 'it had a full grace');
    assert.deepEqual(next.target.calls, []);
  });

  test('L12 a silence that fell due while nobody watched is said by the next owner, and said once', async () => {
    const stage = await upAndHeard(['a', 'b', 'long']);
    await beating(stage, ['a', 'b'], 2 * SILENT_MS);
    assert.ok((await kinds(stage, 'long')).includes('silent'), 'it was silent before');
    stage.kill();
    await stage.pass(20 * SILENT_MS);
    const next = new Stage({ clock: stage.clock, disk: stage.disk });
    for (const [uid, item] of stage.target.held) next.target.held.set(uid, item);
    await next.during(next.runtime.start(), 60_000);
    const { ownerAt } = next.fleet.loop.state;
    await beating(next, ['a'], 4 * SILENT_MS);
    const silent = (await eventsOf(next)).filter(
      (event) => event.type === 'agent.reported' && event.data.report === 'silent' && event.at >= ownerAt,
    );
    assert.deepEqual(
      silent.map(({ instance }) => instance).filter((name) => name !== 'long'),
      ['b'],
    );
  });

  test('L11 L71 while the log cannot be written beats are refused, and nobody is called silent for it', async () => {
    let broken = false;
    const down = (): Promise<never> => Promise.reject(new Error('the disk is full'));
    const store = (inner: Store): Store => ({
      ...inner,
      append: (...args) => (broken ? down() : inner.append(...args)),
      tick: (...args) => (broken ? down() : inner.tick(...args)),
    });
    const stage = await upAndHeard(['a', 'b'], BEATS, { store });
    broken = true;
    stage.fleet.loop.poke();
    await stage.pass(1_000);
    await assert.rejects(beat(stage, 'a'), { kind: 'unavailable', rule: 'log-not-writable' });
    await stage.pass(3 * SILENT_MS);
    broken = false;
    await stage.pass(6_000);
    await beating(stage, ['a'], SILENT_MS - EVERY_MS);
    assert.deepEqual([phase(stage, 'a'), phase(stage, 'b')], ['RUNNING', 'RUNNING']);
    await beating(stage, ['a'], SILENT_MS);
    assert.deepEqual([phase(stage, 'a'), phase(stage, 'b')], ['RUNNING', 'DEGRADED']);
    assert.equal((await kinds(stage, 'b')).filter((kind) => kind === 'silent').length, 1, 'said once');
  });

  test('what the loop cannot take is offered again, and is not lost', async () => {
    const stage = await started();
    await stage.up(['a'], BEATS);
    const { loop } = stage.fleet;
    const report = loop.report.bind(loop);
    loop.report = () => false;
    await beat(stage, 'a');
    await stage.pass(5_000);
    assert.equal(phase(stage, 'a'), 'RECONCILING');
    loop.report = report;
    await stage.pass(2_000);
    assert.equal(phase(stage, 'a'), 'RUNNING');
    loop.report = () => false;
    await stage.pass(SILENT_MS + 2_000);
    loop.report = report;
    await stage.pass(2_000);
    assert.equal(phase(stage, 'a'), 'DEGRADED');
  });
});

describe('one that is stopped', () => {
  test('L18 is told so, and a late beat changes nothing', async () => {
    const stage = await upAndHeard(['a']);
    await stage.during(stage.control.command(FLEET, 'a', 'stop', BY));
    await stage.pass(2_000);
    assert.equal(phase(stage, 'a'), 'STOPPED');
    const { seq } = stage.fleet.loop.state;
    const answer = await beat(stage, 'a', { status: 'wedged', activeTasks: 3, version: '9' });
    assert.deepEqual(answer, { kind: 'heard', desired: 'stopped', nextSeconds: 10 });
    await stage.pass(2 * SILENT_MS);
    assert.deepEqual([phase(stage, 'a'), stage.fleet.loop.state.seq], ['STOPPED', seq]);
  });

  test('the last beat of a life that ended does not make the next one heard', async () => {
    const stage = await upAndHeard(['a']);
    stage.target.before = (verb, _subject, signal) => (verb === 'start' ? hangs(signal) : Promise.resolve());
    stage.target.exits('a');
    await beat(stage, 'a');
    await stage.pass(200);
    stage.target.before = async () => undefined;
    await stage.pass(3 * 60_000);
    assert.equal(stage.inst('a').resource?.state, 'running');
    assert.notEqual(stage.inst('a').agent?.heard, 'heard');
  });
});

describe('L14 every road to RUNNING passes the same place:', () => {
  /** Each leaves `a` running and not heard in its present life; what follows is the same for all. */
  const ROADS: { readonly [road: string]: (stage: Stage) => Promise<unknown> } = {
    'a first provision': async () => undefined,
    'recovery from silence': (stage) => stage.pass(SILENT_MS + 2_000),
    'a crash that is healed': async (stage) => stage.target.exits('a'),
    'a restart that was asked': (stage) => stage.during(stage.control.command(FLEET, 'a', 'restart', BY)),
    'a stop and a resume': async (stage) => {
      await stage.during(stage.control.command(FLEET, 'a', 'stop', BY));
      await stage.pass(2_000);
      await stage.during(stage.control.command(FLEET, 'a', 'resume', BY));
    },
    'a new provision of what was lost': async (stage) => {
      stage.target.held.clear();
      await stage.pass(4_000);
      await stage.during(stage.control.override(FLEET, { target: 'fake', identity: null, rollout: false, by: BY }));
    },
    'an update while it runs': (stage) => declare(stage, { a: `{ target: fake, run: { n: 2 }${BEATS} }` }),
    'a restart behind our back': async (stage) => {
      const [uid = '', item] = [...stage.target.held][0] ?? [];
      if (item !== undefined)
        stage.target.held.set(uid, { ...item, look: { ...item.look, incarnation: 'life-99', restarts: 1 } });
    },
  };

  for (const [road, take] of Object.entries(ROADS)) {
    for (const early of [false, true]) {
      test(`${road}, ${early ? 'with its first beat before we know that it runs' : 'then its first beat'}`, async () => {
        const stage = await started();
        // The agent beats once, at the very moment of its start, and then in its rhythm.
        stage.target.before = async (verb) => {
          if (early && (verb === 'provision' || verb === 'start' || verb === 'update'))
            setImmediate(() => void beat(stage, 'a'));
        };
        await stage.up(['a'], BEATS);
        if (road !== 'a first provision') {
          await beat(stage, 'a');
          await stage.pass(1_000);
          assert.equal(phase(stage, 'a'), 'RUNNING');
          await take(stage);
          await stage.pass(5_000);
          if (!early) assert.notEqual(phase(stage, 'a'), 'RUNNING', 'it was believed without a beat');
        }
        await beat(stage, 'a');
        await stage.pass(2_000);
        assert.equal(phase(stage, 'a'), 'RUNNING');
        assert.equal(stage.inst('a').agent?.heard, 'heard');
      });
    }
  }

  test('adoption after our own restart, heard only then', async () => {
    const stage = await started();
    await stage.up(['a'], BEATS);
    stage.kill();
    const next = new Stage({ clock: stage.clock, disk: stage.disk });
    for (const [uid, item] of stage.target.held) next.target.held.set(uid, item);
    await next.during(next.runtime.start(), 60_000);
    await next.pass(3_000);
    assert.equal(phase(next, 'a'), 'RECONCILING');
    await beat(next, 'a');
    await next.pass(1_000);
    assert.equal(phase(next, 'a'), 'RUNNING');
  });

  test('its very first sign of life is a heartbeat that comes while it is being provisioned: one is enough', async () => {
    const stage = await started();
    stage.target.before = async (verb) => {
      if (verb === 'provision') await beat(stage, 'a');
    };
    await stage.up(['a'], BEATS);
    assert.equal(phase(stage, 'a'), 'RUNNING');
  });
});

describe('external instances', () => {
  test('are CREATING until heard, RUNNING, OFFLINE when silent, and back by themselves; nothing is ever done for them', async () => {
    const stage = await started();
    await declare(stage, { laptop: EXTERNAL });
    await stage.pass(5 * SILENT_MS);
    assert.equal(phase(stage, 'laptop'), 'CREATING');
    await beating(stage, ['laptop'], SILENT_MS);
    assert.equal(phase(stage, 'laptop'), 'RUNNING');
    await stage.pass(SILENT_MS + 2_000);
    assert.equal(phase(stage, 'laptop'), 'OFFLINE');
    await stage.pass(10 * SILENT_MS);
    await beat(stage, 'laptop');
    await stage.pass(1_000);
    assert.equal(phase(stage, 'laptop'), 'RUNNING');
    const decided = (await eventsOf(stage)).flatMap((event) =>
      event.type === 'tick.decided' ? event.data.actions : [],
    );
    assert.deepEqual(decided, []);
  });

  test('get a new token that voids the one before, and none after deletion', async () => {
    const stage = await started();
    await declare(stage, { laptop: EXTERNAL });
    const ask = async (): Promise<string> =>
      (await stage.during(stage.control.renewAgentToken(FLEET, 'laptop', BY))).token;
    const [one, two] = [await ask(), await ask()];
    const kind = async (token: string): Promise<string> =>
      (await stage.control.heartbeat(token, async () => ({}))).kind;
    assert.deepEqual([await kind(one), await kind(two)], ['unknown', 'heard']);
    await stage.during(stage.control.delete(FLEET, 'laptop', { data: null, forget: false }, BY));
    await stage.pass(1_000);
    assert.equal(await kind(two), 'gone');
    await assert.rejects(ask(), { kind: 'not-found' });
  });

  test('may not be given anything to run', async () => {
    const stage = await started();
    await assert.rejects(
      declare(stage, { x: '{ target: external, run: { command: [a] }, heartbeat: { every: 10s } }' }),
      /has an error/,
    );
    await assert.rejects(
      declare(stage, { x: '{ target: external, lifecycle: lazy, heartbeat: { every: 10s } }' }),
      /has an error/,
    );
    await assert.rejects(declare(stage, { x: '{ target: external }' }), /has an error/);
  });
});
