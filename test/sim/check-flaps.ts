/**
 * Is every end that nobody asked for said, once, and nothing else? Reads the log from its beginning, and compares what was
 * said with what really happened. On the way: a result that comes when its operation is over changes nothing (L27, L29).
 */
import type { StoredEvent } from '../../src/core/events.ts';
import { emptyState, evolve } from '../../src/core/evolve.ts';
import type { Instance } from '../../src/core/model.ts';
import { Violated } from './violated.ts';
import type { Life, Truth } from './truth.ts';

/** While one of these is at work, it explains every end. */
const ENDS_LIVES: ReadonlySet<string> = new Set(['stop', 'sleep', 'restart', 'update', 'destroy']);

interface Known {
  /** Lives that the control plane saw alive. */
  readonly seen: Set<string>;
  /** Lives whose end was somebody's wish, as far as the log can know. */
  readonly excused: Set<string>;
  /** What was said of each life. */
  readonly said: Map<string, string[]>;
}

export function checkFlaps(log: readonly StoredEvent[], truth: Truth): void {
  const known: Known = { seen: new Set(), excused: new Set(), said: new Map() };
  const state = emptyState('sim');
  for (const event of log) {
    const inst = event.uid === undefined ? undefined : state.instances.get(event.uid);
    const before = inst?.resource?.incarnation;
    const ends = ENDS_LIVES.has(inst?.operation?.kind ?? '');
    const late = event.type === 'operation.ended' && inst !== undefined && inst.operation?.id !== event.data.operation;
    const asItWas = late ? JSON.stringify(inst) : '';
    evolve(state, event);
    if (late && JSON.stringify(inst) !== asItWas)
      throw new Violated(
        `the late result of ${event.data.operation} changes ${event.instance} (${event.uid}, seq ${event.seq})`,
      );
    if (event.type === 'tick.decided') {
      for (const { uid } of event.data.actions) note(known, state.instances.get(uid), null);
    } else if (event.uid !== undefined) {
      note(known, state.instances.get(event.uid), before ?? null);
      if (event.type === 'resource.observed' && ends) known.excused.add(event.data.incarnation ?? '');
    }
    if (event.type === 'flap.observed' && event.data.incarnation !== null) saidOnce(known, truth, event, event.data);
  }
  for (const life of truth.lives.values()) unsaid(known, life);
}

function note({ seen, excused }: Known, inst: Instance | undefined, before: string | null): void {
  const life = inst?.resource?.incarnation ?? null;
  if (inst === undefined) return;
  if (inst.resource?.state === 'running' && life !== null) seen.add(life);
  if (inst.endingIncarnation !== null) excused.add(inst.endingIncarnation);
  const wished =
    inst.desired !== 'running' || inst.removing || inst.completed || ENDS_LIVES.has(inst.operation?.kind ?? '');
  for (const one of wished ? [life, before] : []) if (one !== null) excused.add(one);
  // A lazy one's exit 0 is sleep, a worker's is the end of its work.
  if (
    life !== null &&
    inst.resource?.exit?.code === 0 &&
    (inst.spec.lifecycle === 'lazy' || inst.spec.onComplete === 'stop')
  )
    excused.add(life);
}

/** Each kind of end once per life, and a pause looks like one. */
function saidOnce(
  { said, seen }: Known,
  truth: Truth,
  event: StoredEvent,
  { kind, incarnation }: { kind: string; incarnation: string | null },
): void {
  const life = truth.lives.get(incarnation ?? '');
  if (life === undefined)
    throw new Violated(`flap ${kind} of a life that never was (${incarnation ?? 'none'}, seq ${event.seq})`);
  const kinds = [...(said.get(life.incarnation) ?? []), kind];
  said.set(life.incarnation, kinds);
  const times = kinds.filter((one) => one === kind).length;
  if (kind === 'container_stopped' && times > 1 + life.pauses)
    throw new Violated(`the end of ${life.incarnation} of ${life.uid} is said ${times} times (seq ${event.seq})`);
  if (kind === 'container_stopped' && life.ended === null && life.pauses === 0)
    throw new Violated(`the end of ${life.incarnation} of ${life.uid} is said, and it runs (seq ${event.seq})`);
  // Whose wish the end of a life was that nobody saw begin, nobody can know when it is told late.
  if (kind === 'container_stopped' && life.asked === true && life.pauses === 0 && seen.has(life.incarnation))
    throw new Violated(`the end of ${life.incarnation} of ${life.uid} is said, and was asked (seq ${event.seq})`);
}

function unsaid({ seen, excused, said }: Known, life: Life): void {
  if (life.ended === null || life.asked !== false || !seen.has(life.incarnation) || excused.has(life.incarnation))
    return;
  if (said.has(life.incarnation)) return;
  throw new Violated(
    `${life.incarnation} of ${life.uid} ended unasked ${JSON.stringify(life.exit)}, was seen alive, and nobody said so`,
  );
}
