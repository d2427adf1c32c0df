/**
 * The invariants checked where no single tick can show them: on a whole state, on the log, on a replay, on a text. For the
 * simulator, for `verify`, and for whoever writes something down.
 */
import type { Agenda } from './agenda.ts';
import { Case } from './case.ts';
import { judge } from './decide.ts';
import type { StoredEvent } from './events.ts';
import { budgetOf } from './fold/operation.ts';
import { Slots } from './gates.ts';
import { checkInvariants, type Violation } from './invariants.ts';
import type { FleetState } from './model.ts';
import type { ReplayResult } from './replay.ts';

/** Every instance, and everything that is counted recounted. O(fleet): between ticks, with nothing unfolded. */
export function checkEverything(state: FleetState, now: number, agenda: Agenda): readonly Violation[] {
  const uids = state.instances.keys();
  return [
    ...checkInvariants(state, now, uids, agenda),
    ...lostAlarms(state, now, agenda, state.instances.keys()),
    ...miscounted(state),
    ...misindexed(state),
  ];
}

/** Some of them, whom perhaps nobody would ever look at: a tick checks only those it has looked at itself. */
export function checkSome(
  state: FleetState,
  now: number,
  agenda: Agenda,
  uids: readonly string[],
): readonly Violation[] {
  return [...checkInvariants(state, now, uids, agenda), ...lostAlarms(state, now, agenda, uids)];
}

/** 7, from the other side: whoever asked the time in vain is looked at no later than it asked for. */
function lostAlarms(state: FleetState, now: number, agenda: Agenda, uids: Iterable<string>): readonly Violation[] {
  const found: Violation[] = [];
  for (const uid of uids) {
    const inst = state.instances.get(uid);
    if (inst === undefined || state.dirty.has(uid)) continue;
    const c = new Case(state, inst, now);
    const { row, proposal } = judge(c, new Slots(state));
    const alarm = agenda.alarm(inst.uid) ?? Number.POSITIVE_INFINITY;
    const lost = (message: string): void => {
      found.push({ invariant: 7, instance: inst.name, uid: inst.uid, message, recovery: 'mark-dirty' });
    };
    if (proposal !== null && !agenda.waits(inst.uid))
      lost(`row "${row.id}" would ${proposal.type} now, and nobody looks`);
    if (proposal === null && alarm > c.wakeAt)
      lost(`something about it changes at ${c.wakeAt}, and it is looked at ${alarm}`);
  }
  return found;
}

/** 1 and 9: what the budgets are counted by. */
function miscounted(state: FleetState): readonly Violation[] {
  const found: Violation[] = [];
  for (const target of state.targets.values()) {
    const counted = { run: 0, stop: 0, existing: 0 };
    for (const inst of state.instances.values()) {
      if (inst.spec.target !== target.name) continue;
      if (inst.operation !== null) counted[budgetOf(inst.operation)] += 1;
      if (inst.resource !== null && inst.resource.state !== 'missing') counted.existing += 1;
    }
    const kept = { ...target.inFlight, existing: target.existing };
    for (const what of ['run', 'stop', 'existing'] as const) {
      if (kept[what] === counted[what]) continue;
      found.push({
        invariant: 9,
        message: `target "${target.name}" counts ${kept[what]} (${what}), and there are ${counted[what]}`,
      });
    }
  }
  return found;
}

/** 3: the index that it is enforced by. */
function misindexed(state: FleetState): readonly Violation[] {
  const found: Violation[] = [];
  const claims = new Map<string, Set<string>>();
  for (const { uid, spec, resource } of state.instances.values()) {
    if (resource === null || resource.ref === null || resource.state === 'missing') continue;
    const key = `${spec.target}\0${resource.ref}`;
    claims.set(key, (claims.get(key) ?? new Set()).add(uid));
  }
  for (const key of new Set([...claims.keys(), ...state.refs.keys(), ...state.contested])) {
    const kept = new Set(state.refs.get(key));
    const real = claims.get(key) ?? new Set();
    if (kept.symmetricDifference(real).size === 0 && state.contested.has(key) === real.size > 1) continue;
    found.push({
      invariant: 3,
      message: `resource ${key.replace('\0', '/')} is held by ${[...real].join()}, and kept as held by ${[...kept].join()}`,
    });
  }
  return found;
}

// ── 11: the log ─────────────────────────────────────────────────────────────────────────────────────────────────────

/** Takes events in order; tells what each one breaks. `after`: the seq that the first one follows. */
export function logChecker(after = 0): (event: StoredEvent) => readonly Violation[] {
  let seq = after;
  let at = 0;
  let epoch = 0;
  const generations = new Map<string, number>();
  return (event) => {
    const found: Violation[] = [];
    const breaks = (message: string): void => {
      const { instance, uid } = event;
      found.push({
        invariant: 11,
        message,
        ...(instance !== undefined && { instance }),
        ...(uid !== undefined && { uid }),
      });
    };
    if (event.seq !== seq + 1) breaks(`event ${event.seq} follows ${seq}`);
    if (event.at < at) breaks(`event ${event.seq} was written ${at - event.at} ms before the one it follows`);
    if (event.type === 'owner.started') {
      if (event.data.epoch < epoch) breaks(`event ${event.seq} begins epoch ${event.data.epoch} after epoch ${epoch}`);
      epoch = event.data.epoch;
    }
    if (event.type === 'spec.applied' && event.uid !== undefined) {
      const before = generations.get(event.uid) ?? 0;
      if (event.data.generation < before)
        breaks(`event ${event.seq} declares generation ${event.data.generation} after ${before}`);
      generations.set(event.uid, event.data.generation);
    }
    seq = event.seq;
    at = event.at;
    return found;
  };
}

// ── 12: replays ─────────────────────────────────────────────────────────────────────────────────────────────────────

/** A what-if differs by intent, a refused one says nothing: neither breaks it. */
export function checkReplay(result: ReplayResult): readonly Violation[] {
  if (result.kind !== 'replay' || result.counts.unintended === 0) return [];
  return result.differences
    .filter(({ intended }) => !intended)
    .map(({ seq, instance, uid }) => ({
      invariant: 12,
      instance,
      uid,
      message: `the tick at event ${seq} is decided otherwise by this build`,
    }));
}

// ── 13: secrets ─────────────────────────────────────────────────────────────────────────────────────────────────────

/** Shorter values are everywhere by chance. */
const MIN_SECRET_CHARS = 8;

/** `secrets`: name → value. The message names the secret, and never holds it. */
export function checkText(text: string, secrets: ReadonlyMap<string, string>, where: string): readonly Violation[] {
  const found: Violation[] = [];
  for (const [name, value] of secrets) {
    if (value.length < MIN_SECRET_CHARS) continue;
    // As JSON writes it, too: quotes and line ends look otherwise there.
    const written = JSON.stringify(value).slice(1, -1);
    if (text.includes(value) || text.includes(written))
      found.push({ invariant: 13, message: `the value of secret "${name}" is in ${where}` });
  }
  return found;
}
