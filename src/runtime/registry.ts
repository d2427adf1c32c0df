/**
 * Agents as they speak for themselves: their tokens, their heartbeats, and when each was last heard.
 *
 *  1. A token is derived from the key of the data folder, so it is stored nowhere and can be given again to an agent that is
 *     started again; which of them are good follows from folded state (`Instance.token`).
 *  2. What cannot be decided is refused: a fleet that is not ours just now, a log that cannot be written (L71).
 *  3. A beat is only ever believed of the uid that its token names, and changes nothing of one that is stopped (L18).
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import type { Instance } from '../core/model.ts';
import type { Clock } from '../ports/clock.ts';
import type { Store } from '../ports/store.ts';
import { Refusal, type HeartbeatResult, type ReadBeat } from './api.ts';
import type { Beat } from './beats.ts';
import type { Fleet } from './fleet.ts';
import { LastSeen } from './last-seen.ts';
import { BEATS_PER_SECOND, DEFAULT_BEAT_EVERY_MS, HASTY_MS } from './limits.ts';
import type { Log } from './log.ts';

export interface RegistryWorld {
  /** 32 random bytes that only this deployment knows. */
  readonly key: Buffer;
  /** Where last-seen times are kept; null: in memory only. */
  readonly folder: string | null;
  /** What agents are told as `HOLDFAST_URL`; null: what is listened on. */
  readonly agentUrl: string | null;
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Log;
  fleets(): readonly Fleet[];
  fleet(name: string): Fleet | null;
  /** Is it there, and only not ours just now? */
  isAwaited(fleet: string): boolean;
}

export class Registry {
  readonly lastSeen: LastSeen;
  private readonly world: RegistryWorld;
  private url: string | null;
  private readonly macs = new WeakMap<Instance, { readonly serial: number; readonly mac: Buffer }>();

  constructor(world: RegistryWorld) {
    this.world = world;
    this.url = world.agentUrl;
    const isKnown = (uid: string): boolean => world.fleets().some(({ loop }) => loop.state.instances.has(uid));
    this.lastSeen = new LastSeen({ folder: world.folder, clock: world.clock, log: world.log, isKnown });
  }

  /** Where we listen, once that is known. An `agentUrl` of the server file stands. */
  listensAt(url: string): void {
    // An address that means "every one of mine" is none that an agent could ask for.
    this.url ??= url.replace('//0.0.0.0:', '//127.0.0.1:').replace('//[::]:', '//[::1]:');
  }

  /** What an agent that is started now finds in its environment. Never logged. */
  env(fleet: string, inst: Instance): { readonly [name: string]: string } {
    const token = { HOLDFAST_INSTANCE_TOKEN: this.token(fleet, inst.uid, inst.token.next ?? inst.token.serial) };
    return this.url === null ? token : { HOLDFAST_URL: this.url, ...token };
  }

  token(fleet: string, uid: string, serial: number): string {
    return `${PREFIX}${fleet}.${uid}.${serial}.${this.mac(fleet, uid, serial)}`;
  }

  /**
   * One heartbeat. `read` is asked for what it says once the token has proved to be one of ours. Rejects with `Refusal` while
   * nobody can tell whether it still is, and with whatever `read` rejects with.
   */
  async heartbeat(presented: string, read: ReadBeat): Promise<HeartbeatResult> {
    const claim = this.claimOf(presented);
    if (claim === null) return UNKNOWN;
    const before = this.standing(claim) ?? (await this.absent(claim));
    if (before.kind !== 'known') return before;
    const { fleet, inst } = before;
    const lastAt = fleet.liveness?.last(inst.uid)?.at ?? 0;
    const beat = await read(fleet.loop.time() - lastAt < HASTY_MS);
    // Reading takes time, and what was good may be void by now.
    const now = this.standing(claim) ?? UNKNOWN;
    return now.kind === 'known' ? this.hear(now, beat, claim.serial) : now;
  }

  /** Writes what is not written yet. */
  async stop(): Promise<void> {
    await this.lastSeen.stop();
  }

  private hear({ fleet, inst }: Known, beat: Beat, serial: number): HeartbeatResult {
    const { liveness } = fleet;
    if (liveness === null) throw notNow(fleet.name);
    liveness.beat(inst.uid, beat, serial);
    this.lastSeen.note(inst.uid, liveness.last(inst.uid)?.at ?? fleet.loop.time());
    return { kind: 'heard', desired: inst.desired, nextSeconds: nextBeatMs(inst, liveness.size) / 1_000 };
  }

  /** What this token stands for by now; null: its fleet is not here. */
  private standing({ fleet: name, uid, serial }: Claim): Known | typeof UNKNOWN | typeof GONE | null {
    const fleet = this.world.fleet(name);
    if (fleet === null) return null;
    const { loop } = fleet;
    if (loop.failure !== null)
      throw new Refusal(
        'unavailable',
        'log-not-writable',
        `heartbeats are refused while the log cannot be written: ${loop.failure}`,
      );
    const inst = loop.state.instances.get(uid);
    if (inst === undefined || inst.desired === 'deleted') return GONE;
    const { serial: oldest, next } = inst.token;
    return serial >= oldest && serial <= (next ?? oldest) ? { kind: 'known', fleet, inst } : UNKNOWN;
  }

  /** It was ours once. Its fleet is gone, or will be back. */
  private async absent({ fleet }: Claim): Promise<typeof GONE> {
    if (this.world.isAwaited(fleet)) throw notNow(fleet);
    const all = await this.world.store.fleets();
    if (all.some((one) => one.fleet === fleet)) throw notNow(fleet);
    return GONE;
  }

  private claimOf(presented: string): Claim | null {
    const found = TOKEN.exec(presented);
    if (found === null) return null;
    const [, fleet = '', uid = '', digits = '', mac = ''] = found;
    const serial = Number(digits);
    const expected = this.expected(fleet, uid, serial);
    const given = Buffer.from(mac);
    return given.length === expected.length && timingSafeEqual(given, expected) ? { fleet, uid, serial } : null;
  }

  /** An agent beats with one token for days: its MAC is worked out once. Half of a heartbeat's cost, measured. */
  private expected(fleet: string, uid: string, serial: number): Buffer {
    const inst = this.world.fleet(fleet)?.loop.state.instances.get(uid);
    const known = inst === undefined ? undefined : this.macs.get(inst);
    if (known?.serial === serial) return known.mac;
    const mac = Buffer.from(this.mac(fleet, uid, serial));
    if (inst !== undefined) this.macs.set(inst, { serial, mac });
    return mac;
  }

  private mac(fleet: string, uid: string, serial: number): string {
    return createHmac('sha256', this.world.key).update(`${fleet}|${uid}|${serial}`).digest('base64url');
  }
}

interface Claim {
  readonly fleet: string;
  readonly uid: string;
  readonly serial: number;
}

interface Known {
  readonly kind: 'known';
  readonly fleet: Fleet;
  readonly inst: Instance;
}

const PREFIX = 'hfi_';
/** hfi_<fleet>.<uid>.<serial>.<mac>. One form for one token: no leading zeros, and the MAC is compared as it is written. */
const TOKEN = /^hfi_([\w-]{1,63})\.([\w-]{1,64})\.(0|[1-9]\d{0,14})\.([\w-]{43})$/;

const UNKNOWN = { kind: 'unknown' } as const;
const GONE = { kind: 'gone' } as const;

const notNow = (fleet: string): Refusal =>
  new Refusal('unavailable', 'not-owned', `fleet "${fleet}" is being taken over; beat again in a few seconds`);

/** As declared, but rarely enough for the fleet to stay below `BEATS_PER_SECOND`, and often enough never to look silent. */
export function nextBeatMs(inst: Instance, agents: number): number {
  const { heartbeat } = inst.spec;
  const everyMs = heartbeat?.everyMs ?? DEFAULT_BEAT_EVERY_MS;
  const bearableMs = Math.ceil((agents * 1_000) / BEATS_PER_SECOND);
  const unsuspiciousMs = heartbeat === null ? bearableMs : heartbeat.silentAfterMs / 2;
  return Math.max(everyMs, Math.min(bearableMs, unsuspiciousMs));
}
