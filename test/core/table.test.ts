/**
 * The decision table, row by row: one story where the row matches, one where it just does not, and who goes first where two
 * could. What a row does once its gates are closed is in `gates.test.ts`.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Case } from '../../src/core/case.ts';
import { conditionsOf } from '../../src/core/conditions.ts';
import { TABLE } from '../../src/core/table.ts';
import { decided, outlook, phases } from '../support/decisions.ts';
import { BEATS, config, external, HEALTH, lab, lazy, plugin, type Lab } from '../support/fleet.ts';

/** One instance "a", driven up. */
function up(part: Parameters<Lab['declare']>[1] = {}, options: Parameters<typeof lab>[0] = {}): Lab {
  const fleet = lab(options);
  fleet.declare('a', part);
  fleet.up('a');
  return fleet;
}

/** A lazy one, created and never woken. */
function asleep(part: Parameters<Lab['declare']>[1] = {}): Lab {
  const fleet = lab();
  fleet.declare('a', lazy(part));
  fleet.settle();
  return fleet;
}

const refused = (fleet: Lab): void =>
  void fleet.put({ type: 'target.refused', data: { target: 'docker', message: 'permission denied', identity: null } });
const stale = (fleet: Lab): void =>
  void fleet.put({ type: 'target.stale', data: { target: 'docker', message: 'no answer for 90 s' } });
const hash = (fleet: Lab): string => fleet.inst('a').hashes.config ?? '';

describe('the table', () => {
  test('has the 22 rows of the design, in its order, and ends the search where the design does', () => {
    assert.deepEqual(
      TABLE.map((row) => `${row.id}${row.final ? '.' : ''}`),
      (
        'operating. deleting. unseen. stop-asked. stopped. offline. gave-up. create. missing. asleep changing. start. update ' +
        'restart-asked starting idle silent config plugins agent-degraded running. unclassified.'
      ).split(' '),
    );
  });

  test('says each row in one sentence', () => {
    for (const row of TABLE) assert.match(row.sentence, /^[A-Z].*\.$/u, row.id);
    assert.equal(new Set(TABLE.map((row) => row.sentence)).size, TABLE.length);
  });

  test('gives external instances rows 1, 2, 5, 6 and 18 to 22, and no other', () => {
    const rows = TABLE.flatMap((row, at) => (row.on === 'managed' ? [] : [at + 1]));
    assert.deepEqual(rows, [1, 2, 5, 6, 18, 19, 20, 21, 22]);
  });
});

describe('row 1, operating', () => {
  test('an operation that changes what runs reads RECONCILING, and nothing else is decided meanwhile', () => {
    const fleet = lab();
    fleet.declare('a');
    fleet.drain();
    assert.deepEqual(outlook(fleet, 'a'), { row: 'operating', phase: 'RECONCILING', does: null, hold: null });
  });

  test('an operation under delete reads DELETING', () => {
    const fleet = lab();
    fleet.declare('a');
    fleet.drain();
    fleet.delete('a');
    assert.equal(outlook(fleet, 'a').phase, 'DELETING');
  });

  test('an operation that changes nothing that runs leaves the phase to the rows below', () => {
    const fleet = up();
    fleet.declare('a', { config: config(1) });
    fleet.drain();
    assert.equal(fleet.operation('a'), 'apply-config');
    assert.equal(fleet.phase('a'), 'DEGRADED');
    const sleeper = asleep();
    sleeper.declare('a', { run: { image: 'bot:2' } });
    sleeper.drain();
    assert.equal(sleeper.operation('a'), 'update');
    assert.equal(sleeper.phase('a'), 'SLEEPING');
  });

  test('it is over as soon as the operation has ended', () => {
    const fleet = lab();
    fleet.declare('a');
    fleet.drain();
    fleet.succeed('a');
    assert.equal(outlook(fleet, 'a').row, 'running');
  });
});

describe('row 2, deleting', () => {
  test('what is to be deleted is destroyed, and forgotten only when its absence is proved', () => {
    const fleet = up();
    fleet.delete('a');
    fleet.drain();
    assert.equal(fleet.phase('a'), 'DELETING');
    assert.equal(fleet.operation('a'), 'destroy');
    const uid = fleet.inst('a').uid;
    fleet.settle();
    assert.equal(fleet.state.instances.has(uid), false);
    assert.deepEqual(decided(fleet, 'a').slice(-2), ['destroy', 'forget']);
  });

  test('what was never begun is forgotten at once', () => {
    const fleet = lab();
    fleet.declare('a');
    fleet.delete('a');
    fleet.settle();
    assert.deepEqual(decided(fleet, 'a'), ['forget']);
  });

  test('what a provision may have begun is destroyed, though it was never seen to exist', () => {
    const fleet = lab();
    fleet.declare('a');
    fleet.drain();
    fleet.delete('a');
    fleet.drain();
    fleet.end('a', 'aborted');
    fleet.drain();
    assert.equal(fleet.operation('a'), 'destroy');
  });

  test('--forget drops it without proof', () => {
    const fleet = up();
    fleet.delete('a', { forget: true });
    fleet.settle();
    assert.deepEqual(decided(fleet, 'a').slice(-1), ['forget']);
    assert.equal(fleet.state.instances.size, 0);
  });

  test('an external one is forgotten, since there is nothing to destroy', () => {
    const fleet = lab();
    fleet.declare('a', external());
    fleet.report('a', 'first');
    fleet.settle();
    fleet.delete('a');
    fleet.settle();
    assert.deepEqual(decided(fleet, 'a'), ['forget']);
  });

  test('it comes before an unseen target: the phase stays DELETING, the destroy waits', () => {
    const fleet = up();
    stale(fleet);
    fleet.delete('a');
    assert.deepEqual(outlook(fleet, 'a'), { row: 'deleting', phase: 'DELETING', does: null, hold: 'target-stale' });
  });
});

describe('row 3, unseen', () => {
  test('under a stale target it is UNKNOWN, and never painted green', () => {
    const fleet = up();
    stale(fleet);
    assert.deepEqual(outlook(fleet, 'a'), { row: 'unseen', phase: 'UNKNOWN', does: null, hold: null });
  });

  test('under a stale target it is DEGRADED while the agent is heard, UNKNOWN once it is silent', () => {
    const fleet = up({ heartbeat: BEATS });
    stale(fleet);
    assert.equal(outlook(fleet, 'a').phase, 'DEGRADED');
    fleet.report('a', 'silent');
    assert.equal(outlook(fleet, 'a').phase, 'UNKNOWN');
  });

  test('a target that refuses makes it ERROR', () => {
    const fleet = up();
    refused(fleet);
    assert.equal(outlook(fleet, 'a').phase, 'ERROR');
  });

  test('L24 unknown is not for ever: the target coming back ends it', () => {
    const fleet = up();
    stale(fleet);
    fleet.drain();
    fleet.sync('docker');
    fleet.drain();
    assert.deepEqual(phases(fleet, 'a').slice(-2), ['UNKNOWN', 'RUNNING']);
  });

  test('a new owner sees no more than the old one did: UNKNOWN stays until the target is seen', () => {
    const fleet = up();
    stale(fleet);
    fleet.own();
    fleet.drain();
    assert.equal(fleet.phase('a'), 'UNKNOWN');
  });

  test('it comes before everything that would act on old news', () => {
    const fleet = up();
    fleet.exits('a');
    stale(fleet);
    assert.deepEqual(outlook(fleet, 'a'), { row: 'unseen', phase: 'UNKNOWN', does: null, hold: null });
  });

  test('an external one does not care: nobody looks at its target', () => {
    const fleet = lab();
    fleet.declare('a', external());
    fleet.report('a', 'first');
    fleet.put({ type: 'target.stale', data: { target: 'external', message: 'nobody looks' } });
    assert.equal(outlook(fleet, 'a').row, 'running');
  });
});

describe('rows 4 and 5, stop-asked and stopped', () => {
  test('what runs and should not is stopped, and then rests', () => {
    const fleet = up();
    fleet.command('a', 'stop');
    assert.deepEqual(outlook(fleet, 'a'), { row: 'stop-asked', phase: 'RECONCILING', does: 'stop', hold: null });
    fleet.settle();
    assert.deepEqual(outlook(fleet, 'a'), { row: 'stopped', phase: 'STOPPED', does: null, hold: null });
    assert.equal(fleet.inst('a').resource?.state, 'stopped');
  });

  test('what is changing and should not run is stopped, too', () => {
    const fleet = up();
    fleet.seen('a', 'changing');
    fleet.command('a', 'stop');
    assert.equal(outlook(fleet, 'a').does, 'stop');
  });

  test('what is stopped already is not stopped again', () => {
    const fleet = up();
    fleet.seen('a', 'stopped');
    fleet.command('a', 'stop');
    assert.deepEqual(outlook(fleet, 'a'), { row: 'stopped', phase: 'STOPPED', does: null, hold: null });
  });

  test('it reads PENDING while the stop is held', () => {
    const fleet = up();
    fleet.command('a', 'stop');
    fleet.own();
    assert.deepEqual(outlook(fleet, 'a'), { row: 'stop-asked', phase: 'PENDING', does: null, hold: 'unsynced' });
  });

  test('a stopped one is neither updated nor configured, and missing it is not provisioned again', () => {
    const fleet = up({ config: config(1) });
    fleet.command('a', 'stop');
    fleet.settle();
    fleet.declare('a', { run: { image: 'bot:2' }, config: config(2) });
    fleet.seen('a', 'missing');
    fleet.settle();
    assert.equal(fleet.phase('a'), 'STOPPED');
    assert.deepEqual(decided(fleet, 'a').slice(-1), ['stop']);
  });

  test('resume ends it', () => {
    const fleet = up();
    fleet.command('a', 'stop');
    fleet.settle();
    fleet.command('a', 'resume');
    assert.equal(outlook(fleet, 'a').does, 'start');
    fleet.settle();
    assert.equal(fleet.phase('a'), 'RUNNING');
  });

  test('stopping something external is a wish: it is shown, nothing is done', () => {
    const fleet = lab();
    fleet.declare('a', external());
    fleet.report('a', 'first');
    fleet.command('a', 'stop');
    assert.deepEqual(outlook(fleet, 'a'), { row: 'stopped', phase: 'STOPPED', does: null, hold: null });
  });

  test('exit 0 under onComplete: stop is STOPPED without being asked; under restart it is started again', () => {
    const job = up({ onComplete: 'stop' });
    job.exits('a', { code: 0 });
    assert.equal(outlook(job, 'a').phase, 'STOPPED');
    const server = up();
    server.exits('a', { code: 0 });
    assert.equal(outlook(server, 'a').does, 'start');
  });

  test('L28 completed work is not repeated when its container is pruned', () => {
    const fleet = up({ onComplete: 'stop' });
    fleet.exits('a', { code: 0 });
    fleet.settle();
    fleet.seen('a', 'missing');
    fleet.settle();
    assert.equal(fleet.phase('a'), 'STOPPED');
    assert.equal(decided(fleet, 'a').filter((type) => type.startsWith('provision')).length, 1);
  });

  for (const verb of ['resume', 'restart'] as const) {
    test(`completed ends by ${verb}`, () => {
      const fleet = up({ onComplete: 'stop' });
      fleet.exits('a', { code: 0 });
      fleet.settle();
      fleet.command('a', verb);
      fleet.settle();
      assert.equal(fleet.phase('a'), 'RUNNING');
    });
  }

  test('completed ends by a new generation', () => {
    const fleet = up({ onComplete: 'stop' });
    fleet.exits('a', { code: 0 });
    fleet.settle();
    fleet.declare('a', { run: { image: 'bot:2' } });
    fleet.settle();
    assert.equal(fleet.phase('a'), 'RUNNING');
  });
});

describe('row 6, offline', () => {
  test('an external one is CREATING until it is first heard, RUNNING while heard, OFFLINE when silent', () => {
    const fleet = lab();
    fleet.declare('a', external());
    assert.deepEqual(outlook(fleet, 'a'), { row: 'offline', phase: 'CREATING', does: null, hold: null });
    fleet.report('a', 'first');
    assert.equal(outlook(fleet, 'a').phase, 'RUNNING');
    fleet.report('a', 'silent');
    assert.deepEqual(outlook(fleet, 'a'), { row: 'offline', phase: 'OFFLINE', does: null, hold: null });
    fleet.report('a', 'recovered');
    assert.equal(outlook(fleet, 'a').phase, 'RUNNING');
  });

  test('time alone never makes an external one OFFLINE: silence is a fact', () => {
    const fleet = lab();
    fleet.declare('a', external());
    fleet.report('a', 'first');
    fleet.advance(86_400_000);
    assert.equal(fleet.phase('a'), 'RUNNING');
  });

  test('what is declared of it is delivered while it is heard, and waits while it is not', () => {
    const fleet = lab();
    fleet.declare('a', external({ config: config(1) }));
    assert.equal(outlook(fleet, 'a').does, null);
    fleet.report('a', 'first');
    assert.deepEqual(outlook(fleet, 'a'), { row: 'config', phase: 'DEGRADED', does: 'apply-config', hold: null });
    fleet.settle();
    assert.equal(fleet.phase('a'), 'RUNNING');
  });
});

describe('row 7, gave-up', () => {
  const gaveUp = (): Lab => {
    const fleet = up({}, { policy: { giveUpAfter: 1 } });
    fleet.exits('a');
    return fleet;
  };

  test('run has given up: ERROR, and nothing is tried', () => {
    assert.deepEqual(outlook(gaveUp(), 'a'), { row: 'gave-up', phase: 'ERROR', does: null, hold: null });
  });

  test('one failure less: still trying', () => {
    const fleet = up({}, { policy: { giveUpAfter: 2 } });
    fleet.exits('a');
    assert.equal(outlook(fleet, 'a').does, 'start');
  });

  test('update or config giving up is not run giving up: what exists is started', () => {
    const fleet = up({}, { policy: { giveUpAfter: 10 } });
    fleet.declare('a', { run: { image: 'nonsense' } });
    fleet.drain();
    fleet.fail('a', { class: 'terminal', code: 'bad-image' });
    fleet.exits('a');
    assert.equal(outlook(fleet, 'a').does, 'start');
  });

  test('what the engine keeps restarting is stopped, once', () => {
    const fleet = up({}, { policy: { giveUpAfter: 2 } });
    for (const life of ['x', 'y']) fleet.seen('a', 'running', { incarnation: life });
    assert.deepEqual(outlook(fleet, 'a'), { row: 'gave-up', phase: 'ERROR', does: 'stop', hold: null });
    fleet.settle();
    assert.deepEqual(outlook(fleet, 'a'), { row: 'gave-up', phase: 'ERROR', does: null, hold: null });
  });

  for (const verb of ['reconcile', 'resume', 'restart', 'wake'] as const) {
    test(`an operator's ${verb} ends it`, () => {
      const fleet = gaveUp();
      fleet.drain();
      fleet.command('a', verb);
      assert.equal(outlook(fleet, 'a').does, 'start');
      assert.notEqual(fleet.inst('a').concerns.run?.error ?? null, null, 'the error stays until a success');
    });
  }

  test('a new generation or secret version ends it', () => {
    const fleet = gaveUp();
    fleet.declare('a', { run: { image: 'bot:2' } });
    assert.equal(outlook(fleet, 'a').row, 'start');
    const rotated = gaveUp();
    rotated.put({
      type: 'secret.rotated',
      data: { secret: 'llm', version: 2, hashes: { [rotated.inst('a').uid]: rotated.inst('a').hashes } },
    });
    assert.equal(outlook(rotated, 'a').row, 'start');
  });

  test('traffic does not end it: a crash-looper that is asked for all day stays in ERROR', () => {
    const fleet = lab({ policy: { giveUpAfter: 1 } });
    fleet.declare('a', lazy());
    fleet.settle();
    fleet.command('a', 'wake');
    fleet.settle();
    fleet.exits('a');
    fleet.put({ type: 'work.began', ...fleet.of('a'), data: {} });
    assert.equal(outlook(fleet, 'a').phase, 'ERROR');
  });
});

describe('row 8, create', () => {
  test('what was never seen to exist is provisioned, and started with it', () => {
    const fleet = lab();
    fleet.declare('a');
    assert.deepEqual(outlook(fleet, 'a'), { row: 'create', phase: 'CREATING', does: 'provision', hold: null });
  });

  test('a lazy one is made to exist and not started', () => {
    const fleet = lab();
    fleet.declare('a', lazy());
    assert.equal(outlook(fleet, 'a').does, 'provision unstarted');
    fleet.settle();
    assert.deepEqual(decided(fleet, 'a'), ['provision unstarted']);
    assert.equal(fleet.phase('a'), 'SLEEPING');
  });

  test('a lazy one that is already asked for is started with it', () => {
    const fleet = lab();
    fleet.declare('a', lazy());
    fleet.command('a', 'wake');
    assert.equal(outlook(fleet, 'a').does, 'provision');
  });

  test('config and plugins reach the backing store before the first start', () => {
    const fleet = lab();
    fleet.declare('a', { config: config(1), plugins: [plugin('git+file:///x#v1')] });
    fleet.settle();
    assert.deepEqual(decided(fleet, 'a'), [
      'provision unstarted',
      'persist-config unstarted',
      'install-plugin unstarted',
      'start',
    ]);
    assert.equal(fleet.phase('a'), 'RUNNING');
  });

  test('what a listing shows under our label is adopted, not created', () => {
    const fleet = lab();
    fleet.declare('a');
    fleet.seen('a', 'running');
    assert.equal(outlook(fleet, 'a').row, 'running');
  });
});

describe('row 9, missing', () => {
  test('what is proved gone is provisioned again', () => {
    const fleet = up();
    fleet.seen('a', 'missing');
    assert.deepEqual(outlook(fleet, 'a'), { row: 'missing', phase: 'PENDING', does: 'provision', hold: null });
  });

  test('asleep stays asleep', () => {
    const fleet = asleep();
    fleet.seen('a', 'missing');
    assert.equal(outlook(fleet, 'a').does, 'provision unstarted');
    fleet.settle();
    assert.equal(fleet.phase('a'), 'SLEEPING');
  });

  test('missing before it was ever seen is not "missing": it is still to be created', () => {
    const fleet = lab();
    fleet.declare('a');
    fleet.seen('a', 'missing');
    assert.equal(outlook(fleet, 'a').row, 'create');
  });
});

describe('row 10, asleep', () => {
  test('a lazy one that is stopped without a reason to be awake sleeps', () => {
    assert.deepEqual(outlook(asleep(), 'a'), { row: 'asleep', phase: 'SLEEPING', does: null, hold: null });
  });

  test('L83 what differs is made right without waking it', () => {
    const fleet = asleep({ config: config(1), plugins: [plugin('git+file:///x#v1')] });
    const before = fleet.state.seq;
    fleet.declare('a', { run: { image: 'bot:2' }, config: config(2), plugins: [plugin('git+file:///x#v2')] });
    fleet.settle();
    assert.deepEqual(decided(fleet, 'a', before), [
      'update unstarted',
      'persist-config unstarted',
      'install-plugin unstarted',
      'rollout-proved',
    ]);
    assert.equal(fleet.phase('a'), 'SLEEPING');
    assert.equal(fleet.inst('a').resource?.state, 'stopped');
  });

  test('L83 not even a restart that was asked, or a degraded report, wakes it', () => {
    const fleet = asleep({ onDegraded: 'restart' });
    fleet.command('a', 'restart');
    fleet.degraded('a');
    assert.deepEqual(outlook(fleet, 'a'), { row: 'asleep', phase: 'SLEEPING', does: null, hold: null });
  });

  for (const reason of ['a wake', 'work', 'a lease'] as const) {
    test(`${reason} is a reason to be awake`, () => {
      const fleet = asleep();
      if (reason === 'a wake') fleet.command('a', 'wake');
      else
        fleet.put({
          type: 'work.began',
          ...fleet.of('a'),
          data: reason === 'work' ? {} : { leaseUntil: fleet.now + 60_000 },
        });
      assert.deepEqual(outlook(fleet, 'a'), { row: 'start', phase: 'PENDING', does: 'start', hold: null });
    });
  }

  test('a lazy one found running is adopted as awake', () => {
    const fleet = asleep();
    fleet.seen('a', 'running');
    assert.equal(outlook(fleet, 'a').row, 'running');
    assert.equal(fleet.inst('a').awake, true);
  });

  test('exit 0 of a lazy one is sleep, exit 1 is a crash', () => {
    for (const [code, row] of [
      [0, 'asleep'],
      [1, 'start'],
    ] as const) {
      const fleet = asleep();
      fleet.command('a', 'wake');
      fleet.settle();
      fleet.exits('a', { code });
      assert.equal(outlook(fleet, 'a').row, row);
    }
  });
});

describe('row 11, changing', () => {
  test('what its authority is changing is left alone, and restarted past the deadline, counted in run', () => {
    const fleet = up();
    fleet.seen('a', 'changing');
    assert.deepEqual(outlook(fleet, 'a'), { row: 'changing', phase: 'RECONCILING', does: null, hold: null });
    fleet.advance(59_999);
    assert.equal(fleet.operation('a'), null);
    fleet.advance(1);
    assert.equal(fleet.operation('a'), 'restart');
    assert.deepEqual(phases(fleet, 'a').slice(-3), ['RECONCILING', 'DEGRADED', 'RECONCILING']);
    assert.equal(fleet.inst('a').concerns.run?.failures, 1);
  });

  test('it ends the search: not even drift is repaired meanwhile', () => {
    const fleet = up();
    fleet.declare('a', { run: { image: 'bot:2' } });
    fleet.seen('a', 'changing');
    assert.deepEqual(outlook(fleet, 'a'), { row: 'changing', phase: 'RECONCILING', does: null, hold: null });
  });
});

describe('row 12, start', () => {
  test('L19 stopped but matching is started, not reported unchanged', () => {
    const fleet = lab();
    fleet.declare('a');
    fleet.seen('a', 'stopped');
    assert.deepEqual(outlook(fleet, 'a'), { row: 'start', phase: 'PENDING', does: 'start', hold: null });
    fleet.settle();
    assert.equal(fleet.phase('a'), 'RUNNING');
  });

  test('what is to be made right is made right first, unstarted, each by its own operation; then it is started', () => {
    const fleet = up({ config: config(1), plugins: [plugin('git+file:///x#v1')] });
    const before = fleet.state.seq;
    fleet.exits('a');
    fleet.declare('a', { run: { image: 'bot:2' }, config: config(2), plugins: [plugin('git+file:///x#v2')] });
    fleet.settle();
    assert.deepEqual(decided(fleet, 'a', before), [
      'update unstarted',
      'persist-config unstarted',
      'install-plugin unstarted',
      'start',
    ]);
  });

  test('repairs that are held or have failed do not keep it down: what exists is started', () => {
    const fleet = up();
    fleet.exits('a');
    fleet.declare('a', { run: { image: 'nonsense' } });
    fleet.drain();
    assert.deepEqual(decided(fleet, 'a').slice(-1), ['update unstarted']);
    fleet.fail('a', { class: 'terminal', code: 'bad-image' });
    fleet.drain();
    assert.deepEqual(decided(fleet, 'a').slice(-1), ['start']);
  });

  test('a pause is a stop, and start unpauses: the same life goes on', () => {
    const fleet = up();
    const life = fleet.inst('a').resource?.incarnation ?? null;
    fleet.seen('a', 'stopped');
    fleet.drain();
    assert.equal(fleet.operation('a'), 'start');
    fleet.put({
      type: 'operation.ended',
      ...fleet.of('a'),
      data: {
        operation: fleet.inst('a').operation?.id ?? '',
        outcome: 'succeeded',
        saw: { ...fleet.look('a', 'running'), incarnation: life },
      },
    });
    fleet.settle();
    assert.equal(fleet.phase('a'), 'RUNNING');
    assert.equal(decided(fleet, 'a').filter((type) => type === 'start').length, 1);
  });
});

describe('row 13, update', () => {
  test('another infra hash is an update, never a create', () => {
    const fleet = up();
    fleet.declare('a', { run: { image: 'bot:2' } });
    assert.deepEqual(outlook(fleet, 'a'), { row: 'update', phase: 'PENDING', does: 'update', hold: null });
  });

  test('a lifecycle change is infra drift', () => {
    const fleet = up();
    fleet.declare('a', lazy());
    assert.equal(outlook(fleet, 'a').row, 'update');
  });

  test('labels alone are not', () => {
    const fleet = up();
    fleet.declare('a', { labels: { team: 'x' } });
    assert.equal(outlook(fleet, 'a').row, 'running');
  });

  test('given up it is ERROR, with the words of the failure', () => {
    const fleet = up();
    fleet.declare('a', { run: { image: 'nonsense' } });
    fleet.drain();
    fleet.fail('a', { class: 'terminal', code: 'bad-image', message: 'no such image: nonsense' });
    fleet.drain();
    assert.equal(fleet.phase('a'), 'ERROR');
    assert.equal(fleet.inst('a').concerns.update?.error?.message, 'no such image: nonsense');
  });

  test('a bad spec that is taken back leaves no error behind', () => {
    const fleet = up();
    fleet.declare('a', { run: { image: 'nonsense' } });
    fleet.drain();
    fleet.fail('a', { class: 'terminal', code: 'bad-image' });
    fleet.drain();
    fleet.declare('a', { run: { image: 'bot:1' } });
    fleet.settle();
    assert.equal(fleet.phase('a'), 'RUNNING');
    assert.deepEqual(fleet.inst('a').concerns, {});
  });
});

describe('row 14, restart-asked', () => {
  test('a restart is done, as planned, and is then done with', () => {
    const fleet = up();
    fleet.command('a', 'restart');
    assert.deepEqual(outlook(fleet, 'a'), { row: 'restart-asked', phase: 'RECONCILING', does: 'restart', hold: null });
    fleet.settle();
    assert.equal(outlook(fleet, 'a').row, 'running');
    assert.deepEqual(fleet.inst('a').restarts, { crashes: 0, planned: 1 });
  });

  test('it reads PENDING while held, even while something else is done', () => {
    const fleet = up({ config: config(1) });
    fleet.command('a', 'restart');
    fleet.drain();
    for (const _ of [1, 2]) {
      fleet.fail('a');
      fleet.drain();
    }
    assert.deepEqual(outlook(fleet, 'a'), { row: 'restart-asked', phase: 'PENDING', does: null, hold: 'backoff' });
    fleet.put({ type: 'config.observed', ...fleet.of('a'), data: { hash: '1:foreign' } });
    assert.deepEqual(outlook(fleet, 'a'), {
      row: 'restart-asked',
      phase: 'PENDING',
      does: 'apply-config',
      hold: 'backoff',
    });
  });

  test('a start since then answers it, too', () => {
    const fleet = up();
    fleet.command('a', 'restart');
    fleet.exits('a');
    fleet.settle();
    assert.equal(decided(fleet, 'a').includes('restart'), false);
    assert.equal(fleet.phase('a'), 'RUNNING');
  });
});

describe('row 15, starting', () => {
  test('not heard since its start, inside its grace: starting is not dead', () => {
    const fleet = lab();
    fleet.declare('a', { heartbeat: BEATS });
    fleet.settle();
    assert.deepEqual(outlook(fleet, 'a'), { row: 'starting', phase: 'RECONCILING', does: null, hold: null });
    fleet.advance(29_999);
    assert.equal(outlook(fleet, 'a').row, 'starting');
    fleet.advance(1);
    assert.equal(outlook(fleet, 'a').row, 'silent');
  });

  test('heard, it is over; without liveness it never was', () => {
    const fleet = lab();
    fleet.declare('a', { heartbeat: BEATS });
    fleet.declare('b');
    fleet.settle();
    fleet.report('a', 'first');
    assert.equal(outlook(fleet, 'a').row, 'running');
    assert.equal(outlook(fleet, 'b').row, 'running');
  });

  test('heartbeat and health are both waited for', () => {
    const fleet = lab();
    fleet.declare('a', { heartbeat: BEATS, health: HEALTH });
    fleet.settle();
    fleet.report('a', 'first');
    assert.equal(outlook(fleet, 'a').row, 'starting');
    fleet.probe('a', true);
    assert.equal(outlook(fleet, 'a').row, 'running');
  });

  test('L06 a boot of 240 s under a grace of 300 s is waited for', () => {
    const fleet = lab();
    fleet.declare('a', { heartbeat: { ...BEATS, startGraceMs: 300_000 } });
    fleet.settle();
    fleet.advance(240_000);
    fleet.report('a', 'first');
    fleet.settle();
    assert.equal(fleet.phase('a'), 'RUNNING');
    assert.deepEqual(decided(fleet, 'a'), ['provision']);
  });

  test('L81 config goes on behind it', () => {
    const fleet = lab();
    fleet.declare('a', { heartbeat: BEATS });
    fleet.settle();
    fleet.declare('a', { config: config(1) });
    assert.deepEqual(outlook(fleet, 'a'), { row: 'starting', phase: 'RECONCILING', does: 'apply-config', hold: null });
  });
});

describe('row 16, idle', () => {
  const awake = (part: Parameters<typeof lazy>[0] = {}): Lab => {
    const fleet = asleep(part);
    fleet.command('a', 'wake');
    fleet.settle();
    return fleet;
  };

  test('a lazy one without work for idleAfter is put to sleep, not a moment sooner', () => {
    const fleet = awake();
    fleet.advance(599_999);
    assert.equal(fleet.phase('a'), 'RUNNING');
    fleet.advance(1);
    assert.equal(fleet.operation('a'), 'sleep');
    assert.equal(fleet.phase('a'), 'RECONCILING');
    fleet.settle();
    assert.equal(fleet.phase('a'), 'SLEEPING');
  });

  test('work, a wake, and a new owner each begin the time anew', () => {
    for (const stir of ['work', 'wake', 'owner'] as const) {
      const fleet = awake();
      fleet.advance(599_999);
      if (stir === 'wake') fleet.command('a', 'wake');
      else if (stir === 'owner') fleet.own();
      else {
        fleet.put({ type: 'work.began', ...fleet.of('a'), data: {} });
        fleet.put({ type: 'work.ended', ...fleet.of('a'), data: {} });
      }
      if (stir === 'owner') fleet.sync('docker');
      fleet.advance(599_999);
      assert.equal(fleet.phase('a'), 'RUNNING', stir);
      fleet.advance(1);
      assert.equal(fleet.operation('a'), 'sleep', stir);
    }
  });

  test('a hot one never sleeps', () => {
    const fleet = up({ idleAfterMs: 600_000 });
    fleet.advance(86_400_000);
    assert.deepEqual(decided(fleet, 'a'), ['provision']);
  });

  test('L57 asked to sleep while busy it waits for the work, and reads PENDING', () => {
    const fleet = awake({ heartbeat: BEATS });
    fleet.report('a', 'first');
    fleet.report('a', 'busy');
    fleet.command('a', 'sleep');
    fleet.settle();
    assert.deepEqual(outlook(fleet, 'a'), { row: 'idle', phase: 'PENDING', does: null, hold: 'busy' });
    fleet.report('a', 'idle');
    assert.equal(outlook(fleet, 'a').does, 'sleep');
  });

  test('L57 the idle timer does not ring while a task, a request or a lease is open', () => {
    for (const work of ['task', 'request', 'lease'] as const) {
      const fleet = awake({ heartbeat: BEATS });
      fleet.report('a', 'first');
      if (work === 'task') fleet.report('a', 'busy');
      else
        fleet.put({
          type: 'work.began',
          ...fleet.of('a'),
          data: work === 'request' ? {} : { leaseUntil: fleet.now + 7_200_000 },
        });
      fleet.advance(3_600_000);
      assert.equal(fleet.phase('a'), 'RUNNING', work);
    }
  });

  test('a sleep that waits is cancelled by later work, and by a wake', () => {
    for (const cancel of ['work', 'wake'] as const) {
      const fleet = awake({ heartbeat: BEATS });
      fleet.report('a', 'first');
      fleet.report('a', 'busy');
      fleet.command('a', 'sleep');
      fleet.settle();
      if (cancel === 'wake') fleet.command('a', 'wake');
      else fleet.put({ type: 'work.began', ...fleet.of('a'), data: {} });
      if (cancel === 'work') fleet.put({ type: 'work.ended', ...fleet.of('a'), data: {} });
      fleet.report('a', 'idle');
      fleet.settle();
      assert.equal(fleet.phase('a'), 'RUNNING', cancel);
    }
  });

  test('L58 work that arrives while it is being put to sleep wakes it again at once', () => {
    const fleet = awake();
    fleet.command('a', 'sleep');
    fleet.drain();
    fleet.put({ type: 'work.began', ...fleet.of('a'), data: {} });
    fleet.succeed('a');
    fleet.settle();
    assert.equal(fleet.phase('a'), 'RUNNING');
    assert.deepEqual(decided(fleet, 'a').slice(-2), ['sleep', 'start']);
  });

  test('L60 a dead one is put to sleep like any other: idleness is about work, not about heartbeats', () => {
    const fleet = awake({ heartbeat: BEATS, onSilent: 'alert' });
    fleet.report('a', 'first');
    fleet.report('a', 'silent');
    fleet.advance(600_000);
    assert.equal(fleet.operation('a'), 'sleep');
  });
});

describe('row 17, silent', () => {
  test('without a health, the second opinion is a second silentAfter', () => {
    const fleet = up({ heartbeat: BEATS });
    fleet.report('a', 'silent');
    fleet.drain();
    assert.deepEqual(outlook(fleet, 'a'), { row: 'silent', phase: 'DEGRADED', does: null, hold: null });
    fleet.advance(14_999);
    assert.equal(fleet.operation('a'), null);
    fleet.advance(1);
    assert.equal(fleet.operation('a'), 'restart');
    assert.equal(fleet.inst('a').concerns.run?.failures, 1);
  });

  test('L05 a quiet agent that is heard again in time is not restarted', () => {
    const fleet = up({ heartbeat: BEATS });
    fleet.report('a', 'silent');
    fleet.advance(14_999);
    fleet.report('a', 'recovered');
    fleet.advance(60_000);
    assert.deepEqual(decided(fleet, 'a'), ['provision']);
    assert.equal(fleet.phase('a'), 'RUNNING');
  });

  test('L05 with a health, it is probed, and left alone if the probe disagrees: one probe per silentAfter', () => {
    const fleet = up({ heartbeat: BEATS, health: HEALTH });
    fleet.advance(60_000);
    fleet.report('a', 'silent');
    fleet.drain();
    assert.equal(fleet.operation('a'), 'probe');
    fleet.succeed('a');
    fleet.drain();
    assert.deepEqual(outlook(fleet, 'a'), { row: 'silent', phase: 'DEGRADED', does: null, hold: null });
    fleet.advance(14_999);
    assert.equal(fleet.operation('a'), null);
    fleet.advance(1);
    assert.equal(fleet.operation('a'), 'probe');
  });

  test('if the probe agrees, it is restarted', () => {
    const fleet = up({ heartbeat: BEATS, health: HEALTH });
    fleet.advance(60_000);
    fleet.report('a', 'silent');
    fleet.drain();
    fleet.put({
      type: 'operation.ended',
      ...fleet.of('a'),
      data: {
        operation: fleet.inst('a').operation?.id ?? '',
        outcome: 'succeeded',
        probe: { ok: false, message: 'connection refused' },
      },
    });
    fleet.drain();
    assert.equal(fleet.operation('a'), 'restart');
  });

  test('a declared health that fails is silence, too', () => {
    const fleet = up({ health: HEALTH });
    fleet.probe('a', false);
    assert.deepEqual(outlook(fleet, 'a'), { row: 'silent', phase: 'DEGRADED', does: 'restart', hold: null });
  });

  test('one that never came after its grace is silent', () => {
    const fleet = lab();
    fleet.declare('a', { heartbeat: BEATS });
    fleet.settle();
    fleet.advance(30_000);
    assert.equal(fleet.phase('a'), 'DEGRADED');
    fleet.advance(15_000);
    assert.equal(fleet.operation('a'), 'restart');
  });

  test('onSilent: alert only says so', () => {
    const fleet = up({ heartbeat: BEATS, onSilent: 'alert' });
    fleet.report('a', 'silent');
    fleet.advance(86_400_000);
    assert.equal(fleet.phase('a'), 'DEGRADED');
    assert.deepEqual(decided(fleet, 'a'), ['provision']);
  });

  test('a silent agent whose resource does not run is not silent but stopped', () => {
    const fleet = up({ heartbeat: BEATS });
    fleet.report('a', 'silent');
    fleet.exits('a');
    assert.equal(outlook(fleet, 'a').row, 'start');
  });

  test('L11 after our own downtime everybody has its whole grace', () => {
    const fleet = up({ heartbeat: BEATS });
    fleet.report('a', 'silent');
    fleet.drain();
    fleet.now += 3_600_000;
    fleet.own();
    fleet.sync('docker');
    fleet.drain();
    assert.equal(fleet.operation('a'), null);
    fleet.advance(15_000);
    assert.equal(fleet.operation('a'), 'restart');
  });

  test('L81 an unappliable config does not shadow a silent agent, nor an update that gave up', () => {
    const fleet = up({ heartbeat: BEATS });
    fleet.declare('a', { config: config('nonsense'), run: { image: 'nonsense' } });
    fleet.drain();
    fleet.fail('a', { class: 'terminal', code: 'bad-image' });
    fleet.drain();
    assert.equal(fleet.operation('a'), 'apply-config');
    fleet.fail('a', { class: 'terminal', code: 'invalid' });
    fleet.report('a', 'silent');
    fleet.advance(15_000);
    assert.equal(fleet.operation('a'), 'restart');
  });
});

describe('row 18, config', () => {
  test('declared differs from applied: it is applied, then persisted', () => {
    const fleet = up({ config: config(1) });
    const before = fleet.state.seq;
    fleet.declare('a', { config: config(2) });
    assert.equal(outlook(fleet, 'a').phase, 'DEGRADED');
    fleet.drain();
    assert.equal(fleet.operation('a'), 'apply-config');
    fleet.succeed('a');
    fleet.drain();
    assert.equal(fleet.operation('a'), 'persist-config');
    fleet.settle();
    assert.deepEqual(decided(fleet, 'a', before), ['apply-config', 'persist-config']);
    assert.equal(fleet.phase('a'), 'RUNNING');
  });

  test('L36 applied to the running agent only is not enough: persisting is retried until it holds', () => {
    const fleet = up();
    fleet.declare('a', { config: config(1) });
    fleet.drain();
    fleet.succeed('a');
    fleet.drain();
    fleet.fail('a');
    fleet.drain();
    assert.equal(fleet.phase('a'), 'DEGRADED');
    assert.equal(fleet.operation('a'), 'persist-config');
  });

  test('L36 a new life begins with what was persisted', () => {
    const fleet = up({ config: config(1) });
    fleet.declare('a', { config: config(2) });
    fleet.drain();
    fleet.succeed('a');
    fleet.exits('a');
    fleet.seen('a', 'running', { incarnation: 'again' });
    assert.deepEqual([outlook(fleet, 'a').row, outlook(fleet, 'a').does], ['config', 'apply-config']);
  });

  test('what the agent itself says differs: enforced by default, only shown under report', () => {
    for (const [drift, does] of [
      ['enforce', 'apply-config'],
      ['report', null],
    ] as const) {
      const fleet = up({ config: config(1), drift });
      fleet.put({ type: 'config.observed', ...fleet.of('a'), data: { hash: '1:foreign' } });
      assert.deepEqual(outlook(fleet, 'a'), { row: 'config', phase: 'DEGRADED', does, hold: null });
    }
  });

  test('refused as invalid it is ERROR, and is not tried again by itself', () => {
    const fleet = up();
    fleet.declare('a', { config: config('nonsense') });
    fleet.drain();
    fleet.fail('a', { class: 'terminal', code: 'invalid', message: 'greeting: must be a string' });
    fleet.drain();
    assert.equal(fleet.phase('a'), 'ERROR');
    assert.equal(fleet.hold('a'), 'gave-up');
    assert.equal(fleet.inst('a').concerns.config?.error?.message, 'greeting: must be a string');
    assert.equal(fleet.inst('a').resource?.state, 'running', 'and the last good one stays in force');
  });

  test('as declared, applied, observed and persisted, nothing is to be done', () => {
    const fleet = up({ config: config(1) });
    fleet.put({ type: 'config.observed', ...fleet.of('a'), data: { hash: hash(fleet) } });
    assert.equal(outlook(fleet, 'a').row, 'running');
  });
});

describe('row 19, plugins', () => {
  const X = 'git+file:///x';
  const Y = 'git+file:///y';

  test('missing ones are installed, undeclared ones uninstalled, each by its own concern', () => {
    const fleet = up({ plugins: [plugin(`${X}#v1`)] });
    const before = fleet.state.seq;
    fleet.declare('a', { plugins: [plugin(`${Y}#v1`)] });
    assert.equal(outlook(fleet, 'a').phase, 'DEGRADED');
    fleet.drain();
    assert.equal(fleet.inst('a').operation?.concern, `plugin:${Y}`);
    fleet.settle();
    assert.deepEqual(decided(fleet, 'a', before), ['install-plugin', 'uninstall-plugin']);
  });

  test('one bad plugin does not block the others', () => {
    const fleet = up();
    fleet.declare('a', { plugins: [plugin(`${X}#gone`), plugin(`${Y}#v1`)] });
    fleet.drain();
    fleet.fail('a', { class: 'terminal', code: 'no-such-ref' });
    fleet.settle();
    assert.equal(fleet.inst('a').plugins?.find((one) => one.source === Y)?.ref, 'v1');
    assert.equal(fleet.phase('a'), 'DEGRADED');
  });

  test('L68 a re-declared pin wins over what is installed', () => {
    const fleet = up({ plugins: [plugin(`${X}#v1`)] });
    fleet.declare('a', { plugins: [plugin(`${X}#v2`)] });
    fleet.settle();
    assert.equal(fleet.inst('a').plugins?.[0]?.ref, 'v2');
  });

  test('L69 on record but not on the box: reinstalled', () => {
    const fleet = up({ plugins: [plugin(`${X}#v1`)] });
    fleet.put({ type: 'plugins.observed', ...fleet.of('a'), data: { installed: [] } });
    assert.equal(outlook(fleet, 'a').does, 'install-plugin');
  });

  test('a tracked ref that moved is reinstalled, wherever it is tracked; a pinned one is not', () => {
    const fleet = lab();
    fleet.declare('a', { plugins: [plugin(`${X}#main`, true)] });
    fleet.declare('b', { plugins: [plugin(`${X}#main`)] });
    fleet.settle();
    fleet.put({ type: 'plugin.ref-moved', data: { source: X, sha: 'abc' } });
    assert.equal(outlook(fleet, 'a').does, 'install-plugin');
    assert.equal(outlook(fleet, 'b').row, 'running');
    fleet.settle();
    assert.equal(fleet.phase('a'), 'RUNNING');
    assert.equal(fleet.inst('a').plugins?.[0]?.sha, 'abc');
  });
});

describe('row 19, a plugin that takes effect with a restart only', () => {
  const X = 'git+file:///x';
  const Y = 'git+file:///y';
  const Z = 'git+file:///z';

  /** The operation in flight brings the plugin in, as its own manifest has it. */
  function installs(fleet: Lab, restart: boolean, digest?: string): void {
    const { operation, spec } = fleet.inst('a');
    assert.equal(operation?.kind, 'install-plugin');
    const source = operation.subject ?? '';
    const ref = spec.plugins.find((one) => one.source === source)?.ref ?? null;
    const treeDigest = digest ?? `tree-${ref}`;
    fleet.put({
      type: 'operation.ended',
      ...fleet.of('a'),
      data: { operation: operation.id, outcome: 'succeeded', plugin: { source, ref, sha: 's', treeDigest, restart } },
    });
    fleet.drain();
  }

  test('is followed by one restart for all that changed together', () => {
    const fleet = up();
    const before = fleet.state.seq;
    fleet.declare('a', { plugins: [plugin(`${X}#v1`), plugin(`${Y}#v1`), plugin(`${Z}#v1`)] });
    fleet.drain();
    installs(fleet, true);
    assert.equal(fleet.phase('a'), 'DEGRADED');
    installs(fleet, true);
    installs(fleet, false);
    fleet.settle();
    assert.deepEqual(decided(fleet, 'a', before), ['install-plugin', 'install-plugin', 'install-plugin', 'restart']);
    assert.deepEqual([fleet.phase('a'), fleet.inst('a').restarts], ['RUNNING', { crashes: 0, planned: 1 }]);
  });

  test('when none of them needs it, nothing is restarted', () => {
    const fleet = up();
    fleet.declare('a', { plugins: [plugin(`${X}#v1`), plugin(`${Y}#v1`)] });
    fleet.drain();
    installs(fleet, false);
    installs(fleet, false);
    assert.deepEqual([fleet.phase('a'), fleet.inst('a').restarts.planned], ['RUNNING', 0]);
  });

  test('nor when what came is what was there, or when it does not run', () => {
    const fleet = up();
    fleet.declare('a', { plugins: [plugin(`${X}#v1`)] });
    fleet.drain();
    installs(fleet, true, 'same');
    fleet.settle();
    fleet.declare('a', { plugins: [plugin(`${X}#v2`)] });
    fleet.drain();
    installs(fleet, true, 'same');
    assert.deepEqual([fleet.phase('a'), fleet.inst('a').restarts.planned], ['RUNNING', 1]);

    const asleep = lab();
    asleep.declare('a', lazy());
    asleep.settle();
    asleep.declare('a', { plugins: [plugin(`${X}#v1`)] });
    asleep.drain();
    assert.equal(asleep.inst('a').operation?.unstarted, true);
    installs(asleep, true);
    assert.deepEqual([asleep.phase('a'), asleep.operation('a')], ['SLEEPING', null]);
  });

  test('going away it needs a restart, too', () => {
    const fleet = up();
    fleet.declare('a', { plugins: [plugin(`${X}#v1`)] });
    fleet.drain();
    installs(fleet, true);
    fleet.settle();
    const before = fleet.state.seq;
    fleet.declare('a', { plugins: [] });
    fleet.settle();
    assert.deepEqual(decided(fleet, 'a', before), ['uninstall-plugin', 'restart']);
  });

  test('does not wait for one that fails, nor does any start that comes between leave one due', () => {
    const fleet = up();
    fleet.declare('a', { plugins: [plugin(`${X}#v1`), plugin(`${Y}#gone`)] });
    fleet.drain();
    installs(fleet, true);
    for (const _ of [1, 2]) {
      assert.equal(fleet.inst('a').operation?.subject, Y);
      fleet.fail('a');
      fleet.drain();
    }
    assert.equal(fleet.operation('a'), 'restart', 'once the bad one has to wait');
    fleet.settle();
    fleet.exits('a');
    fleet.settle();
    assert.equal(fleet.inst('a').restartDueSeq, null);
  });

  test('a busy agent is waited for', () => {
    const fleet = up({ heartbeat: BEATS });
    fleet.report('a', 'busy');
    fleet.declare('a', { plugins: [plugin(`${X}#v1`)] });
    fleet.drain();
    installs(fleet, true);
    assert.deepEqual(outlook(fleet, 'a'), { row: 'plugins', phase: 'DEGRADED', does: null, hold: 'busy' });
    const condition = conditionsOf(new Case(fleet.state, fleet.inst('a'), fleet.now)).find(
      ({ type }) => type === 'PluginsInstalled',
    );
    assert.deepEqual([condition?.status, condition?.reason], ['false', 'restart-due']);
    fleet.report('a', 'idle');
    assert.equal(outlook(fleet, 'a').does, 'restart');
  });
});

describe('row 19, what else makes a plugin differ', () => {
  const X = 'git+file:///x';

  test('L68 an integrity that what is installed does not have', () => {
    const fleet = up({ plugins: [plugin(`${X}#v1`)] });
    fleet.declare('a', { plugins: [{ ...plugin(`${X}#v1`), integrity: `sha256:${'a'.repeat(64)}` }] });
    assert.equal(outlook(fleet, 'a').does, 'install-plugin');
  });

  test('a ref that moved is another matter for who tracks another ref of that source; and one that failed is tried anew', () => {
    const fleet = lab();
    fleet.declare('a', { plugins: [plugin(`${X}#main`, true)] });
    fleet.declare('b', { plugins: [plugin(`${X}#next`, true)] });
    fleet.drain();
    fleet.succeed('a');
    fleet.succeed('b');
    fleet.settle();
    fleet.put({ type: 'plugin.ref-moved', data: { source: X, ref: 'main', sha: 'abc' } });
    assert.deepEqual([outlook(fleet, 'a').does, outlook(fleet, 'b').row], ['install-plugin', 'running']);
    fleet.drain();
    fleet.fail('a', { class: 'terminal', code: 'hostile' });
    fleet.drain();
    assert.equal(fleet.hold('a'), 'gave-up');
    fleet.put({ type: 'plugin.ref-moved', data: { source: X, ref: 'main', sha: 'def' } });
    assert.equal(outlook(fleet, 'a').does, 'install-plugin');
  });

  test('L69 what was made anew is believed as it was read back, and what it lacks goes in before the start', () => {
    const fleet = up({ plugins: [plugin(`${X}#v1`)] });
    fleet.seen('a', 'missing');
    fleet.drain();
    const before = fleet.state.seq;
    const operation = fleet.inst('a').operation;
    assert.equal(operation?.kind, 'provision');
    const saw = { ...fleet.look('a', 'stopped'), ref: 'ref-2', infra: fleet.inst('a').hashes.infra };
    fleet.put({
      type: 'operation.ended',
      ...fleet.of('a'),
      data: { operation: operation.id, outcome: 'succeeded', saw, plugins: [] },
    });
    fleet.settle();
    assert.deepEqual(decided(fleet, 'a', before), ['install-plugin unstarted', 'start']);
    assert.equal(fleet.phase('a'), 'RUNNING');
  });

  test('one bad plugin of a rollout stays where it is tried first, and holds up no other there', () => {
    const Y = 'git+file:///y';
    const fleet = lab();
    for (const name of ['a', 'b']) fleet.declare(name, { plugins: [plugin(`${X}#v1`), plugin(`${Y}#v1`)] }, 'one');
    fleet.settle();
    for (const name of ['a', 'b']) fleet.declare(name, { plugins: [plugin(`${X}#gone`), plugin(`${Y}#v2`)] }, 'two');
    fleet.drain();
    assert.equal(fleet.inst('a').operation?.subject, X);
    fleet.fail('a', { class: 'terminal' });
    fleet.drain();
    fleet.succeed('a');
    fleet.drain();
    assert.deepEqual(
      fleet.inst('a').plugins?.map(({ ref }) => ref),
      ['unsure', 'v2'],
    );
    fleet.advance(20 * 60_000);
    assert.deepEqual([fleet.operation('b'), fleet.hold('b')], [null, 'rollout-failed']);
    fleet.advance(20 * 60_000);
    assert.equal(fleet.inst('a').operation?.subject, X, 'and there it is tried again');
  });

  test('L69 what was lost comes back though the rollout failed', () => {
    const fleet = up({ plugins: [plugin(`${X}#v1`), plugin('git+file:///y#v1')] });
    fleet.declare('a', { run: { image: 'bot:2' } });
    fleet.drain();
    fleet.fail('a');
    fleet.drain();
    fleet.put({
      type: 'plugins.observed',
      ...fleet.of('a'),
      data: { installed: fleet.inst('a').plugins?.slice(1) ?? [] },
    });
    fleet.advance(1);
    assert.equal(fleet.state.rollout?.failures, 1);
    assert.equal(fleet.operation('a'), 'install-plugin');
  });

  test('L82 one that failed before does not come before the start of what crashed', () => {
    const fleet = up();
    fleet.declare('a', { plugins: [plugin(`${X}#gone`)] });
    fleet.drain();
    fleet.fail('a');
    fleet.drain();
    fleet.fail('a');
    fleet.advance(5_000);
    fleet.fail('a');
    fleet.now += 600_000;
    fleet.exits('a');
    fleet.drain();
    assert.equal(fleet.operation('a'), 'start', 'though its backoff is over');
  });

  test('L82 one that goes in while its agent dies is called off: the agent is started first, then it goes in', () => {
    const fleet = up();
    fleet.declare('a', { plugins: [plugin(`${X}#v1`)] });
    fleet.drain();
    assert.equal(fleet.operation('a'), 'install-plugin');
    fleet.exits('a');
    fleet.drain();
    assert.equal(fleet.inst('a').operation?.abort?.reason, 'heal');
    fleet.end('a', 'aborted');
    fleet.drain();
    assert.equal(fleet.operation('a'), 'start', 'not the same install once more');
    fleet.succeed('a');
    fleet.drain();
    assert.equal(fleet.operation('a'), 'install-plugin');
    assert.equal(fleet.inst('a').concerns[`plugin:${X}`]?.failures ?? 0, 0, 'to be called off is no failure');
  });

  test('one that goes in before the very first start is not called off by it', () => {
    const fleet = up();
    fleet.declare('b', { plugins: [plugin(`${X}#v1`)] });
    fleet.drain();
    fleet.succeed('b');
    fleet.drain();
    assert.equal(fleet.operation('b'), 'install-plugin');
    fleet.advance(5_000);
    assert.deepEqual([fleet.operation('b'), fleet.inst('b').operation?.abort], ['install-plugin', null]);
  });
});

describe('row 20, agent-degraded', () => {
  test('by default it only alerts', () => {
    const fleet = up({ heartbeat: BEATS });
    fleet.degraded('a');
    assert.deepEqual(outlook(fleet, 'a'), { row: 'agent-degraded', phase: 'DEGRADED', does: null, hold: null });
    fleet.report('a', 'well');
    assert.equal(outlook(fleet, 'a').row, 'running');
  });

  test('under onDegraded: restart it is restarted, counted in run', () => {
    const fleet = up({ onDegraded: 'restart' });
    fleet.degraded('a');
    fleet.settle();
    assert.equal(fleet.inst('a').concerns.run?.failures, 1);
    assert.equal(fleet.phase('a'), 'RUNNING');
  });

  test('an external one is never restarted: it runs elsewhere', () => {
    const fleet = lab();
    fleet.declare('a', external({ onDegraded: 'restart' }));
    fleet.report('a', 'first');
    fleet.degraded('a');
    assert.deepEqual(outlook(fleet, 'a'), { row: 'agent-degraded', phase: 'DEGRADED', does: null, hold: null });
  });
});

describe('rows 21 and 22, running and unclassified', () => {
  test('RUNNING is: as declared, seen running, live', () => {
    const fleet = up({ heartbeat: BEATS, config: config(1), plugins: [plugin('git+file:///x#v1')] });
    assert.deepEqual(outlook(fleet, 'a'), { row: 'running', phase: 'RUNNING', does: null, hold: null });
  });

  test('a matching, heard one that is not seen running is not RUNNING', () => {
    const fleet = up({ heartbeat: BEATS });
    fleet.seen('a', 'stopped');
    fleet.report('a', 'first');
    assert.equal(outlook(fleet, 'a').row, 'start');
  });

  test('the last row catches whatever no other did, so that nothing is ever without a phase', () => {
    const last = TABLE.at(-1);
    assert.equal(last?.id, 'unclassified');
    const fleet = up();
    for (const state of ['running', 'stopped', 'changing', 'missing'] as const) {
      fleet.seen('a', state);
      assert.notEqual(outlook(fleet, 'a').row, 'unclassified', state);
    }
  });
});

describe('who goes first', () => {
  test('delete before stop, stop before giving up, giving up before missing', () => {
    const fleet = up({}, { policy: { giveUpAfter: 1 } });
    fleet.seen('a', 'missing');
    assert.equal(outlook(fleet, 'a').row, 'gave-up');
    fleet.command('a', 'stop');
    assert.equal(outlook(fleet, 'a').row, 'stopped');
    fleet.delete('a');
    assert.equal(outlook(fleet, 'a').row, 'deleting');
  });

  test('update before restart: one recreation answers both', () => {
    const fleet = up();
    fleet.command('a', 'restart');
    fleet.declare('a', { run: { image: 'bot:2' } });
    const before = fleet.state.seq;
    assert.equal(outlook(fleet, 'a').row, 'update');
    fleet.settle();
    assert.deepEqual(
      decided(fleet, 'a', before).filter((type) => type !== 'rollout-proved'),
      ['update'],
    );
  });

  test('idle before silent: what nobody needs is not healed, it is put to sleep', () => {
    const fleet = asleep({ heartbeat: BEATS });
    fleet.command('a', 'wake');
    fleet.settle();
    fleet.report('a', 'first');
    fleet.report('a', 'silent');
    fleet.command('a', 'sleep');
    assert.equal(outlook(fleet, 'a').does, 'sleep');
  });

  test('L47 two rows that would act are one action: the first whose gates are open', () => {
    const fleet = up({ heartbeat: BEATS, onDegraded: 'restart' });
    fleet.declare('a', { run: { image: 'bot:2' }, config: config(1) });
    fleet.command('a', 'restart');
    fleet.degraded('a');
    fleet.report('a', 'silent');
    const { actions } = fleet.tick();
    assert.deepEqual(
      actions.map((action) => action.type),
      ['update'],
    );
  });
});
