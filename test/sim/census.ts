/**
 * What occurred in a history: rows, actions, holds, phases, outcomes, exits, faults, and how long the fleet spent in each
 * phase and hold. A simulation proves nothing about what never happens in it, so a test holds the suite to these.
 */
import type { StoredEvent } from '../../src/core/events.ts';
import { classifyExit } from '../../src/core/exits.ts';
import type { SimWorld } from './world.ts';

/** `row silent` → how often; `minutes in hold backoff` → how many instance-minutes. */
export type Census = { [what: string]: number };

/** No two events are further apart while a control plane lives. */
const JUMP_MS = 600_000;

export function takeCensus(log: readonly StoredEvent[], world: SimWorld): Census {
  const census: Census = {};
  const add = (what: string, n = 1): void => {
    census[what] = (census[what] ?? 0) + n;
  };
  const spans = new Map<string, { what: string; since: number }>();
  const span = (key: string, what: string | null, at: number): void => {
    const before = spans.get(key);
    if (before !== undefined) add(`minutes in ${before.what}`, (at - before.since) / 60_000);
    if (what === null) spans.delete(key);
    else spans.set(key, { what, since: at });
  };
  // Wall clocks jump between two lives of the control plane; what is counted is time that passed.
  let passed = 0;
  let last = log[0]?.at ?? 0;
  for (const event of log) {
    passed += Math.min(event.at - last, JUMP_MS);
    last = event.at;
    add(`event ${event.type}`);
    if (event.type === 'operation.ended') {
      add(`outcome ${event.data.outcome}`);
      if (event.data.error !== undefined)
        add(`failure ${event.data.error.class} of ${event.data.error.fault}: ${event.data.error.code}`);
    } else if (event.type === 'agent.reported') add(`report ${event.data.report}`);
    else if (event.type === 'command.issued') add(`verb ${event.data.verb}`);
    else if (event.type === 'flap.observed') add(`flap ${event.data.kind}`);
    if (event.type !== 'tick.decided') continue;
    for (const { type, rule, reason } of event.data.actions) {
      add(`action ${type}`);
      add(`action ${type} by ${rule}`);
      if (reason !== undefined) add(`${type} for ${reason}`);
    }
    for (const { uid, to, rule } of event.data.transitions) {
      add(`row ${rule}`);
      add(`phase ${to}`);
      span(`phase ${uid}`, `phase ${to}`, passed);
    }
    for (const { uid, hold } of event.data.holds) {
      if (hold !== null) add(`hold ${hold.reason}`);
      span(`hold ${uid}`, hold === null ? null : `hold ${hold.reason}`, passed);
    }
    for (const { uid, type } of event.data.actions) {
      if (type !== 'forget') continue;
      span(`phase ${uid}`, null, passed);
      span(`hold ${uid}`, null, passed);
    }
  }
  for (const key of spans.keys()) span(key, null, passed);
  for (const { exit, ended, asked } of world.truth.lives.values())
    if (ended !== null) add(`exit ${classifyExit(exit, asked !== false)}`);
  for (const [kind, count] of world.weather.struck) add(`fault ${kind}`, count);
  return census;
}

export function mergeCensus(into: Census, one: Census): Census {
  for (const [what, count] of Object.entries(one)) into[what] = (into[what] ?? 0) + count;
  return into;
}
