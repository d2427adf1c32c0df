/**
 * What happens to a fleet over days: agents work, sleep, crash and fall silent, and now and then a new version is rolled out.
 */
import { Heap } from '../src/core/heap.ts';
import { template, who } from './declared.ts';
import type { History } from './history.ts';

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

/** Mean time between two of these in the life of one agent. */
const MEANS = { task: HOUR, wake: HOUR, crash: 12 * HOUR, silence: 48 * HOUR } as const;
const ROLLOUT_EVERY = 24 * HOUR;
const MAX_IN_FLIGHT = 32;

type Kind = 'operation' | 'first' | 'task' | 'idle' | 'wake' | 'done' | 'crash' | 'silence' | 'heard' | 'rollout';

interface Happening {
  readonly at: number;
  readonly order: number;
  readonly kind: Kind;
  readonly uid: string;
}

/** Tells on until the log has this many events or more. `ticked` is called after each tick. */
export function tell(history: History, instances: number, events: number, ticked: () => void = () => undefined): void {
  const { state, agenda } = history;
  const queue = new Heap<Happening>((a, b) => a.at < b.at || (a.at === b.at && a.order < b.order));
  let order = 0;
  let generation = 1;
  const soon = (kind: Kind, uid: string, inMs: number): void =>
    queue.push({ at: history.now + inMs, order: (order += 1), kind, uid });

  const tick = (): void => {
    do {
      for (const action of history.tick().actions) {
        if (action.operation !== undefined) soon('operation', action.uid, 100 + history.span(700));
      }
      ticked();
    } while (state.dirty.size > 0);
  };

  const declare = (): void => {
    const spec = template(`level-${generation}`);
    history.put({ type: 'manifest.applied', data: { revision: `1:level-${generation}`, manifest: {} } });
    for (let i = 0; i < instances; i += 1) history.put(spec(i, generation));
    generation += 1;
    soon('rollout', '', ROLLOUT_EVERY);
  };

  const happens = ({ kind, uid }: Happening): void => {
    if (kind === 'rollout') return declare();
    const inst = history.inst(uid);
    const runs = inst.resource?.state === 'running' && inst.operation === null;
    const heard = runs && inst.agent?.heard === 'heard';
    switch (kind) {
      case 'operation':
        history.succeed(uid);
        if (inst.resource?.state === 'running' && inst.agent?.heard === 'never')
          soon('first', uid, 500 + history.span(SECOND));
        return;
      case 'first':
        if (runs && inst.agent?.heard === 'never') history.report(uid, 'first');
        return;
      case 'task':
        soon('task', uid, history.span(MEANS.task));
        if (!heard || inst.agent?.busy === true) return;
        history.report(uid, 'busy');
        soon('idle', uid, history.span(2 * MINUTE));
        return;
      case 'idle':
        if (heard && inst.agent?.busy === true) history.report(uid, 'idle');
        return;
      case 'wake':
        soon('wake', uid, history.span(MEANS.wake));
        if (inst.work.open) return;
        history.about(uid, { type: 'work.began', data: {} });
        soon('done', uid, 5 * SECOND + history.span(MINUTE));
        return;
      case 'done':
        if (inst.work.open) history.about(uid, { type: 'work.ended', data: {} });
        return;
      case 'crash':
        soon('crash', uid, history.span(MEANS.crash));
        if (runs) history.exits(uid);
        return;
      case 'silence':
        soon('silence', uid, history.span(MEANS.silence));
        if (!heard) return;
        history.report(uid, 'silent');
        soon('heard', uid, history.span(10 * SECOND));
        return;
      case 'heard':
        if (runs && inst.agent?.heard === 'silent') history.report(uid, 'recovered');
    }
  };

  const advance = (): void => {
    history.now = Math.max(history.now, Math.min(queue.peek()?.at ?? Infinity, agenda.nextAt));
    while ((queue.peek()?.at ?? Infinity) <= history.now) happens(queue.pop() as Happening);
    tick();
  };

  history.own();
  history.sync(MAX_IN_FLIGHT);
  declare();
  for (let i = 0; i < instances; i += 1) {
    const { uid, lifecycle } = who(i);
    if (lifecycle === 'lazy') soon('wake', uid, history.span(MEANS.wake));
    else soon('task', uid, history.span(MEANS.task));
    soon('crash', uid, history.span(MEANS.crash));
    soon('silence', uid, history.span(MEANS.silence));
  }
  tick();
  while (state.seq < events) advance();
}
