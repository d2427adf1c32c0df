/**
 * What a replay counts: the actions and the changes of phase that were recorded, and those that are computed.
 *
 * The recorded world does not answer to what is only computed, so a decision that was never taken in it is computed again at
 * each look. It is one wish, and counted once, for as long as it stands: until the record has it too, or until a look at the
 * instance no longer wishes it. Where computed and recorded are the same, nothing ever stands, and the counts are plain.
 */
import type { Decided } from './compare.ts';
import type { DecidedAction } from './events.ts';
import type { ActionType, Phase } from './model.ts';

export type Counts<K extends string> = { readonly [kind in K]?: number };

export interface Sides<K extends string> {
  readonly computed: Counts<K>;
  readonly recorded: Counts<K>;
}

export class Tally {
  private readonly actions = new Sheet<ActionType>();
  private readonly phases = new Sheet<Phase>();
  /** uid → wishes that were counted and are not in the record yet. */
  private readonly standing = new Map<string, ReadonlySet<string>>();
  private readonly only: string | null;

  /** Counts what concerns the instance of that name; null: all. */
  constructor(only: string | null) {
    this.only = only;
  }

  /** One tick; `same`: the two sides are equal. Returns the computed actions that are news, in order. */
  count(computed: Decided, recorded: Decided, looked: ReadonlySet<string>, same: boolean): readonly DecidedAction[] {
    for (const { type } of this.mine(recorded.actions)) this.actions.add('recorded', type);
    for (const { to } of this.mine(recorded.transitions)) this.phases.add('recorded', to);
    if (same && this.standing.size === 0) {
      const mine = this.mine(computed.actions);
      for (const { type } of mine) this.actions.add('computed', type);
      for (const { to } of this.mine(computed.transitions)) this.phases.add('computed', to);
      return mine;
    }
    const done = new Set([...recorded.actions.map(actionKey), ...recorded.transitions.map(phaseKey)]);
    const wishes = new Map<string, Set<string>>();
    const isNews = (uid: string, key: string): boolean => {
      if (!done.has(key)) wishes.set(uid, (wishes.get(uid) ?? new Set()).add(key));
      return this.standing.get(uid)?.has(key) !== true;
    };
    const news = this.mine(computed.actions).filter((action) => isNews(action.uid, actionKey(action)));
    for (const { type } of news) this.actions.add('computed', type);
    for (const change of this.mine(computed.transitions))
      if (isNews(change.uid, phaseKey(change))) this.phases.add('computed', change.to);
    if (this.standing.size > 0) for (const uid of looked) this.standing.delete(uid);
    for (const [uid, keys] of wishes) this.standing.set(uid, keys);
    return news;
  }

  result(): { readonly actions: Sides<ActionType>; readonly transitions: Sides<Phase> } {
    return { actions: this.actions.sides(), transitions: this.phases.sides() };
  }

  private mine<T extends { readonly instance: string }>(all: readonly T[]): readonly T[] {
    return this.only === null ? all : all.filter(({ instance }) => instance === this.only);
  }
}

const actionKey = ({ uid, type }: { uid: string; type: ActionType }): string => `${uid} ${type}`;
const phaseKey = ({ uid, to }: { uid: string; to: Phase }): string => `${uid} ${to}`;

class Sheet<K extends string> {
  private readonly computed = new Map<K, number>();
  private readonly recorded = new Map<K, number>();

  add(side: 'computed' | 'recorded', kind: K): void {
    this[side].set(kind, (this[side].get(kind) ?? 0) + 1);
  }

  sides(): Sides<K> {
    return { computed: counts(this.computed), recorded: counts(this.recorded) };
  }
}

const counts = <K extends string>(tally: ReadonlyMap<K, number>): Counts<K> =>
  Object.fromEntries([...tally].sort(([a], [b]) => (a < b ? -1 : 1))) as Counts<K>;
