/**
 * A fleet that never was, and the log that it would have left: the core itself decides, a made-up world answers.
 *
 * The same seed gives the same log. Facts come one by one as they would from watches and agents, and each is followed by its
 * tick; operations take their time. What nobody decides on (who crashes when) is drawn from exponential spans.
 */
import { Agenda } from '../src/core/agenda.ts';
import type { Decision } from '../src/core/decide.ts';
import { EVENT_VERSIONS, type EventData, type NewEvent, type StoredEvent } from '../src/core/events.ts';
import { emptyState, evolve } from '../src/core/evolve.ts';
import type { FleetState, Instance, Look } from '../src/core/model.ts';
import { conclude, plan, toEvents } from '../src/core/tick.ts';
import { TARGET } from './declared.ts';

/** 2026-01-01T00:00:00Z. */
const T0 = 1_767_225_600_000;

export class History {
  readonly state: FleetState = emptyState('bench');
  readonly agenda = new Agenda();
  now = T0;
  private readonly tell: (event: StoredEvent) => void;
  private readonly throughText: boolean;
  private lives = 0;
  private drawn: number;

  /** `tell` is given every event of the log, in order. `throughText`: what is folded was text before, as in a store. */
  constructor(tell: (event: StoredEvent) => void, { throughText = false, seed = 1 } = {}) {
    this.tell = tell;
    this.throughText = throughText;
    this.drawn = seed;
  }

  put(fact: NewEvent): void {
    evolve(this.state, this.stamp(fact, this.state.seq + 1));
  }

  private stamp(event: NewEvent, seq: number): StoredEvent {
    const whole = { ...event, seq, at: this.now, v: EVENT_VERSIONS[event.type] } as StoredEvent;
    const stored = this.throughText ? (JSON.parse(JSON.stringify(whole)) as StoredEvent) : whole;
    this.tell(stored);
    return stored;
  }

  tick(): Decision {
    const planned = plan(this.state, this.agenda, this.now);
    const written = toEvents(planned.decision).map((event, at) => this.stamp(event, this.state.seq + 1 + at));
    conclude(this.state, this.agenda, planned, written);
    return planned.decision;
  }

  /** As `lab.settle`, without a look at everybody: ticks and has what was decided succeed, until nothing moves at this time. */
  settle(answer: (uid: string) => void = (uid) => this.succeed(uid)): void {
    for (;;) {
      const { actions } = this.tick();
      for (const action of actions) if (action.operation !== undefined) answer(action.uid);
      if (actions.length === 0 && this.state.dirty.size === 0) return;
    }
  }

  inst(uid: string): Instance {
    const found = this.state.instances.get(uid);
    if (found === undefined) throw new Error(`the history has no instance ${uid}`);
    return found;
  }

  // ── chance ────────────────────────────────────────────────────────────────────────────────────────────────────────

  /** [0, 1), mulberry32. */
  chance(): number {
    this.drawn = (this.drawn + 0x6d2b79f5) | 0;
    let t = Math.imul(this.drawn ^ (this.drawn >>> 15), 1 | this.drawn);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 0x1_0000_0000;
  }

  /** A span with this mean, in whole ms. */
  span(meanMs: number): number {
    return Math.ceil(-Math.log(1 - this.chance()) * meanMs);
  }

  // ── facts ─────────────────────────────────────────────────────────────────────────────────────────────────────────

  own(): void {
    this.put({
      type: 'owner.started',
      data: { epoch: this.state.epoch + 1, owner: `4711-${this.state.epoch + 1}`, logic: 1 },
    });
  }

  sync(maxInFlight: number): void {
    const deadlinesMs = {
      provision: 30_000,
      start: 30_000,
      stop: 630_000,
      sleep: 630_000,
      destroy: 630_000,
      restart: 660_000,
      update: 660_000,
    };
    const data = {
      target: TARGET,
      identity: 'host-1',
      abilities: ['logs', 'watch'],
      deadlinesMs,
      graceMs: 10_000,
      maxInFlight,
    };
    this.put({ type: 'target.synced', data });
  }

  report(uid: string, report: 'first' | 'silent' | 'recovered' | 'busy' | 'idle'): void {
    this.about(uid, { type: 'agent.reported', data: { report } });
  }

  /** Its present life ends by itself. */
  exits(uid: string): void {
    const killed = this.chance() < 0.3;
    const exit = {
      code: killed ? null : 1,
      signal: killed ? 'SIGKILL' : null,
      oom: false,
      output: killed ? '' : TRACE,
    };
    this.about(uid, {
      type: 'resource.observed',
      data: { ...this.look(uid, 'stopped'), exit, began: this.state.seq, eventful: true },
    });
  }

  succeed(uid: string): void {
    const inst = this.inst(uid);
    const { operation } = inst;
    if (operation === null) return;
    const data = { operation: operation.id, outcome: 'succeeded' as const, ...this.effect(inst) };
    this.about(uid, { type: 'operation.ended', data });
  }

  about(uid: string, fact: NewEvent): void {
    this.put({ ...fact, instance: this.inst(uid).name, uid });
  }

  private effect(inst: Instance): Partial<EventData['operation.ended']> {
    const config = inst.hashes.config ?? '';
    switch (inst.operation?.kind) {
      case 'stop':
      case 'sleep':
        return { saw: { ...this.look(inst.uid, 'stopped'), exit: { code: 0, signal: null, oom: false, output: '' } } };
      case 'destroy':
        return { saw: { ...this.look(inst.uid, 'missing') } };
      case 'apply-config':
        return { config: { applied: config, observed: config } };
      case 'persist-config':
        return { config: { persisted: config } };
      case 'probe':
        return { probe: { ok: this.chance() < 0.5, message: 'the agent did not answer within 5 s' } };
      default:
        return { saw: this.look(inst.uid, inst.operation?.unstarted === true ? 'stopped' : 'running', true) };
    }
  }

  /** As the process target would describe it; `anew`: of the declared infra, and if it runs, another life. */
  private look(uid: string, state: Look['state'], anew = false): Look {
    const { resource, hashes } = this.inst(uid);
    const pid = 1_000 + (this.lives % 60_000);
    if (anew) this.lives += 1;
    return {
      state,
      ref: `process/${uid}`,
      incarnation:
        anew && state === 'running' ? `${pid}:${5_000_000 + this.lives}:9f2c61d0` : (resource?.incarnation ?? null),
      infra: anew ? hashes.infra : (resource?.infra ?? null),
      exit: null,
      restarts: 0,
      attrs: state === 'running' ? { pid, endpoints: { 8080: '127.0.0.1:8080' } } : {},
    };
  }
}

const TRACE = `/srv/agents/bot/main.js:214
    throw new Error(\`unexpected status \${response.status}\`);
          ^

Error: unexpected status 529
    at complete (/srv/agents/bot/main.js:214:11)
    at process.processTicksAndRejections (node:internal/process/task_queues:105:5)
    at async Bot.answer (/srv/agents/bot/main.js:98:22)
    at async Bot.run (/srv/agents/bot/main.js:61:7)

Node.js v24.21.0
`;
