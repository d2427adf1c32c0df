/**
 * The door (`runtime/wake`) in front of a fleet in a test tube: the real core decides, the test owns the clock, the loop's inbox
 * and what listens.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import type { NewEvent } from '../../src/core/events.ts';
import type { FleetState, Spec } from '../../src/core/model.ts';
import type { Clock } from '../../src/ports/clock.ts';
import { NotAwake, type Visit, type VisitedFleet, Wake } from '../../src/runtime/wake.ts';
import { external, type Lab, lab, lazy, spec } from '../support/fleet.ts';

const AT = '127.0.0.1:8080';
const NEVER = new AbortController().signal;
const BOT: Partial<Spec> = { target: 'process', targetType: 'process', run: { command: ['bot'], ports: [8080] } };

interface World {
  readonly wake: Wake;
  readonly clock: ManualClock;
  fleet: Tube | null;
  /** Does anything listen? Every attempt to find out is counted. */
  readonly agent: { listens: boolean; attempts: number };
  enter(name?: string): Visit;
  /** The visit's way to the agent; what came of it, once something did. */
  reach(visit: Visit, signal?: AbortSignal): Outcome;
  /** Everything that is due now has happened. */
  settled(): Promise<void>;
  /** Time passes for the door and the fleet. */
  pass(ms: number): Promise<void>;
}

interface Outcome {
  value: string | null;
  error: NotAwake | null;
}

const waits = ({ value, error }: Outcome): boolean => value === null && error === null;

type Source = (state: FleetState, draft: boolean) => readonly NewEvent[];

/** A fleet whose loop does what it is told, when it is told. */
class Tube implements VisitedFleet {
  readonly lab: Lab;
  full = false;
  private readonly inbox: Source[] = [];
  private readonly listeners = new Set<() => void>();
  readonly loop: VisitedFleet['loop'];

  constructor(one: Lab) {
    this.lab = one;
    this.loop = {
      state: one.state,
      time: () => one.now,
      report: (source) => {
        if (!this.full) this.inbox.push(source);
        return !this.full;
      },
    };
  }

  listen(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** As the loop does: asks everybody first, then folds what they said. */
  drain(): void {
    for (const fact of this.inbox.splice(0).flatMap((source) => source(this.lab.state, false))) this.lab.put(fact);
  }

  tell(): void {
    for (const listener of this.listeners) listener();
  }

  get listened(): number {
    return this.listeners.size;
  }

  edges(): string[] {
    return this.lab.log.map(({ type }) => type).filter((type) => type.startsWith('work.'));
  }
}

class ManualClock implements Clock {
  private now = 1_000;
  private timers: { at: number; run: () => void }[] = [];
  wall = (): number => this.now;
  mono = (): number => this.now;
  after = (delayMs: number, run: () => void): (() => void) => {
    const timer = { at: this.now + delayMs, run };
    this.timers.push(timer);
    return () => (this.timers = this.timers.filter((one) => one !== timer));
  };

  /** The next timer up to `end` has rung; false if there is none. */
  ring(end: number): boolean {
    const next = this.timers.filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0];
    this.now = next?.at ?? end;
    if (next === undefined) return false;
    this.timers = this.timers.filter((one) => one !== next);
    next.run();
    return true;
  }

  get pending(): number {
    return this.timers.length;
  }
}

function world(declare: (one: Lab) => void = (one) => one.declare('bot', lazy(BOT))): World {
  const one = lab({ targets: ['process'] });
  declare(one);
  one.settle();
  const clock = new ManualClock();
  const agent = { listens: true, attempts: 0 };
  const self: World = {
    clock,
    agent,
    fleet: new Tube(one),
    wake: new Wake({ fleet: (name) => (name === 'lab' ? self.fleet : null) }, clock),
    enter: (name = 'bot') => self.wake.visit('lab', name, null),
    reach(visit, signal = NEVER) {
      const outcome: Outcome = { value: null, error: null };
      const connect = async (at: string): Promise<string> => {
        agent.attempts += 1;
        await turn();
        if (!agent.listens) throw new Error('refused');
        return at;
      };
      visit.reach(connect, signal).then(
        (value) => (outcome.value = value),
        (error: unknown) => {
          assert.ok(error instanceof NotAwake, String(error));
          outcome.error = error;
        },
      );
      return outcome;
    },
    async settled() {
      for (let i = 0; i < 5; i += 1) {
        self.fleet?.drain();
        self.fleet?.lab.settle();
        for (const inst of self.fleet?.lab.state.instances.values() ?? []) publish(inst.resource);
        self.fleet?.tell();
        for (let turns = 0; turns < 20; turns += 1) await turn();
      }
    },
    async pass(ms) {
      const end = clock.mono() + ms;
      for (let more = true; more;) {
        const before = clock.mono();
        more = clock.ring(end);
        self.fleet?.lab.advance(clock.mono() - before);
        await self.settled();
      }
    },
  };
  return self;
}

/** The lab's resources have no endpoints of their own. */
function publish(resource: { state: string; attrs: object } | null): void {
  if (resource?.state === 'running') Object.assign(resource, { attrs: { ...resource.attrs, endpoints: { 8080: AT } } });
}

describe('waking', () => {
  test('L61 any number of requests to a sleeper wait for one start, and are told where it is', async () => {
    const { wake: _, ...one } = world();
    const outcomes = Array.from({ length: 150 }, () => one.reach(one.enter()));
    await one.settled();
    assert.ok(outcomes.every(({ value }) => value === AT));
    const starts = one.fleet?.lab
      .events('tick.decided')
      .flatMap(({ data }) => data.actions)
      .filter(({ type }) => type === 'start');
    assert.equal(starts?.length, 1);
    assert.equal(one.fleet?.listened, 0);
  });

  test('one knocks for all while nothing listens, and all go in once something does', async () => {
    const one = world();
    one.agent.listens = false;
    const outcomes = Array.from({ length: 150 }, () => one.reach(one.enter()));
    await one.settled();
    await one.pass(1_000);
    assert.ok(one.agent.attempts > 10 && one.agent.attempts <= 45, `${one.agent.attempts} attempts in a second`);
    assert.ok(outcomes.every(({ value, error }) => value === null && error === null));
    one.agent.listens = true;
    await one.pass(100);
    assert.ok(outcomes.every(({ value }) => value === AT));
  });

  test('whoever knocks for all may go away: the next one goes on', async () => {
    const one = world();
    one.agent.listens = false;
    const leaving = new AbortController();
    const first = one.reach(one.enter(), leaving.signal);
    const second = one.reach(one.enter());
    await one.settled();
    leaving.abort();
    one.agent.listens = true;
    await one.pass(100);
    assert.equal(first.error?.kind ?? first.value, first.value ?? 'timeout');
    assert.equal(second.value, AT);
  });

  test('beyond 200 that wait for one, and 2,000 in all, there is no room: try again', async () => {
    const names = Array.from({ length: 12 }, (_, i) => `bot-${i}`);
    // Held: nobody wakes up.
    const one = world((it) => {
      for (const name of names) it.declare(name, lazy(BOT));
      it.settle();
      it.holdFleet();
    });
    const full = Array.from({ length: 201 }, () => one.reach(one.enter('bot-0')));
    await one.settled();
    assert.equal(full.filter(({ error }) => error?.kind === 'crowded').length, 1);
    assert.ok((full.at(-1)?.error?.retryAfterSeconds ?? 0) > 0);
    const more = names.slice(1).flatMap((name) => Array.from({ length: 190 }, () => one.reach(one.enter(name))));
    await one.settled();
    assert.equal(more.filter(({ error }) => error?.kind === 'crowded').length, 11 * 190 - 1_800);
  });

  test('nobody waits longer than a minute, and nothing is left of whoever waited', async () => {
    const one = world((it) => {
      it.declare('bot', lazy(BOT));
      it.settle();
      it.holdFleet();
    });
    const visit = one.enter();
    const outcome = one.reach(visit);
    await one.settled();
    await one.pass(59_000);
    assert.ok(waits(outcome));
    await one.pass(2_000);
    assert.equal(outcome.error?.kind, 'timeout');
    assert.ok((outcome.error?.retryAfterSeconds ?? 0) > 0);
    visit.close();
    await one.pass(5_000);
    assert.equal(one.fleet?.listened, 0);
    assert.equal(one.clock.pending, 0);
  });

  test('a client that has gone is not waited for, even if it went before', async () => {
    const one = world((it) => {
      it.declare('bot', lazy(BOT));
      it.settle();
      it.holdFleet();
    });
    const leaving = new AbortController();
    const waiting = one.reach(one.enter(), leaving.signal);
    const late = one.reach(one.enter(), AbortSignal.abort());
    await one.settled();
    leaving.abort();
    await one.settled();
    assert.ok(waiting.error !== null && late.error !== null);
    assert.equal(one.fleet?.listened, 0);
  });

  test('one that has run for long and does not listen is given up on within seconds, a young one within half a minute', async () => {
    const one = world((it) => it.declare('bot', spec(BOT)));
    await one.settled();
    one.agent.listens = false;
    const young = one.reach(one.enter());
    await one.settled();
    await one.pass(29_000);
    assert.ok(waits(young));
    await one.pass(3_000);
    assert.equal(young.error?.kind, 'deaf');
    const old = one.reach(one.enter());
    await one.settled();
    await one.pass(2_500);
    assert.equal(old.error?.kind, 'deaf');
  });

  for (const [what, kind, declare] of [
    ['nobody knows', 'unknown', (): void => undefined],
    [
      'was stopped',
      'stopped',
      (it: Lab): void => {
        it.declare('bot', lazy(BOT));
        it.settle();
        it.command('bot', 'stop');
      },
    ],
    [
      'is being deleted',
      'unknown',
      (it: Lab): void => {
        it.declare('bot', lazy(BOT));
        it.settle();
        it.delete('bot');
        it.drain();
      },
    ],
    ['runs elsewhere', 'no-port', (it: Lab): void => void it.declare('bot', external())],
    ['publishes no port', 'no-port', (it: Lab): void => void it.declare('bot', lazy({ ...BOT, run: {} }))],
  ] as const) {
    test(`a request for one that ${what} is refused at once, and wakes nobody`, () => {
      const one = world(() => undefined);
      declare(one.fleet!.lab);
      assert.throws(
        () => one.enter(),
        (error) => error instanceof NotAwake && error.kind === kind,
      );
      one.fleet?.drain();
      assert.deepEqual(one.fleet?.edges(), []);
    });
  }

  test('whoever waits for one that an operator then stops, or that gives up, is told so at once', async () => {
    for (const [kind, end] of [
      ['stopped', (it: Lab): unknown => it.command('bot', 'stop')],
      ['unknown', (it: Lab): unknown => it.delete('bot')],
    ] as const) {
      const one = world((it) => {
        it.declare('bot', lazy(BOT));
        it.settle();
        it.holdFleet();
      });
      const outcome = one.reach(one.enter());
      await one.settled();
      end(one.fleet!.lab);
      await one.settled();
      assert.equal(outcome.error?.kind, kind);
    }
  });
});

describe('counting', () => {
  test('a thousand requests in a row are two events, and none for one that is hot', async () => {
    for (const [declared, edges] of [
      [lazy(BOT), ['work.began', 'work.ended']],
      [spec(BOT), []],
    ] as const) {
      const one = world((it) => it.declare('bot', declared));
      for (let i = 0; i < 1_000; i += 1) {
        const visit = one.enter();
        visit.close();
        visit.close();
        if (i % 100 === 0) await one.pass(500);
      }
      await one.pass(5_000);
      assert.deepEqual(one.fleet?.edges(), edges);
      assert.equal(one.clock.pending, 0);
    }
  });

  test('a request that comes just as the work was to be told as ended is no end', async () => {
    const one = world();
    one.enter().close();
    await one.settled();
    // The pause is over, but the loop has not asked yet.
    one.clock.ring(one.clock.mono() + 1_000);
    const visit = one.enter();
    await one.settled();
    assert.deepEqual(one.fleet?.edges(), ['work.began']);
    assert.ok(one.fleet?.lab.inst('bot').work.open);
    visit.close();
    await one.pass(2_000);
    assert.deepEqual(one.fleet?.edges(), ['work.began', 'work.ended']);
  });

  test('what a full inbox did not take is offered again, in the right order', async () => {
    const one = world();
    one.fleet!.full = true;
    const visit = one.enter();
    one.fleet!.full = false;
    await one.pass(1_500);
    assert.deepEqual(one.fleet?.edges(), ['work.began']);
    visit.close();
    one.fleet.full = true;
    await one.pass(1_500);
    const again = one.enter();
    again.close();
    one.fleet.full = false;
    await one.pass(5_000);
    assert.deepEqual(one.fleet?.edges(), ['work.began', 'work.ended']);
    assert.equal(one.clock.pending, 0);
  });

  test('another owner in between: whoever waits goes on waiting there, and the work is told again', async () => {
    const one = world((it) => {
      it.declare('bot', lazy(BOT));
      it.settle();
      it.holdFleet();
    });
    const outcome = one.reach(one.enter());
    await one.settled();
    const { lab: it } = one.fleet!;
    const lost = one.fleet!;
    one.fleet = null;
    await one.pass(3_000);
    assert.equal(lost.listened, 0);
    it.own();
    it.sync('process');
    it.release();
    one.fleet = new Tube(it);
    await one.pass(2_000);
    assert.equal(outcome.value, AT);
    assert.ok(it.inst('bot').work.open);
    assert.equal(one.fleet.listened, 0);
  });

  test('L57 an open request that the log has forgotten is told again before anybody is put to sleep', async () => {
    const one = world();
    const visit = one.enter();
    one.reach(visit);
    await one.settled();
    const { lab: it } = one.fleet!;
    it.own();
    it.sync('process');
    assert.equal(it.inst('bot').work.open, false);
    assert.ok(one.wake.isVisited(it.inst('bot').uid));
    await one.settled();
    assert.ok(it.inst('bot').work.open);
    visit.close();
    assert.ok(!one.wake.isVisited(it.inst('bot').uid));
    await one.pass(2_000);
    assert.ok(!it.inst('bot').work.open);
  });

  test('L57 a request that was open when a hot one became lazy keeps it awake all the same', async () => {
    const one = world((it) => it.declare('bot', spec(BOT)));
    const visit = one.enter();
    const { lab: it } = one.fleet!;
    it.declare('bot', lazy(BOT));
    assert.ok(one.wake.isVisited(it.inst('bot').uid));
    one.fleet?.drain();
    assert.ok(it.inst('bot').work.open);
    visit.close();
  });

  test('an unexpired lease keeps it awake without any request, and no longer', async () => {
    const one = world((it) => it.declare('bot', lazy({ ...BOT, idleAfterMs: 1_000 })));
    const { lab: it } = one.fleet!;
    it.put({ type: 'work.began', ...it.of('bot'), data: { leaseUntil: it.now + 60_000 } });
    await one.settled();
    assert.equal(it.phase('bot'), 'RUNNING');
    one.enter().close();
    await one.pass(59_000);
    assert.equal(it.phase('bot'), 'RUNNING');
    await one.pass(3_000);
    assert.equal(it.phase('bot'), 'SLEEPING');
  });
});

test('L58 a request that arrives while its instance is being stopped waits for the next life', async () => {
  const one = world((it) => it.declare('bot', lazy({ ...BOT, idleAfterMs: 1_000 })));
  const { lab: it } = one.fleet!;
  const first = one.enter();
  one.reach(first);
  await one.settled();
  first.close();
  await one.pass(1_100);
  it.advance(1_000);
  assert.equal(it.operation('bot'), 'sleep');
  const life = it.inst('bot').resource?.incarnation;
  const outcome = one.reach(one.enter());
  one.fleet?.drain();
  one.fleet?.tell();
  await turn();
  assert.ok(waits(outcome));
  assert.equal(one.fleet?.listened, 1);
  await one.settled();
  assert.equal(outcome.value, AT);
  assert.notEqual(it.inst('bot').resource?.incarnation, life);
});
