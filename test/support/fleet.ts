/**
 * A fleet in a test tube: the pure core (state, agenda, log) with a clock that the test owns and a world that does what it
 * is told. Tests read like stories:
 *
 *   const fleet = lab();                       // owned, target "docker" synced
 *   fleet.declare('a', { heartbeat: BEATS });
 *   fleet.settle();                            // ticks; every operation succeeds; until nothing moves at this time
 *   fleet.report('a', 'first');
 *   fleet.exits('a', { code: 1 });
 *   fleet.tick();                              // exactly one tick; returns its decision
 *   assert.equal(fleet.phase('a'), 'PENDING');
 *   fleet.advance(60_000);                     // time passes, ticking at every alarm on the way, as the loop would
 *
 * Everything goes through `put` (facts) and `tick` (decisions), so `fleet.log` is always a valid log that folds to
 * `fleet.state`. Nothing but `tick`, `settle`, `drain` and `advance` ever decides.
 */
import { Agenda } from '../../src/core/agenda.ts';
import type { Decision } from '../../src/core/decide.ts';
import {
  EVENT_VERSIONS,
  type EventData,
  type FailureDetail,
  type NewEvent,
  type StoredEvent,
  type Verb,
} from '../../src/core/events.ts';
import { emptyState, evolve } from '../../src/core/evolve.ts';
import {
  DEFAULT_POLICY,
  type Exit,
  type FleetState,
  type Hold,
  type Instance,
  type Look,
  type Operation,
  type Phase,
  type Policy,
  type Spec,
} from '../../src/core/model.ts';
import { conclude, plan, toEvents } from '../../src/core/tick.ts';
import { hashesOf, spec } from './specs.ts';

export * from './specs.ts';

/** 2026-01-01T00:00:00Z: when every story begins. */
export const T0 = 1_767_225_600_000;

/** More ticks at one point in time than any honest story needs: beyond it, the table and the world chase each other. */
const MAX_TICKS = 200;

export interface LabOptions {
  /** Targets that are synced at the start; default `['docker']`. Their type is their name. */
  readonly targets?: readonly string[];
  readonly policy?: Partial<Policy>;
  /** Nothing at all in the log: no owner, no target. */
  readonly bare?: boolean;
  /** When the story begins, ms; default `T0`. */
  readonly at?: number;
}

export const lab = (options: LabOptions = {}): Lab => new Lab(options);

export class Lab {
  readonly state: FleetState = emptyState('lab');
  readonly agenda = new Agenda();
  readonly log: StoredEvent[] = [];
  now: number;
  private incarnations = 0;

  constructor(options: LabOptions = {}) {
    this.now = options.at ?? T0;
    if (options.bare === true) return;
    if (options.policy !== undefined) this.policy(options.policy);
    this.own();
    for (const target of options.targets ?? ['docker']) this.sync(target);
  }

  // ── the log ───────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Appends a fact at the present time and folds it. Decides nothing. */
  put(fact: NewEvent): StoredEvent {
    const event = this.stamp(fact);
    evolve(this.state, event);
    return event;
  }

  private stamp(event: NewEvent): StoredEvent {
    const stored: StoredEvent = { ...event, seq: this.log.length + 1, at: this.now, v: EVENT_VERSIONS[event.type] };
    this.log.push(stored);
    return stored;
  }

  /** One tick at the present time, committed. Returns what it decided. */
  tick(): Decision {
    const planned = plan(this.state, this.agenda, this.now);
    const written = toEvents(planned.decision).map((event) => this.stamp(event));
    conclude(this.state, this.agenda, planned, written);
    return planned.decision;
  }

  /** Ticks until nothing more is decided at this time; operations stay in flight. */
  drain(): void {
    for (let ticks = 0; toEvents(this.tick()).length > 0 || this.state.dirty.size > 0; ticks += 1) this.guard(ticks);
  }

  /** Ticks, and has every operation succeed, until nothing more is decided at this time and none is in flight. */
  settle(): void {
    for (let rounds = 0; ; rounds += 1) {
      this.guard(rounds);
      this.drain();
      const busy = [...this.state.instances.values()].filter((inst) => inst.operation !== null);
      if (busy.length === 0) return;
      for (const inst of busy) this.succeed(inst.uid);
    }
  }

  private guard(rounds: number): void {
    if (rounds > MAX_TICKS)
      throw new Error(
        `nothing settles after ${MAX_TICKS} ticks at one time; the log ends with ${JSON.stringify(this.log.slice(-4))}`,
      );
  }

  /** `ms` pass. Ticks at every alarm on the way and at the end, as the fleet loop would; operations stay in flight. */
  advance(ms: number): void {
    const end = this.now + ms;
    for (let ticks = 0; this.agenda.nextAt <= end; ticks += 1) {
      if (ticks > 100 * MAX_TICKS)
        throw new Error(`an alarm never stops ringing: ${this.agenda.nextAt}, now ${this.now}`);
      this.now = Math.max(this.now, this.agenda.nextAt);
      this.tick();
    }
    this.now = end;
    this.drain();
  }

  // ── what is there ─────────────────────────────────────────────────────────────────────────────────────────────────

  /** By name (its newest incarnation) or by uid. */
  inst(nameOrUid: string): Instance {
    const found = this.state.instances.get(this.state.names.get(nameOrUid) ?? nameOrUid);
    if (found === undefined) throw new Error(`the lab has no instance ${nameOrUid}`);
    return found;
  }

  phase(name: string): Phase {
    return this.inst(name).phase;
  }

  hold(name: string): Hold['reason'] | null {
    return this.inst(name).hold?.reason ?? null;
  }

  operation(name: string): Operation['kind'] | null {
    return this.inst(name).operation?.kind ?? null;
  }

  /** Events of one type, oldest first. */
  events<T extends StoredEvent['type']>(type: T): Extract<StoredEvent, { type: T }>[] {
    return this.log.filter((event): event is Extract<StoredEvent, { type: T }> => event.type === type);
  }

  // ── facts: owner, targets, operators ──────────────────────────────────────────────────────────────────────────────

  own(epoch = this.state.epoch + 1): StoredEvent {
    return this.put({ type: 'owner.started', data: { epoch, owner: `owner-${epoch}`, logic: 1 } });
  }

  sync(target: string, part: Partial<EventData['target.synced']> = {}): StoredEvent {
    const data = {
      target,
      identity: `${target}-1`,
      abilities: ['restarts'],
      deadlinesMs: {},
      graceMs: 10_000,
      maxInFlight: 8,
      ...part,
    };
    return this.put({ type: 'target.synced', data });
  }

  policy(part: Partial<Policy>): StoredEvent {
    return this.put({ type: 'policy.changed', data: { policy: { ...DEFAULT_POLICY, ...part } } });
  }

  /** Declares a name, or gives a living one its next generation. Returns the uid. */
  declare(name: string, part: Partial<Spec> | Spec = {}, revision = `rev-${this.log.length}`): string {
    const known = this.state.instances.get(this.state.names.get(name) ?? '');
    const living = known !== undefined && known.desired !== 'deleted' ? known : undefined;
    const uid = living?.uid ?? `u-${name}-${this.log.length + 1}`;
    const declared = spec({ ...living?.spec, ...part });
    const generation = (living?.generation ?? 0) + 1;
    this.put({
      type: 'spec.applied',
      instance: name,
      uid,
      data: { spec: declared, hashes: hashesOf(declared), generation, revision },
    });
    return uid;
  }

  command(name: string, verb: Verb): StoredEvent {
    return this.put({ type: 'command.issued', ...this.of(name), data: { verb } });
  }

  delete(name: string, part: Partial<EventData['spec.deleted']> = {}): StoredEvent {
    return this.put({
      type: 'spec.deleted',
      ...this.of(name),
      data: { data: 'keep', forget: false, prune: false, ...part },
    });
  }

  /** An operator's hold, on everything unless a scope is given. */
  holdFleet(part: { target?: string; instances?: readonly string[]; until?: number; id?: string } = {}): StoredEvent {
    const { id = 'h1', until = null, target = null, instances = null } = part;
    return this.put({
      type: 'command.issued',
      data: { verb: 'hold', id, reason: 'maintenance', until, target, instances },
    });
  }

  release(part: { target?: string; instances?: readonly string[] } = {}): StoredEvent {
    return this.put({
      type: 'command.issued',
      data: { verb: 'release', target: part.target ?? null, instances: part.instances ?? null },
    });
  }

  // ── facts: resources and agents ───────────────────────────────────────────────────────────────────────────────────

  /** An authority's answer about its resource; what is not said is as it was last. */
  seen(name: string, state: Look['state'], part: Partial<EventData['resource.observed']> = {}): StoredEvent {
    return this.put({
      type: 'resource.observed',
      ...this.of(name),
      data: { ...this.look(name, state), began: this.state.seq, ...part },
    });
  }

  /** Its present life ends by itself, and the authority says so. */
  exits(name: string, exit: Partial<Exit> = {}): StoredEvent {
    const whole: Exit = { code: exit.signal === undefined ? 1 : null, signal: null, oom: false, output: null, ...exit };
    return this.seen(name, 'stopped', { exit: whole, eventful: true });
  }

  report(name: string, report: 'first' | 'silent' | 'recovered' | 'well' | 'busy' | 'idle'): StoredEvent {
    return this.put({ type: 'agent.reported', ...this.of(name), data: { report } });
  }

  degraded(name: string, message = 'error rate 40 %'): StoredEvent {
    return this.put({ type: 'agent.reported', ...this.of(name), data: { report: 'degraded', message } });
  }

  probe(name: string, ok: boolean): StoredEvent {
    return this.put({
      type: 'probe.answered',
      ...this.of(name),
      data: { ok, message: ok ? '200' : 'connection refused' },
    });
  }

  // ── facts: results of operations ──────────────────────────────────────────────────────────────────────────────────

  /** The operation in flight succeeds, and the world is as it says. */
  succeed(name: string): StoredEvent {
    const inst = this.inst(name);
    const operation = this.inFlight(name);
    return this.put({
      type: 'operation.ended',
      ...this.of(name),
      data: { operation: operation.id, outcome: 'succeeded', ...this.effect(inst, operation) },
    });
  }

  /** The operation in flight fails; by default once, transiently, and by the instance's own fault. */
  fail(name: string, part: Partial<FailureDetail> = {}, saw?: Look): StoredEvent {
    const error: FailureDetail = {
      class: 'transient',
      fault: 'instance',
      code: 'failed',
      message: 'it did not work',
      ...part,
    };
    const data = {
      operation: this.inFlight(name).id,
      outcome: 'failed' as const,
      error,
      ...(saw !== undefined && { saw }),
    };
    return this.put({ type: 'operation.ended', ...this.of(name), data });
  }

  /** It ends without result: aborted, abandoned, timed out. */
  end(name: string, outcome: 'aborted' | 'abandoned' | 'timed-out'): StoredEvent {
    return this.put({
      type: 'operation.ended',
      ...this.of(name),
      data: { operation: this.inFlight(name).id, outcome },
    });
  }

  /** Drives it to where it should be: settled, and heard or probed where it declares liveness and runs. */
  up(name: string): void {
    this.settle();
    const inst = this.inst(name);
    if (inst.spec.targetType !== 'external' && inst.resource?.state !== 'running') return;
    if (inst.spec.heartbeat !== null) this.report(name, 'first');
    if (inst.spec.health !== null) this.probe(name, true);
    this.settle();
  }

  // ── details ───────────────────────────────────────────────────────────────────────────────────────────────────────

  /** `{ instance, uid }`, as events carry it. */
  of(name: string): { instance: string; uid: string } {
    const inst = this.inst(name);
    return { instance: inst.name, uid: inst.uid };
  }

  private inFlight(name: string): Operation {
    const { operation } = this.inst(name);
    if (operation === null) throw new Error(`${name} has no operation in flight`);
    return operation;
  }

  /** A look at it in this state; a life that begins gets a new incarnation. */
  look(name: string, state: Look['state']): Look {
    const { uid, resource, hashes } = this.inst(name);
    const alive = resource?.state === 'running' || resource?.state === 'changing';
    const starts = state === 'running' && !alive;
    return {
      state,
      ref: state === 'missing' ? null : (resource?.ref ?? `ref-${uid}`),
      incarnation: starts ? this.newLife() : (resource?.incarnation ?? null),
      infra: state === 'missing' ? null : (resource?.infra ?? hashes.infra),
      exit: null,
      restarts: 0,
      attrs: {},
    };
  }

  newLife(): string {
    this.incarnations += 1;
    return `life-${this.incarnations}`;
  }

  /** What the world answers when everything works. */
  private effect(inst: Instance, operation: Operation): Partial<EventData['operation.ended']> {
    const planned: Exit = { code: 0, signal: null, oom: false, output: null };
    const state = operation.unstarted ? 'stopped' : 'running';
    const config = inst.hashes.config ?? '';
    switch (operation.kind) {
      case 'provision':
      case 'update':
        return {
          saw: {
            ...this.look(inst.uid, state),
            incarnation: operation.unstarted ? null : this.newLife(),
            infra: inst.hashes.infra,
          },
        };
      case 'start':
        return { saw: this.look(inst.uid, 'running') };
      case 'restart':
        return { saw: { ...this.look(inst.uid, 'running'), incarnation: this.newLife() } };
      case 'stop':
      case 'sleep':
        return { saw: { ...this.look(inst.uid, 'stopped'), exit: planned } };
      case 'destroy':
        return { saw: this.look(inst.uid, 'missing') };
      case 'apply-config':
        return { config: { applied: config, observed: config } };
      case 'persist-config':
        return { config: { persisted: config } };
      case 'install-plugin': {
        const source = operation.subject ?? '';
        const ref = inst.spec.plugins.find((one) => one.source === source)?.ref ?? null;
        const sha = inst.movedRefs?.[source] ?? `sha-${ref}`;
        return { plugin: { source, ref, sha, treeDigest: `tree-${sha}` } };
      }
      case 'uninstall-plugin':
        return { plugin: { source: operation.subject ?? '', removed: true } };
      case 'probe':
        return { probe: { ok: true, message: '200' } };
    }
  }
}
