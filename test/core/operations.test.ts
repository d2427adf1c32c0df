/**
 * What becomes of what was begun: results good, bad, late and lost; requests that cross them; lives that end; and what is
 * seen too late to be true.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { EventData } from '../../src/core/events.ts';
import type { Exit, OperationKind } from '../../src/core/model.ts';
import { atWork, decided, decisions, flaps, many, outlook, phases, untilOperating } from '../support/decisions.ts';
import { BEATS, config, external, lab, lazy, plugin, type Lab } from '../support/fleet.ts';

type Part = Parameters<Lab['declare']>[1];

const CRASH: Exit = { code: 1, signal: null, oom: false, output: null };

function up(part: Part = {}, options: Parameters<typeof lab>[0] = {}): Lab {
  const fleet = lab(options);
  fleet.declare('a', part);
  fleet.up('a');
  return fleet;
}

function asleep(part: Part = {}): Lab {
  const fleet = lab();
  fleet.declare('a', lazy(part));
  fleet.settle();
  return fleet;
}

/** The operation in flight ends just so. */
function ends(fleet: Lab, name: string, data: Omit<EventData['operation.ended'], 'operation'>): void {
  const operation = fleet.inst(name).operation?.id ?? 'none in flight';
  fleet.put({ type: 'operation.ended', ...fleet.of(name), data: { operation, ...data } });
}

const failures = (fleet: Lab, concern = 'run'): number => fleet.inst('a').concerns[concern]?.failures ?? 0;
const state = (fleet: Lab): string | undefined => fleet.inst('a').resource?.state;
const written = (fleet: Lab): number => fleet.log.length;

describe('deadlines', () => {
  test('L27 an operation past its deadline is aborted, not only marked, and keeps its place until it has answered', () => {
    const fleet = lab();
    fleet.declare('a');
    fleet.drain();
    fleet.advance(59_999);
    assert.equal(fleet.inst('a').operation?.abort, null);
    fleet.advance(1);
    assert.equal(fleet.inst('a').operation?.abort?.reason, 'deadline');
    assert.equal(fleet.operation('a'), 'provision');
    assert.deepEqual(decided(fleet, 'a'), ['provision', 'abort']);
  });

  test('L27 an abort unanswered after its grace is abandoned, and what comes later changes nothing', () => {
    const fleet = lab();
    fleet.declare('a');
    fleet.drain();
    const late = fleet.inst('a').operation?.id ?? '';
    const saw = fleet.look('a', 'running');
    fleet.advance(60_000 + 9_999);
    assert.equal(fleet.inst('a').operation?.id, late);
    fleet.advance(1);
    assert.deepEqual(decided(fleet, 'a'), ['provision', 'abort', 'abandon', 'provision']);
    fleet.put({ type: 'operation.ended', ...fleet.of('a'), data: { operation: late, outcome: 'succeeded', saw } });
    assert.equal(fleet.inst('a').resource, null);
    assert.equal(fleet.operation('a'), 'provision', 'the newer one is still in flight');
  });

  test('L26 the threshold is the operation’s own: a target that takes ten minutes is given them', () => {
    const fleet = lab({ targets: [] });
    fleet.sync('docker', { deadlinesMs: { provision: 600_000 }, graceMs: 60_000 });
    fleet.declare('a');
    fleet.advance(599_999);
    assert.deepEqual(decided(fleet, 'a'), ['provision']);
    fleet.advance(660_000);
    assert.equal(decided(fleet, 'a').includes('abandon'), true);
  });

  test('no operation is ever past its deadline and grace after a tick', () => {
    const fleet = lab();
    for (const name of many(5)) fleet.declare(name);
    fleet.drain();
    for (let at = 0; at < 200; at += 1) {
      fleet.advance(1_337);
      for (const { operation } of fleet.state.instances.values()) {
        if (operation !== null) assert.ok(fleet.now < operation.deadlineAt + operation.graceMs);
      }
    }
  });

  test('aborted for its deadline is timed out, by whatever word the effect answers: it backs off and gives up', () => {
    const fleet = lab({ policy: { giveUpAfter: 3 } });
    fleet.declare('a');
    fleet.drain();
    for (let at = 0; at < 3; at += 1) {
      while (fleet.inst('a').operation?.abort == null) fleet.advance(Math.max(1, fleet.agenda.nextAt - fleet.now));
      fleet.end('a', 'aborted');
      fleet.drain();
    }
    assert.equal(fleet.phase('a'), 'ERROR');
    assert.equal(fleet.inst('a').concerns.run?.error?.code, 'timed-out');
  });

  test('L55 a deletion that hangs does not hang silently: it is tried again and again, and says so', () => {
    const fleet = up();
    fleet.delete('a');
    fleet.drain();
    for (let second = 0; second < 600; second += 1) fleet.advance(1_000);
    const tries = decided(fleet, 'a').filter((type) => type === 'destroy').length;
    assert.ok(tries >= 8 && tries <= 9, `${tries} tries in ten minutes, of 70 s each`);
    assert.equal(fleet.phase('a'), 'DELETING');
    assert.equal(fleet.inst('a').concerns.stop?.error?.code, 'abandoned');
    fleet.delete('a', { forget: true });
    fleet.drain();
    fleet.advance(10_000);
    assert.equal(fleet.state.instances.size, 0, 'and an operator can let it go');
  });
});

describe('late, lost and repeated results', () => {
  test('L28 a start that timed out is not taken for one that failed: seen running, it is not started again', () => {
    const fleet = up();
    fleet.exits('a');
    fleet.drain();
    ends(fleet, 'a', { outcome: 'timed-out', saw: fleet.look('a', 'running') });
    fleet.settle();
    assert.equal(fleet.phase('a'), 'RUNNING');
    assert.equal(decided(fleet, 'a').filter((type) => type === 'start').length, 1);
  });

  test('L28 a restart that timed out and took effect is not repeated', () => {
    const fleet = up();
    fleet.command('a', 'restart');
    fleet.drain();
    ends(fleet, 'a', { outcome: 'timed-out', saw: { ...fleet.look('a', 'running'), incarnation: fleet.newLife() } });
    fleet.settle();
    assert.equal(decided(fleet, 'a').filter((type) => type === 'restart').length, 1);
    assert.deepEqual(flaps(fleet, 'a'), []);
  });

  test('L29 the result of an older operation does not touch a newer one', () => {
    const fleet = up();
    fleet.command('a', 'restart');
    fleet.drain();
    const old = fleet.inst('a').operation?.id ?? '';
    fleet.own();
    fleet.sync('docker');
    fleet.drain();
    const newer = fleet.inst('a').operation?.id;
    assert.notEqual(newer, old);
    const data = {
      operation: old,
      outcome: 'failed',
      error: { class: 'terminal', fault: 'instance', code: 'x', message: 'late' },
    } as const;
    fleet.put({ type: 'operation.ended', ...fleet.of('a'), data });
    assert.equal(fleet.inst('a').operation?.id, newer);
    assert.deepEqual(fleet.inst('a').concerns, {});
  });

  test('a result told twice counts once', () => {
    const fleet = lab();
    fleet.declare('a');
    fleet.drain();
    const { type, data } = fleet.fail('a') as Extract<ReturnType<Lab['fail']>, { type: 'operation.ended' }>;
    fleet.put({ type, ...fleet.of('a'), data });
    assert.equal(failures(fleet), 1);
  });

  test('a new owner abandons what was in flight, counts it nowhere, and looks before it acts', () => {
    const fleet = up();
    fleet.exits('a');
    fleet.drain();
    const before = failures(fleet);
    fleet.own();
    fleet.drain();
    assert.equal(fleet.operation('a'), null);
    assert.equal(fleet.hold('a'), 'unsynced');
    fleet.sync('docker');
    fleet.seen('a', 'running', { incarnation: 'begun by the old owner' });
    fleet.settle();
    assert.equal(fleet.phase('a'), 'RUNNING');
    assert.equal(failures(fleet), before);
  });

  test('L15 what failed to be created and exists all the same is adopted', () => {
    const fleet = lab();
    fleet.declare('a');
    fleet.drain();
    fleet.fail('a', { code: 'AlreadyExists' }, fleet.look('a', 'running'));
    fleet.settle();
    assert.equal(fleet.phase('a'), 'RUNNING');
    assert.deepEqual(decided(fleet, 'a'), ['provision']);
  });

  test('L16 whether it is new is judged by having been seen, not by anything that a failure sets', () => {
    const fleet = lab();
    fleet.declare('a');
    fleet.drain();
    fleet.fail('a');
    fleet.drain();
    assert.equal(fleet.inst('a').existed, false);
    assert.deepEqual(
      decisions(fleet, 'a').map((action) => action.rule),
      ['create', 'create'],
    );
    fleet.settle();
    fleet.exits('a');
    for (let at = 0; at < 3; at += 1) {
      fleet.drain();
      if (fleet.operation('a') !== null) fleet.fail('a');
    }
    fleet.command('a', 'reconcile');
    fleet.drain();
    assert.equal(decisions(fleet, 'a').at(-1)?.rule, 'start');
  });

  test('L15 asked to reconcile, what exists is never created again', () => {
    for (const seen of ['running', 'stopped', 'changing'] as const) {
      const fleet = up();
      fleet.seen('a', seen);
      const before = fleet.state.seq;
      fleet.command('a', 'reconcile');
      fleet.settle();
      assert.equal(
        decided(fleet, 'a', before).some((type) => type.startsWith('provision')),
        false,
        seen,
      );
    }
  });
});

describe('superseding', () => {
  /** Brings an operation of this kind into flight. */
  const inFlight: { readonly [kind in OperationKind]?: () => Lab } = {
    provision: () => {
      const fleet = lab();
      fleet.declare('a');
      fleet.drain();
      return fleet;
    },
    start: () => {
      const fleet = up();
      fleet.exits('a');
      fleet.drain();
      return fleet;
    },
    restart: () => {
      const fleet = up();
      fleet.command('a', 'restart');
      fleet.drain();
      return fleet;
    },
    update: () => {
      const fleet = up();
      fleet.declare('a', { run: { image: 'bot:2' } });
      fleet.drain();
      return fleet;
    },
    stop: () => {
      const fleet = up();
      fleet.command('a', 'stop');
      fleet.drain();
      return fleet;
    },
    sleep: () => {
      const fleet = asleep();
      fleet.command('a', 'wake');
      fleet.settle();
      fleet.command('a', 'sleep');
      fleet.drain();
      return fleet;
    },
    'apply-config': () => {
      const fleet = up();
      fleet.declare('a', { config: config(1) });
      fleet.drain();
      return fleet;
    },
    'install-plugin': () => {
      const fleet = up();
      fleet.declare('a', { plugins: [plugin('git+file:///x#v1')] });
      fleet.drain();
      return fleet;
    },
    destroy: () => {
      const fleet = up();
      fleet.delete('a');
      fleet.drain();
      return fleet;
    },
  };

  test('delete beats all but destroy', () => {
    for (const [kind, begin] of Object.entries(inFlight)) {
      const fleet = begin();
      assert.equal(fleet.operation('a'), kind);
      fleet.delete('a');
      fleet.drain();
      assert.equal(fleet.inst('a').operation?.abort?.reason ?? null, kind === 'destroy' ? null : 'delete', kind);
    }
  });

  test('stop beats whatever makes it run, and lets the rest end', () => {
    const beaten = new Set(['provision', 'start', 'restart', 'update']);
    for (const [kind, begin] of Object.entries(inFlight)) {
      if (kind === 'destroy') continue;
      const fleet = begin();
      fleet.command('a', 'stop');
      fleet.drain();
      assert.equal(fleet.inst('a').operation?.abort?.reason ?? null, beaten.has(kind) ? 'stop' : null, kind);
    }
  });

  test('stop does not beat what starts nothing', () => {
    const fleet = lab();
    fleet.declare('a', lazy());
    fleet.drain();
    fleet.command('a', 'stop');
    fleet.drain();
    assert.equal(fleet.inst('a').operation?.abort, null);
    fleet.settle();
    assert.equal(fleet.phase('a'), 'STOPPED');
  });

  test('what was superseded counts nowhere, and the stop follows', () => {
    const fleet = up();
    fleet.exits('a');
    fleet.drain();
    const before = failures(fleet);
    fleet.command('a', 'stop');
    fleet.drain();
    ends(fleet, 'a', { outcome: 'aborted', saw: fleet.look('a', 'running') });
    fleet.drain();
    assert.equal(fleet.operation('a'), 'stop');
    assert.equal(failures(fleet), before);
    fleet.settle();
    assert.equal(fleet.phase('a'), 'STOPPED');
  });

  test('it is aborted once, however long it takes to answer', () => {
    const fleet = up();
    fleet.command('a', 'restart');
    fleet.drain();
    fleet.delete('a');
    fleet.advance(9_000);
    fleet.delete('a');
    fleet.advance(900);
    assert.equal(decided(fleet, 'a').filter((type) => type === 'abort').length, 1);
  });

  test('a stop that was taken back while it was in flight ends, and then it is started', () => {
    const fleet = up();
    fleet.command('a', 'stop');
    fleet.drain();
    fleet.command('a', 'resume');
    fleet.settle();
    assert.equal(fleet.phase('a'), 'RUNNING');
    assert.deepEqual(decided(fleet, 'a').slice(-2), ['stop', 'start']);
    assert.deepEqual(flaps(fleet, 'a'), []);
  });

  test('nothing desired stopped or deleted is given provision, start or wake', () => {
    for (const want of ['stop', 'delete'] as const) {
      const fleet = asleep();
      if (want === 'stop') fleet.command('a', 'stop');
      else fleet.delete('a');
      const before = fleet.state.seq;
      fleet.command('a', 'wake');
      fleet.command('a', 'restart');
      fleet.put({ type: 'work.began', ...fleet.of('a'), data: {} });
      fleet.seen('a', 'missing');
      fleet.settle();
      assert.deepEqual(
        decided(fleet, 'a', before).filter((type) => /provision|start/u.test(type)),
        [],
        want,
      );
    }
  });
});

describe('requests that cross an operation', () => {
  test('L30 a restart asked while it is being started is done after it', () => {
    const fleet = up();
    fleet.exits('a');
    fleet.drain();
    assert.equal(fleet.operation('a'), 'start');
    fleet.command('a', 'restart');
    fleet.settle();
    assert.deepEqual(decided(fleet, 'a').slice(-2), ['start', 'restart']);
  });

  test('L30 a restart asked before it, is answered by it', () => {
    const fleet = up();
    fleet.exits('a');
    fleet.command('a', 'restart');
    fleet.settle();
    assert.deepEqual(decided(fleet, 'a').slice(-1), ['start']);
  });

  test('L30 a new generation applied while it is being provisioned is an update after it', () => {
    const fleet = lab();
    fleet.declare('a');
    fleet.drain();
    const old = fleet.inst('a').hashes.infra;
    fleet.declare('a', { run: { image: 'bot:2' } });
    ends(fleet, 'a', { outcome: 'succeeded', saw: { ...fleet.look('a', 'running'), infra: old } });
    fleet.settle();
    assert.equal(fleet.inst('a').resource?.infra, fleet.inst('a').hashes.infra);
    assert.equal(decided(fleet, 'a').includes('update'), true);
    assert.equal(fleet.inst('a').concerns.update, undefined);
  });

  test('L30 a sleep asked while it is being woken follows it', () => {
    const fleet = asleep();
    fleet.command('a', 'wake');
    fleet.drain();
    fleet.command('a', 'sleep');
    fleet.settle();
    assert.deepEqual(decided(fleet, 'a').slice(-2), ['start', 'sleep']);
  });

  test('L30 a reconcile asked while its last attempt fails grants another', () => {
    const fleet = up({}, { policy: { giveUpAfter: 1 } });
    fleet.command('a', 'restart');
    fleet.drain();
    fleet.fail('a');
    fleet.command('a', 'reconcile');
    fleet.drain();
    assert.equal(fleet.operation('a'), 'restart');
  });

  test('L23 a manual reset is followed by work: no request leaves it assigned to nothing', () => {
    const fleet = up({}, { policy: { giveUpAfter: 1 } });
    fleet.exits('a');
    fleet.drain();
    assert.equal(fleet.phase('a'), 'ERROR');
    fleet.command('a', 'reconcile');
    fleet.drain();
    assert.equal(fleet.operation('a'), 'start');
  });

  test('L58 a wake that comes while it falls asleep wins', () => {
    const fleet = asleep();
    fleet.command('a', 'wake');
    fleet.settle();
    fleet.command('a', 'sleep');
    fleet.drain();
    fleet.command('a', 'wake');
    fleet.settle();
    assert.equal(fleet.phase('a'), 'RUNNING');
  });
});

describe('failures', () => {
  test('a conflict is looked at and decided again at once; only the third in a row counts', () => {
    const fleet = lab();
    fleet.declare('a');
    fleet.drain();
    for (const counted of [0, 0, 1]) {
      fleet.fail('a', { class: 'conflict' });
      assert.equal(failures(fleet), counted);
      fleet.drain();
      assert.equal(fleet.operation('a'), 'provision');
    }
  });

  test('a success between conflicts begins their row anew', () => {
    const fleet = up();
    fleet.exits('a');
    for (let at = 0; at < 4; at += 1) {
      fleet.drain();
      if (at === 2) {
        fleet.succeed('a');
        fleet.exits('a');
        fleet.advance(2_000);
      }
      fleet.fail('a', { class: 'conflict' });
    }
    assert.equal(failures(fleet), 2, 'the two crashes');
  });

  test('a terminal failure gives up at once, with the words of whoever refused', () => {
    const fleet = lab();
    fleet.declare('a');
    fleet.drain();
    fleet.fail('a', { class: 'terminal', code: 'command-not-found', message: 'no such file: agnet' });
    fleet.drain();
    assert.equal(fleet.phase('a'), 'ERROR');
    const error = fleet.inst('a').concerns.run?.error;
    assert.deepEqual([error?.code, error?.message, error?.attempt], ['command-not-found', 'no such file: agnet', 1]);
  });

  test('L31 a failed update never escalates: what exists is neither destroyed nor created again', () => {
    const fleet = up(
      {},
      { policy: { rollout: { maxUnavailable: 1, healthyForMs: 1_000, maxFailures: 1_000, waitIdleMs: 0 } } },
    );
    const before = fleet.state.seq;
    fleet.declare('a', { run: { image: 'bot:2' } });
    for (let at = 0; at < 30; at += 1) {
      fleet.drain();
      if (fleet.operation('a') !== null) fleet.fail('a', {}, fleet.look('a', 'running'));
      fleet.advance(60_000);
    }
    assert.deepEqual(
      new Set(decided(fleet, 'a', before).filter((type) => !type.startsWith('rollout'))),
      new Set(['update']),
    );
    assert.equal(state(fleet), 'running');
    assert.equal(fleet.phase('a'), 'ERROR');
  });

  test('L31 a failed config apply is a failed config apply', () => {
    const fleet = up({ config: config(1) });
    const before = fleet.state.seq;
    fleet.declare('a', { config: config(2) });
    fleet.drain();
    fleet.fail('a', { class: 'terminal', code: 'invalid' });
    fleet.advance(86_400_000);
    fleet.drain();
    const did = decided(fleet, 'a', before).filter((type) => !type.startsWith('rollout'));
    assert.deepEqual(new Set(did.filter((type) => type !== 'abort' && type !== 'abandon')), new Set(['apply-config']));
  });

  test('a life that failed to start is one failure, whether its end is told before the result, with it, or after it', () => {
    const story = (tell: (fleet: Lab, life: string, end: () => void) => void): number => {
      const fleet = up();
      fleet.exits('a');
      fleet.drain();
      const life = fleet.newLife();
      tell(fleet, life, () => fleet.seen('a', 'stopped', { incarnation: life, exit: CRASH, eventful: true }));
      return failures(fleet);
    };
    const saw = (fleet: Lab, incarnation: string) => ({ ...fleet.look('a', 'stopped'), incarnation, exit: CRASH });
    assert.equal(
      story((fleet, _, end) => (end(), fleet.fail('a'))),
      2,
      'before',
    );
    assert.equal(
      story((fleet, life) => fleet.fail('a', {}, saw(fleet, life))),
      2,
      'with it',
    );
    assert.equal(
      story((fleet, life, end) => (fleet.fail('a', {}, saw(fleet, life)), end())),
      2,
      'after',
    );
    assert.equal(
      story((fleet, life, end) => (end(), ends(fleet, 'a', { outcome: 'succeeded', saw: saw(fleet, life) }))),
      2,
      'before a success',
    );
    assert.equal(
      story((fleet, life) => ends(fleet, 'a', { outcome: 'succeeded', saw: saw(fleet, life) })),
      2,
      'within a success',
    );
  });

  test('L42 "done" without effect is a failure: it backs off instead of being decided at every tick', () => {
    type Answer = (fleet: Lab) => Omit<EventData['operation.ended'], 'operation'>;
    const stories: { kind: OperationKind; concern: string; fleet: Lab; answer: Answer }[] = [];
    const add = (kind: OperationKind, concern: string, fleet: Lab, answer: Answer): void =>
      void stories.push({ kind, concern, fleet, answer });
    const done = { outcome: 'succeeded' } as const;
    const provision = lab();
    provision.declare('a');
    add('provision', 'run', provision, () => done);
    const start = up();
    start.exits('a');
    add('start', 'run', start, (fleet) => ({ ...done, saw: fleet.look('a', 'stopped') }));
    const stop = up();
    stop.command('a', 'stop');
    add('stop', 'stop', stop, (fleet) => ({ ...done, saw: fleet.look('a', 'running') }));
    const destroy = up();
    destroy.delete('a');
    add('destroy', 'stop', destroy, (fleet) => ({ ...done, saw: fleet.look('a', 'running') }));
    const update = up();
    update.declare('a', { run: { image: 'bot:2' } });
    add('update', 'update', update, (fleet) => ({
      ...done,
      saw: { ...fleet.look('a', 'running'), incarnation: fleet.newLife(), infra: '1:other' },
    }));
    const sleeper = asleep();
    sleeper.declare('a', { run: { image: 'bot:2' } });
    add('update', 'update', sleeper, (fleet) => ({ ...done, saw: fleet.look('a', 'stopped') }));
    const apply = up();
    apply.declare('a', { config: config(1) });
    add('apply-config', 'config', apply, () => ({ ...done, config: { applied: '1:other' } }));
    const persist = asleep();
    persist.declare('a', { config: config(1) });
    add('persist-config', 'config', persist, () => done);
    const install = up();
    install.declare('a', { plugins: [plugin('git+file:///x#v1')] });
    add('install-plugin', 'plugin:git+file:///x', install, () => done);
    for (const { kind, concern, fleet, answer } of stories) {
      fleet.drain();
      const from = fleet.now;
      for (let at = 0; at < 6; at += 1) {
        untilOperating(fleet, 'a');
        assert.equal(fleet.operation('a'), kind);
        ends(fleet, 'a', answer(fleet));
        fleet.drain();
      }
      assert.ok(fleet.now - from >= 6_000, `${kind}: six times in ${fleet.now - from} ms`);
      assert.equal(fleet.inst('a').concerns[concern]?.error?.code, 'no-effect', kind);
    }
  });

  test('L42 a stopped one whose update has no effect is started all the same', () => {
    const fleet = up();
    fleet.exits('a');
    fleet.declare('a', { run: { image: 'bot:2' } });
    for (let at = 0; at < 5 && fleet.operation('a') !== 'start'; at += 1) {
      fleet.drain();
      if (fleet.operation('a') === 'update')
        ends(fleet, 'a', { outcome: 'succeeded', saw: fleet.look('a', 'stopped') });
      fleet.drain();
    }
    assert.equal(fleet.operation('a'), 'start');
  });

  test('L38 what was observed before a config was applied says nothing about what is in force after it', () => {
    const fleet = up({ config: config(1) });
    fleet.put({ type: 'config.observed', ...fleet.of('a'), data: { hash: '1:foreign' } });
    fleet.drain();
    ends(fleet, 'a', { outcome: 'succeeded', config: { applied: fleet.inst('a').hashes.config ?? '' } });
    fleet.settle();
    assert.equal(fleet.phase('a'), 'RUNNING');
  });
});

describe('what may have taken effect', () => {
  const bad: Part = { config: config(2) };
  const written = (fleet: Lab): string | null => fleet.inst('a').config?.persisted ?? null;

  test('L36 a config whose writing has no good end is in doubt: taken back, the old one is written again', () => {
    const fleet = up({ config: config(1) });
    const first = written(fleet);
    fleet.declare('a', bad);
    fleet.drain();
    fleet.succeed('a'); // applied
    fleet.drain();
    assert.equal(fleet.operation('a'), 'persist-config');
    ends(fleet, 'a', { outcome: 'timed-out' });
    const before = fleet.state.seq;
    fleet.declare('a', { config: config(1) });
    fleet.settle();
    fleet.advance(600_000);
    fleet.settle();
    assert.ok(decided(fleet, 'a', before).includes('persist-config'), 'it may be the other that is on disk');
    assert.equal(written(fleet), first);
  });

  test('L36 so is one that was being told to the agent as our owner ended', () => {
    const fleet = up({ config: config(1) });
    fleet.declare('a', bad);
    fleet.drain();
    assert.equal(fleet.operation('a'), 'apply-config');
    fleet.own();
    fleet.sync('docker');
    const before = fleet.state.seq;
    fleet.declare('a', { config: config(1) });
    fleet.settle();
    assert.ok(decided(fleet, 'a', before).includes('apply-config'));
  });

  test('L36 a config that somebody else changed is put right, and written down again', () => {
    const fleet = up({ config: config(1) });
    const before = fleet.state.seq;
    fleet.put({ type: 'config.observed', ...fleet.of('a'), data: { hash: '1:foreign' } });
    fleet.settle();
    assert.deepEqual(
      decided(fleet, 'a', before).filter((type) => type !== 'forgive'),
      ['apply-config', 'persist-config'],
    );
    assert.equal(fleet.phase('a'), 'RUNNING');
  });

  test('with drift: report nothing of it is touched', () => {
    const fleet = up({ config: config(1), drift: 'report' });
    const before = fleet.state.seq;
    fleet.put({ type: 'config.observed', ...fleet.of('a'), data: { hash: '1:foreign' } });
    fleet.advance(86_400_000);
    assert.deepEqual(decided(fleet, 'a', before), []);
    assert.equal(fleet.phase('a'), 'DEGRADED');
  });

  test('a plugin whose installation has no good end is in doubt: the old pin, declared again, is installed again', () => {
    const source = 'git+file:///x';
    const fleet = up({ plugins: [plugin(`${source}#v1`)] });
    fleet.declare('a', { plugins: [plugin(`${source}#v2`)] });
    fleet.drain();
    ends(fleet, 'a', { outcome: 'timed-out' });
    const before = fleet.state.seq;
    fleet.declare('a', { plugins: [plugin(`${source}#v1`)] });
    fleet.settle();
    fleet.advance(600_000);
    fleet.settle();
    assert.ok(decided(fleet, 'a', before).includes('install-plugin'));
    assert.equal(fleet.inst('a').plugins?.[0]?.ref, 'v1');
  });

  test('so is one that never was on record: undeclared, it is uninstalled for all we know', () => {
    const fleet = up();
    fleet.declare('a', { plugins: [plugin('git+file:///x#v1')] });
    fleet.drain();
    ends(fleet, 'a', { outcome: 'timed-out' });
    const before = fleet.state.seq;
    fleet.declare('a', { plugins: [] });
    fleet.settle();
    assert.deepEqual(decided(fleet, 'a', before), ['uninstall-plugin']);
    assert.deepEqual(fleet.inst('a').plugins, []);
  });
});

describe('an end that nobody can know about', () => {
  const UNKNOWN: Partial<Exit> = { code: null, signal: null };

  test('of a hot one it is said, healed and counted, and not called a crash', () => {
    const fleet = up();
    fleet.exits('a', UNKNOWN);
    assert.equal(fleet.inst('a').concerns.run?.error?.code, 'exit-unknown');
    fleet.settle();
    assert.equal(fleet.phase('a'), 'RUNNING');
    assert.deepEqual(flaps(fleet, 'a'), ['container_stopped']);
  });

  test('of a lazy one at leisure it is said, and it sleeps until it is wanted: it may have been done', () => {
    const fleet = up(lazy());
    fleet.command('a', 'wake');
    fleet.settle();
    fleet.exits('a', UNKNOWN);
    fleet.settle();
    assert.equal(fleet.phase('a'), 'SLEEPING');
    assert.deepEqual(flaps(fleet, 'a'), ['container_stopped']);
    assert.deepEqual([fleet.inst('a').restarts.crashes, fleet.inst('a').concerns.run], [0, undefined]);
    fleet.command('a', 'wake');
    fleet.settle();
    assert.equal(fleet.phase('a'), 'RUNNING');
  });

  test('of a lazy one at work, or waited for, it is healed', () => {
    for (const busy of [
      (fleet: Lab) => fleet.report('a', 'busy'),
      (fleet: Lab) => fleet.put({ type: 'work.began', ...fleet.of('a'), data: {} }),
    ]) {
      const fleet = up(lazy({ heartbeat: BEATS }));
      fleet.command('a', 'wake');
      fleet.up('a');
      busy(fleet);
      fleet.exits('a', UNKNOWN);
      fleet.settle();
      assert.equal(state(fleet), 'running');
    }
  });

  test('of one that may have completed its work it is for somebody to say: the work is not done twice at once', () => {
    const fleet = up({ onComplete: 'stop' });
    const before = fleet.state.seq;
    fleet.exits('a', UNKNOWN);
    fleet.settle();
    assert.equal(fleet.phase('a'), 'ERROR');
    assert.deepEqual(decided(fleet, 'a', before), []);
    assert.match(fleet.inst('a').concerns.run?.error?.message ?? '', /not known.*"reconcile"/);
    fleet.command('a', 'reconcile');
    fleet.settle();
    assert.equal(fleet.phase('a'), 'RUNNING');
  });
});

describe('exits', () => {
  const classes: readonly [string, Partial<Exit>, string][] = [
    ['a crash', { code: 1 }, 'crash'],
    ['want of memory', { code: 137, oom: true }, 'oom'],
    ['a kill from outside', { signal: 'SIGKILL' }, 'killed'],
    ['a segfault', { signal: 'SIGSEGV' }, 'crash'],
  ];
  for (const [what, exit, code] of classes) {
    test(`${what} is told as "${code}", counts in run, and is healed`, () => {
      const fleet = up();
      fleet.exits('a', exit);
      assert.equal(fleet.inst('a').concerns.run?.error?.code, code);
      assert.equal(fleet.inst('a').restarts.crashes, 1);
      fleet.settle();
      assert.equal(fleet.phase('a'), 'RUNNING');
      assert.deepEqual(flaps(fleet, 'a'), ['container_stopped']);
    });
  }

  test('exit 78 is terminal: it says itself that another start would not help', () => {
    const fleet = up({ config: config('bad') });
    fleet.exits('a', { code: 78 });
    fleet.advance(600_000);
    assert.equal(fleet.phase('a'), 'ERROR');
    assert.equal(decided(fleet, 'a').filter((type) => type === 'start').length, 1);
  });

  test('L87 after exit 78 the corrected config is on disk before the next start', () => {
    const fleet = up({ config: config('bad') });
    fleet.exits('a', { code: 78 });
    fleet.drain();
    const before = fleet.state.seq;
    fleet.declare('a', { config: config('good') });
    fleet.settle();
    assert.deepEqual(decided(fleet, 'a', before), ['persist-config unstarted', 'start']);
    assert.equal(fleet.phase('a'), 'RUNNING');
  });

  test('L87 while it cannot be written, it is not started with the old one', () => {
    const fleet = up({ config: config('bad') });
    fleet.exits('a', { code: 78 });
    fleet.declare('a', { config: config('good') });
    const before = fleet.state.seq;
    for (let at = 0; at < 4; at += 1) {
      fleet.drain();
      if (fleet.operation('a') !== null) fleet.fail('a');
      fleet.advance(1_000);
    }
    assert.deepEqual(new Set(decided(fleet, 'a', before)), new Set(['persist-config unstarted']));
  });

  test('a planned end is no crash: stop, sleep, restart, update', () => {
    const fleet = up(lazy());
    fleet.command('a', 'wake');
    fleet.settle();
    fleet.command('a', 'restart');
    fleet.settle();
    fleet.declare('a', { run: { image: 'bot:2' } });
    fleet.settle();
    fleet.command('a', 'sleep');
    fleet.settle();
    fleet.command('a', 'stop');
    fleet.settle();
    assert.deepEqual(flaps(fleet, 'a'), []);
    assert.deepEqual(fleet.inst('a').restarts, { crashes: 0, planned: 2 });
  });

  test('L21 a lazy one at rest causes no flaps, however often its state is told', () => {
    const fleet = asleep();
    for (let at = 0; at < 5; at += 1) fleet.seen('a', 'stopped', { attrs: { look: at } });
    fleet.settle();
    assert.deepEqual(flaps(fleet, 'a'), []);
  });

  test('a sleep asked of one that rests, or that went to rest by itself, does not end its next life', () => {
    const asked = asleep();
    asked.command('a', 'sleep');
    const ended = asleep();
    ended.command('a', 'wake');
    ended.settle();
    ended.report('a', 'busy');
    ended.command('a', 'sleep');
    ended.drain();
    assert.equal(ended.hold('a'), 'busy');
    ended.exits('a', { code: 0 });
    for (const fleet of [asked, ended]) {
      fleet.settle();
      fleet.seen('a', 'running', { incarnation: 'started by hand' });
      fleet.settle();
      assert.equal(fleet.phase('a'), 'RUNNING');
    }
  });

  test('exit 0 of a lazy one that somebody waits for is no sleep: it counts, or it would be started without end', () => {
    for (const data of [{}, { leaseUntil: Number.MAX_SAFE_INTEGER }]) {
      const fleet = asleep();
      fleet.put({ type: 'work.began', ...fleet.of('a'), data });
      fleet.settle();
      const from = fleet.now;
      for (let at = 0; at < 5; at += 1) {
        fleet.exits('a', { code: 0 });
        untilOperating(fleet, 'a');
        fleet.settle();
      }
      assert.equal(failures(fleet), 5);
      assert.ok(fleet.now - from >= 6_000);
    }
  });

  test('onComplete: stop explains exit 0 of the life that there is, not of one that another has replaced', () => {
    const fleet = up({ onComplete: 'stop' });
    fleet.seen('a', 'stopped', { incarnation: 'in between', exit: { ...CRASH, code: 0 }, eventful: true });
    fleet.settle();
    assert.equal(fleet.phase('a'), 'RUNNING');
    fleet.exits('a');
    fleet.settle();
    assert.equal(fleet.phase('a'), 'RUNNING', 'its own crash is healed');
  });

  test('engine restarts count as crashes, those that nobody saw, too', () => {
    const fleet = up();
    fleet.seen('a', 'running', { incarnation: 'x', restarts: 1 });
    assert.equal(fleet.inst('a').restarts.crashes, 1);
    fleet.seen('a', 'running', { incarnation: 'y', restarts: 4 });
    assert.equal(fleet.inst('a').restarts.crashes, 4);
    fleet.settle();
    assert.deepEqual(flaps(fleet, 'a'), ['container_stopped', 'container_stopped']);
  });
});

describe('flaps', () => {
  test('each end is said once, by whatever ways it is told', () => {
    const fleet = up();
    const life = fleet.inst('a').resource?.incarnation ?? null;
    fleet.exits('a');
    fleet.exits('a');
    fleet.seen('a', 'stopped', { exit: CRASH });
    fleet.settle();
    fleet.seen('a', 'stopped', { incarnation: life, exit: CRASH, eventful: true });
    fleet.settle();
    assert.deepEqual(flaps(fleet, 'a'), ['container_stopped']);
    assert.equal(fleet.inst('a').restarts.crashes, 1);
    assert.equal(fleet.phase('a'), 'RUNNING');
  });

  test('each target type has its own words', () => {
    const words = (type: string): [string, string] => {
      const told = (['stopped', 'missing'] as const).map((how) => {
        const fleet = lab({ targets: [type] });
        fleet.declare('a', { target: type, targetType: type });
        fleet.settle();
        fleet.seen('a', how);
        fleet.settle();
        return flaps(fleet, 'a')[0] ?? '';
      });
      return [told[0] ?? '', told[1] ?? ''];
    };
    assert.deepEqual(words('docker'), ['container_stopped', 'container_missing']);
    assert.deepEqual(words('process'), ['process_exited', 'process_exited']);
    assert.deepEqual(words('ec2'), ['instance_stopped', 'instance_terminated']);
  });

  test('an operation explains the end it was sent for, even aborted, abandoned, or of an owner that is gone', () => {
    for (const how of ['aborted', 'abandoned', 'owner'] as const) {
      const fleet = up();
      fleet.command('a', 'restart');
      fleet.drain();
      if (how === 'aborted') fleet.end('a', 'aborted');
      else if (how === 'abandoned') fleet.advance(70_000);
      else {
        fleet.own();
        fleet.sync('docker');
      }
      fleet.exits('a', { signal: 'SIGTERM' });
      fleet.settle();
      assert.deepEqual(flaps(fleet, 'a'), [], how);
      assert.equal(fleet.inst('a').restarts.crashes, 0, how);
    }
  });

  test('an operation that proved not to have touched it explains nothing', () => {
    const fleet = up();
    fleet.command('a', 'restart');
    fleet.drain();
    fleet.fail('a', {}, fleet.look('a', 'running'));
    fleet.exits('a');
    assert.equal(fleet.inst('a').restarts.crashes, 1);
  });

  test('an update that removed it and could not make it anew is no flap, whoever finds that out', () => {
    for (const how of ['result', 'aborted', 'owner'] as const) {
      for (const fleet of [up(), asleep()]) {
        fleet.declare('a', { run: { image: 'bot:2' } });
        fleet.drain();
        assert.equal(fleet.operation('a'), 'update');
        if (how === 'result') fleet.fail('a', {}, fleet.look('a', 'missing'));
        else {
          if (how === 'aborted') fleet.end('a', 'aborted');
          else {
            fleet.own();
            fleet.sync('docker');
          }
          fleet.seen('a', 'missing');
        }
        fleet.settle();
        assert.deepEqual(flaps(fleet, 'a'), [], how);
        assert.equal(failures(fleet), 0, how);
        assert.equal(fleet.inst('a').resource?.infra, fleet.inst('a').hashes.infra, how);
      }
    }
  });

  test('what is taken away afterwards is a flap again', () => {
    const fleet = up();
    fleet.declare('a', { run: { image: 'bot:2' } });
    fleet.settle();
    fleet.seen('a', 'missing');
    fleet.settle();
    assert.deepEqual(flaps(fleet, 'a'), ['container_missing']);
  });

  test('container_missing is always said and repaired, for a sleeper as well', () => {
    const fleet = asleep();
    fleet.seen('a', 'missing');
    fleet.settle();
    assert.deepEqual(flaps(fleet, 'a'), ['container_missing']);
    assert.equal(fleet.phase('a'), 'SLEEPING');
  });

  test('what stops after it was asked to is no flap, even if it stops by itself', () => {
    const fleet = up();
    fleet.command('a', 'stop');
    fleet.exits('a');
    fleet.settle();
    assert.deepEqual(flaps(fleet, 'a'), []);
    assert.equal(fleet.phase('a'), 'STOPPED');
  });

  test('a life that came and went between two looks is said', () => {
    const fleet = asleep();
    fleet.seen('a', 'stopped', { incarnation: 'started by somebody', exit: CRASH });
    fleet.settle();
    assert.deepEqual(flaps(fleet, 'a'), ['container_stopped']);
  });
});

describe('looks', () => {
  test('L77 a listing begun before a start and told after it changes nothing: no flap, no second start', () => {
    const fleet = up();
    fleet.exits('a');
    const began = fleet.state.seq;
    fleet.drain();
    fleet.seen('a', 'stopped', { began });
    fleet.succeed('a');
    fleet.seen('a', 'stopped', { began, exit: CRASH });
    fleet.seen('a', 'missing', { began });
    fleet.settle();
    assert.equal(state(fleet), 'running');
    assert.deepEqual(flaps(fleet, 'a'), ['container_stopped']);
    assert.equal(decided(fleet, 'a').filter((type) => type === 'start').length, 1);
  });

  test('L77 a look begun while the operation was at work is as old', () => {
    const fleet = up();
    fleet.command('a', 'restart');
    fleet.drain();
    const began = fleet.state.seq;
    fleet.succeed('a');
    fleet.seen('a', 'stopped', { began });
    assert.equal(state(fleet), 'running');
  });

  test('L77 a life that ended is not seen running again by a listing that is late', () => {
    const fleet = up();
    const life = fleet.inst('a').resource?.incarnation ?? null;
    fleet.exits('a');
    fleet.seen('a', 'running', { incarnation: life });
    assert.equal(state(fleet), 'stopped');
    assert.equal(outlook(fleet, 'a').does, 'start');
  });

  test('an exit is never too old: told late it is counted, and does not stop the life that runs now', () => {
    const fleet = up();
    const began = 0;
    fleet.seen('a', 'running', { incarnation: 'second' });
    fleet.seen('a', 'stopped', { incarnation: 'a life between', exit: CRASH, eventful: true, began });
    assert.equal(state(fleet), 'running');
    assert.equal(fleet.inst('a').restarts.crashes, 2);
  });

  test('an exit told before its start was reported ends the life that the start then reports', () => {
    const fleet = up();
    fleet.exits('a');
    fleet.drain();
    const life = fleet.newLife();
    fleet.seen('a', 'stopped', { incarnation: life, exit: CRASH, eventful: true });
    ends(fleet, 'a', { outcome: 'succeeded', saw: { ...fleet.look('a', 'running'), incarnation: life } });
    assert.equal(state(fleet), 'stopped');
    fleet.advance(2_000);
    assert.equal(fleet.operation('a'), 'start');
    assert.equal(fleet.inst('a').restarts.crashes, 2);
  });

  test('a pause is said as a stop, but it is no end: the same life may go on, by us or by somebody', () => {
    const fleet = up();
    const life = fleet.inst('a').resource?.incarnation ?? null;
    fleet.holdFleet();
    fleet.seen('a', 'stopped');
    fleet.drain();
    assert.equal(fleet.phase('a'), 'PENDING');
    fleet.seen('a', 'running', { incarnation: life });
    fleet.drain();
    assert.equal(fleet.phase('a'), 'RUNNING');
    assert.deepEqual(flaps(fleet, 'a'), ['container_stopped']);
    fleet.exits('a');
    fleet.drain();
    assert.equal(flaps(fleet, 'a').length, 2, 'and its real end is said');
  });

  test('L18 whatever is told of an instance that is gone resurrects nothing', () => {
    const fleet = up({ heartbeat: BEATS });
    const who = fleet.of('a');
    const look = fleet.look('a', 'running');
    fleet.delete('a');
    fleet.settle();
    fleet.put({ type: 'agent.reported', ...who, data: { report: 'first' } });
    fleet.put({ type: 'work.began', ...who, data: {} });
    fleet.put({ type: 'resource.observed', ...who, data: { ...look, began: fleet.state.seq } });
    fleet.put({ type: 'command.issued', ...who, data: { verb: 'wake' } });
    fleet.settle();
    assert.equal(fleet.state.instances.size, 0);
    assert.equal(fleet.state.names.size, 0);
  });

  test('L18 nor of one that is stopped or being deleted', () => {
    for (const want of ['stop', 'delete'] as const) {
      const fleet = up({ heartbeat: BEATS });
      if (want === 'stop') fleet.command('a', 'stop');
      else fleet.delete('a');
      fleet.drain();
      fleet.report('a', 'silent');
      fleet.report('a', 'recovered');
      fleet.drain();
      assert.equal(fleet.phase('a'), want === 'stop' ? 'RECONCILING' : 'DELETING');
    }
  });

  test('L20 what a complete listing lacks is proved missing by its fact alone, and re-provisioned as what it was', () => {
    const fleet = up({ config: config(1) });
    const uid = fleet.inst('a').uid;
    fleet.seen('a', 'missing');
    fleet.settle();
    assert.equal(fleet.inst('a').uid, uid);
    assert.equal(fleet.phase('a'), 'RUNNING');
    assert.equal(decisions(fleet, 'a').filter((action) => action.rule === 'create').length, 1);
  });
});

describe('re-declared names', () => {
  test('a name declared again while its predecessor is deleted is another instance, with nothing of the old one', () => {
    const fleet = up();
    fleet.exits('a');
    const old = fleet.inst('a');
    fleet.delete('a');
    fleet.declare('a');
    assert.notEqual(fleet.inst('a').uid, old.uid);
    assert.deepEqual(fleet.inst('a').concerns, {});
    assert.equal(fleet.inst('a').existed, false);
    fleet.settle();
    assert.equal(fleet.phase('a'), 'RUNNING');
    assert.equal(fleet.state.instances.size, 1);
  });

  test('what is told of the predecessor says nothing about the successor', () => {
    const fleet = up({ heartbeat: BEATS });
    const old = fleet.of('a');
    fleet.delete('a');
    fleet.drain();
    fleet.declare('a', { heartbeat: BEATS });
    fleet.put({ type: 'agent.reported', ...old, data: { report: 'recovered' } });
    assert.equal(fleet.inst('a').agent, null);
  });

  test('a predecessor that is let go, lets the successor go', () => {
    const fleet = up();
    fleet.delete('a');
    fleet.drain();
    const old = fleet.inst('a').uid;
    fleet.declare('a');
    fleet.drain();
    fleet.put({ type: 'spec.deleted', instance: 'a', uid: old, data: { data: 'keep', forget: true, prune: false } });
    fleet.drain();
    fleet.end(old, 'aborted');
    fleet.drain();
    assert.equal(fleet.state.instances.has(old), false);
    assert.equal(fleet.operation('a'), 'provision');
  });
});

describe('what is written', () => {
  test('L49 a steady fleet writes nothing, however long', () => {
    const fleet = lab();
    for (const name of many(10)) {
      fleet.declare(name, { heartbeat: BEATS, config: config(1) });
      fleet.up(name);
    }
    fleet.declare('sleeper', lazy());
    fleet.declare('far', external());
    fleet.report('far', 'first');
    fleet.settle();
    const before = written(fleet);
    fleet.advance(7 * 86_400_000);
    for (const uid of fleet.state.instances.keys()) fleet.state.dirty.add(uid);
    fleet.drain();
    assert.equal(written(fleet), before);
  });

  test('L49 facts that change nothing decide nothing', () => {
    const fleet = up({ heartbeat: BEATS });
    const before = fleet.events('tick.decided').length;
    for (const report of ['busy', 'idle', 'busy', 'idle'] as const) {
      fleet.report('a', report);
      fleet.drain();
    }
    fleet.seen('a', 'running', { attrs: { pid: 7 } });
    fleet.drain();
    assert.equal(fleet.events('tick.decided').length, before);
  });

  test('L50 what is held, waits or has given up is said once, not at every tick', () => {
    const fleet = up({}, { policy: { giveUpAfter: 1 } });
    fleet.exits('a');
    fleet.declare('held');
    fleet.holdFleet();
    fleet.drain();
    const before = written(fleet);
    for (let minute = 0; minute < 25; minute += 1) {
      fleet.state.dirty.add(fleet.inst('a').uid);
      fleet.state.dirty.add(fleet.inst('held').uid);
      fleet.advance(60_000);
    }
    assert.equal(written(fleet), before);
  });

  test('L47 no tick ever gives one instance two operations', () => {
    const fleet = lab();
    for (const name of many(6)) fleet.declare(name, { heartbeat: BEATS, onDegraded: 'restart', config: config(1) });
    fleet.settle();
    for (const name of many(6)) {
      fleet.report(name, 'first');
      fleet.declare(name, { run: { image: 'bot:2' }, config: config(2), plugins: [plugin('git+file:///x#v1')] }, 'r2');
      fleet.command(name, 'restart');
      fleet.degraded(name);
    }
    for (let at = 0; at < 200; at += 1) {
      fleet.drain();
      for (const name of atWork(fleet)) fleet.succeed(name);
      fleet.advance(5_000);
    }
    const marks = new Set(['abort', 'abandon', 'forgive', 'rollout-proved', 'rollout-failed', 'rollout-left']);
    for (const { seq, data } of fleet.events('tick.decided')) {
      const acting = data.actions.filter((action) => !marks.has(action.type)).map((action) => action.uid);
      assert.equal(new Set(acting).size, acting.length, `event ${seq}`);
    }
  });

  test('ERROR always carries the words of what went wrong', () => {
    const fleet = up({}, { policy: { giveUpAfter: 1 } });
    fleet.exits('a', { code: 3 });
    fleet.drain();
    const error = fleet.inst('a').concerns.run?.error;
    assert.equal(fleet.phase('a'), 'ERROR');
    assert.match(error?.message ?? '', /exit code 3/u);
    assert.equal(error?.at, fleet.now);
  });

  test('nobody is stuck: without an operation and short of rest, each waits for a time, a hold or a fact', () => {
    const rest = new Set(['RUNNING', 'SLEEPING', 'STOPPED', 'OFFLINE', 'CREATING', 'UNKNOWN']);
    const fleet = lab({ policy: { giveUpAfter: 3 } });
    fleet.declare('a', { heartbeat: BEATS, config: config(1) });
    for (let at = 0; at < 300; at += 1) {
      fleet.drain();
      if (fleet.operation('a') !== null) {
        if (at % 3 === 0) fleet.succeed('a');
        else fleet.fail('a', { class: at % 7 === 0 ? 'terminal' : 'transient' });
      }
      if (at % 11 === 0 && state(fleet) === 'running') fleet.exits('a');
      fleet.drain();
      const { operation, hold, phase, uid } = fleet.inst('a');
      const waits = operation !== null || hold !== null || rest.has(phase) || fleet.agenda.alarm(uid) !== null;
      assert.ok(waits, `${phase} at step ${at}, and nothing will ever look again`);
      fleet.advance(10_000);
    }
    assert.ok(phases(fleet, 'a').length > 10, 'it went through a lot');
  });
});
