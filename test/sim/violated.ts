/** What ends a simulated history: something happened that must never. The message says what, and where in the log. */
import type { StoredEvent } from '../../src/core/events.ts';

export class Violated extends Error {
  override readonly name = 'Violated';
  /** The story behind it: what the log holds of the instance that the message names. */
  trace: readonly string[] = [];
}

const LAST = 60;
/** Lines after the last that names what the message is about. */
const AFTER = 12;
const FLEET_WIDE: ReadonlySet<string> = new Set(['owner.started', 'target.stale', 'target.refused']);

/** The last events about the uid that the message names, up to the seq that it names; of the fleet, where it names none. */
export function traceOf(message: string, log: readonly StoredEvent[]): readonly string[] {
  const uid = /\bu\d{4}\b/.exec(message)?.[0] ?? null;
  const seq = Number(/seq (\d+)/.exec(message)?.[1] ?? Infinity);
  const life = /\blife-\d+\b/.exec(message)?.[0] ?? uid ?? '';
  const lines = log.filter((event) => event.seq <= seq).flatMap((event) => about(event, uid));
  const end = lines.findLastIndex((line) => line.includes(life)) + AFTER;
  return lines.slice(Math.max(0, end - LAST), end);
}

function about(event: StoredEvent, uid: string | null): readonly string[] {
  const head = `${event.seq} ${new Date(event.at).toISOString().slice(5, 23)} ${event.type}`;
  if (event.type === 'tick.decided') {
    const { actions, transitions, holds } = event.data;
    const mine = {
      actions: actions.filter((one) => one.uid === uid),
      transitions: transitions.filter((one) => one.uid === uid),
      holds: holds.filter((one) => one.uid === uid),
    };
    const said = [
      ...mine.actions.map(
        ({ type, rule, operation, reason }) => `${type} by ${rule} ${operation ?? ''} ${reason ?? ''}`,
      ),
      ...mine.transitions.map(({ from, to, rule }) => `${from} → ${to} by ${rule}`),
      ...mine.holds.map(({ hold }) =>
        hold === null ? 'held no more' : `held: ${hold.reason} at ${hold.rule} ${hold.detail ?? ''}`,
      ),
    ];
    return said.map((one) => `${head} ${uid}: ${one}`);
  }
  const fleetWide = uid === null || FLEET_WIDE.has(event.type);
  return event.uid === uid || fleetWide
    ? [`${head} ${event.uid ?? ''}: ${JSON.stringify(event.data).slice(0, 300)}`]
    : [];
}
