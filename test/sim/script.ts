/**
 * A story instead of chance: the same world, control planes and clock as in a simulation, where only what the script says goes
 * wrong. It is owned, synced and still when it begins.
 *
 *   const s = await script({ a: spec({}) });   // declared and running
 *   s.world.authority('sim').mood.down = true; // what goes wrong
 *   await s.pass(5 * MINUTE);
 *   assert.equal(s.inst('a').phase, 'UNKNOWN');
 */
import assert from 'node:assert/strict';
import type { DecidedAction, EventType, FailureDetail, NewEvent, StoredEvent, Verb } from '../../src/core/events.ts';
import type { Instance, Spec } from '../../src/core/model.ts';
import { TargetError } from '../../src/ports/target.ts';
import type { Fleet } from '../../src/runtime/fleet.ts';
import { createMemoryDisk, createMemoryStore, type MemoryDisk } from '../../src/stores/memory.ts';
import { spec } from '../support/specs.ts';
import { beatForever } from './agents.ts';
import { detail } from './authority.ts';
import type { Twist } from './calls.ts';
import { TickChecks } from './check-tick.ts';
import { logOf } from './log-of.ts';
import { declared } from './operator.ts';
import { FLEET } from './plane.ts';
import { Planes } from './planes.ts';
import { Chance } from './prng.ts';
import { watchDrift } from './roads.ts';
import type { SimResource } from './resource.ts';
import { SimWorld } from './world.ts';

export const SECOND = 1_000;
export const MINUTE = 60 * SECOND;
export const HOUR = 60 * MINUTE;

/** A hot one on the target `sim`. */
export const bot = (part: Partial<Spec> = {}): Spec =>
  spec({ target: 'sim', targetType: 'sim', run: { image: 'bot:1' }, ...part });
export const sleeper = (part: Partial<Spec> = {}): Spec =>
  bot({ lifecycle: 'lazy', idleAfterMs: 10 * MINUTE, ...part });

/** `n` of the same kind: a00, a01, … */
export const many = (n: number, one: Spec): { [name: string]: Spec } =>
  Object.fromEntries(Array.from({ length: n }, (_, i) => [`a${String(i).padStart(2, '0')}`, one]));

export async function script(specs: { readonly [name: string]: Spec }): Promise<Script> {
  const story = new Script();
  for (const [name, one] of Object.entries(specs)) story.declare(name, one);
  story.planes.launch();
  await story.pass(5 * MINUTE);
  return story;
}

export class Script {
  readonly world = new SimWorld(new Chance(1));
  readonly disk: MemoryDisk = createMemoryDisk({ deployment: 'sim', mono: () => this.world.clock.now });
  readonly planes: Planes;
  private readonly store = createMemoryStore({ disk: this.disk });
  private readonly failures: Error[] = [];
  private revisions = 0;

  constructor() {
    this.world.weather.calm = true;
    const checks = new TickChecks(this.world);
    this.planes = new Planes(this.world, this.disk, new Chance(2), {
      ticked: (fleet, report) => {
        try {
          checks.check(fleet, report, this.planes.ownedForMs);
        } catch (error) {
          this.fail(error);
        }
      },
    });
    void this.store.ensureFleet(FLEET);
    beatForever(this.world, new Chance(3), this.planes);
    watchDrift(this.world, this.planes);
  }

  // ── what is asked ─────────────────────────────────────────────────────────────────────────────────────────────────

  /** Declares it, or declares it anew. Its uid is `u-` and its name. */
  declare(name: string, one: Spec, revision = `r${(this.revisions += 1)}`): void {
    const known = this.planes.fleet?.loop.state.instances.get(`u-${name}`);
    this.say(declared(name, `u-${name}`, (known?.generation ?? 0) + 1, one, revision));
  }

  command(name: string, verb: Verb): void {
    this.say({ type: 'command.issued', instance: name, uid: `u-${name}`, data: { verb } });
  }

  say(...events: readonly NewEvent[]): void {
    const before = this.head;
    this.write(events);
    this.heard(before);
  }

  /** Says it, and the row is damaged before anybody reads it. */
  sayDamaged(event: NewEvent): void {
    const before = this.head;
    this.write([event]);
    const rows = this.disk.fleets.get(FLEET)?.rows ?? [];
    const last = rows.pop();
    if (last !== undefined) rows.push({ ...last, data: '{"half a ro' });
    this.heard(before);
  }

  private write(events: readonly NewEvent[]): void {
    this.store
      .append(FLEET, events, () => this.planes.fleet?.loop.time() ?? 0)
      .catch((error: unknown) => this.fail(error));
  }

  private fail(error: unknown): void {
    this.failures.push(error instanceof Error ? error : new Error(String(error)));
  }

  private heard(before: number): void {
    this.world.truth.said(logOf(this.disk, before));
    this.planes.fleet?.loop.poke();
  }

  // ── what happens ──────────────────────────────────────────────────────────────────────────────────────────────────

  async pass(ms: number): Promise<void> {
    await this.world.clock.runUntil(this.world.clock.now + ms);
    const [failure] = this.failures;
    if (failure !== undefined) throw failure;
    assert.deepEqual(this.world.truth.breaches, []);
  }

  /** The next call of that verb, of that one if it is named, goes like this. */
  next(what: string, twist: Twist, name: string | null = null): void {
    this.world.twists.push({ what, uid: name === null ? null : `u-${name}`, twist });
  }

  fails(what: string, ...words: Parameters<typeof detail>): FailureDetail {
    const error = new TargetError(detail(...words));
    this.next(what, { kind: 'fails', error });
    return error.detail;
  }

  // ── what is ───────────────────────────────────────────────────────────────────────────────────────────────────────

  get fleet(): Fleet {
    assert.ok(this.planes.fleet, 'nobody owns the fleet');
    return this.planes.fleet;
  }

  get head(): number {
    return this.disk.fleets.get(FLEET)?.head ?? 0;
  }

  inst(name: string): Instance {
    const found = this.fleet.loop.state.instances.get(`u-${name}`);
    assert.ok(found, `there is no ${name}`);
    return found;
  }

  get phases(): readonly string[] {
    return [...new Set([...this.fleet.loop.state.instances.values()].map(({ phase }) => phase))].sort();
  }

  /** What really is there. */
  thing(name: string): SimResource {
    const found = this.world.find(`u-${name}`)?.resource;
    assert.ok(found, `nothing is there of ${name}`);
    return found;
  }

  /** Lives that it has had. */
  lives(name: string): number {
    return [...this.world.truth.lives.values()].filter(({ uid }) => uid === `u-${name}`).length;
  }

  log(after = 0): readonly StoredEvent[] {
    return logOf(this.disk, after);
  }

  events<T extends EventType>(type: T, after = 0): readonly Extract<StoredEvent, { type: T }>[] {
    return this.log(after).filter((event): event is Extract<StoredEvent, { type: T }> => event.type === type);
  }

  /** Decided since `after`, of one or of all: `start`, `abort`, … */
  actions(after: number, name: string | null = null): readonly DecidedAction[] {
    return this.events('tick.decided', after)
      .flatMap(({ data }) => data.actions)
      .filter(({ uid, type }) => (name === null || uid === `u-${name}`) && type !== 'forgive');
  }

  kinds(after: number, name: string | null = null): readonly string[] {
    return this.actions(after, name).map(({ type }) => type);
  }
}
