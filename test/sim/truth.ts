/**
 * What really happened in the simulated world, kept apart from what the control plane believes: every life of every agent
 * and who ended it, what operators asked, what was shown in listings. The checks compare the log with this.
 */
import type { StoredEvent } from '../../src/core/events.ts';
import type { Desired, Exit } from '../../src/core/model.ts';

export interface Life {
  readonly uid: string;
  readonly incarnation: string;
  readonly began: number;
  ended: number | null;
  /** A verb of the control plane ended it; `unmeant`, if it was sent to end another life. */
  asked: boolean | 'unmeant';
  exit: Exit | null;
  /** How often it was paused: each pause looks like an end without an exit. */
  pauses: number;
}

interface Asked {
  readonly seq: number;
  readonly desired: Desired;
}

export class Truth {
  readonly lives = new Map<string, Life>();
  /** What no control plane may ever bring about; each is a failure of the history. */
  readonly breaches: string[] = [];
  /** Made by a call that was on its way when deletion was asked. */
  readonly lateMade = new Set<string>();
  private readonly asked = new Map<string, Asked[]>();
  /** Who heard listings → uid → complete ones in a row that lacked it although it was there. */
  private readonly denied = new Map<object, Map<string, number>>();

  breach(what: string): void {
    this.breaches.push(what);
  }

  // ── lives ─────────────────────────────────────────────────────────────────────────────────────────────────────────

  began(uid: string, at: number): string {
    const incarnation = `life-${this.lives.size + 1}`;
    this.lives.set(incarnation, { uid, incarnation, began: at, ended: null, asked: false, exit: null, pauses: 0 });
    return incarnation;
  }

  ended(incarnation: string | null, at: number, asked: Life['asked'], exit: Exit | null): void {
    const life = this.lives.get(incarnation ?? '');
    if (life === undefined) return;
    Object.assign(life, { ended: at, asked, exit });
  }

  paused(incarnation: string | null): void {
    const life = this.lives.get(incarnation ?? '');
    if (life !== undefined) life.pauses += 1;
  }

  // ── what operators asked ──────────────────────────────────────────────────────────────────────────────────────────

  /** Takes what an operator wrote, as it stands in the log. */
  said(events: readonly StoredEvent[]): void {
    for (const event of events) {
      const desired = desiredBy(event);
      if (desired === null || event.uid === undefined) continue;
      this.asked.set(event.uid, [...(this.asked.get(event.uid) ?? []), { seq: event.seq, desired }]);
    }
  }

  /** What was desired of it when event `seq` was written; null if it was never declared. */
  desiredAt(uid: string, seq: number): Desired | null {
    const asked = this.asked.get(uid) ?? [];
    if (asked.some((one) => one.seq < seq && one.desired === 'deleted')) return 'deleted';
    return asked.findLast((one) => one.seq < seq)?.desired ?? null;
  }

  deletionAsked(uid: string): boolean {
    return this.asked.get(uid)?.some((one) => one.desired === 'deleted') ?? false;
  }

  // ── what listings showed ──────────────────────────────────────────────────────────────────────────────────────────

  /** Somebody heard a complete listing. `there`: what really was there. */
  listed(by: object, shown: ReadonlySet<string>, there: Iterable<string>): void {
    const denied = this.denied.get(by) ?? new Map<string, number>();
    this.denied.set(by, denied);
    for (const uid of there) denied.set(uid, shown.has(uid) ? 0 : (denied.get(uid) ?? 0) + 1);
  }

  /** The most that anybody was told so. */
  deniedTimes(uid: string): number {
    return Math.max(0, ...[...this.denied.values()].map((denied) => denied.get(uid) ?? 0));
  }
}

function desiredBy(event: StoredEvent): Desired | null {
  if (event.type === 'spec.applied') return event.data.generation === 1 ? 'running' : null;
  if (event.type === 'spec.deleted') return 'deleted';
  if (event.type !== 'command.issued') return null;
  return event.data.verb === 'stop' ? 'stopped' : event.data.verb === 'resume' ? 'running' : null;
}
