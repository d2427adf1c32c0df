/**
 * A remote call, with every way in which one goes wrong: it fails before or after its effect, hangs, is slow, does not listen
 * to its abort, claims success and did nothing. What was asked for goes on when the one who asked is dead.
 */
import { TargetError, type ListedResource } from '../../src/ports/target.ts';
import { detail, type Authority } from './authority.ts';
import type { SimClock } from './clock.ts';
import type { Chance } from './prng.ts';
import type { Weather } from './weather.ts';

const QUICK_MS = 20;
const SLOW_MS = 20_000;
const HANGS_MS = 3_600_000;
/** Later than any deadline and its grace. */
const LATE_MS = { from: 100_000, to: 200_000 };

/** How one call goes wrong in a scripted story. */
export type Twist =
  /** Nothing is done, and nothing answers, until it is aborted. */
  | { readonly kind: 'hangs' }
  /** It is done at once, and nobody hears of it. */
  | { readonly kind: 'unanswered' }
  /** Done and answered only after `ms`, deaf to any abort. A listing shows what was there when it began. */
  | { readonly kind: 'late'; readonly ms: number }
  /** Takes `ms`, and hears its abort. */
  | { readonly kind: 'slow'; readonly ms: number }
  | { readonly kind: 'fails'; readonly error: TargetError };

export interface CallWorld {
  readonly clock: SimClock;
  readonly chance: Chance;
  readonly weather: Weather;
  /** What a script says of the next call of that verb; null: nothing. */
  twist(what: string, uid: string | null): Twist | null;
  /** Kills the control plane that lives now. */
  crash(): void;
}

/** Carries out one verb. `effect` is what it does to the world, `nothing` what it answers when it only says so. */
export async function call<T>(
  world: CallWorld,
  authority: Authority,
  what: string,
  signal: AbortSignal,
  effect: () => T,
  nothing: (() => T) | null,
  uid: string | null = null,
): Promise<T> {
  const { weather } = world;
  const twist = world.twist(what, uid);
  if (twist === null) await arrive(world, signal);
  else await twisted(world, twist, signal, effect);
  refuse(authority, what);
  if (weather.is('error-before')) throw failure('transient', 'instance', 'flaky', `${what}: it did not work this time`);
  if (weather.is('target-error')) throw failure('transient', 'target', 'engine', `${what}: the engine is out of order`);
  if (weather.is('terminal-error')) throw failure('terminal', 'instance', 'refused', `${what}: this will never work`);
  if (weather.is('conflict-error')) throw failure('conflict', 'instance', 'changed', `${what}: it changed meanwhile`);
  if (weather.is('crash-before-effect')) world.crash();
  const done = nothing !== null && weather.is('no-effect') ? nothing() : effect();
  if (weather.is('crash-after-effect')) world.crash();
  if (weather.is('lost-answer'))
    throw failure('transient', 'instance', 'lost-answer', `${what}: done, but the answer was lost`);
  await wait(world, QUICK_MS, signal);
  return done;
}

export async function listing(
  world: CallWorld,
  authority: Authority,
  signal: AbortSignal,
): Promise<{ identity: string; items: ListedResource[] }> {
  const { weather } = world;
  const taken = shown(authority);
  const twist = world.twist('list', null);
  if (twist?.kind === 'late') {
    await after(world, twist.ms);
    return { identity: authority.identity, items: taken };
  }
  await wait(world, weather.is('listing-hangs') ? HANGS_MS : latencyMs(world), signal);
  refuse(authority, 'list');
  if (weather.is('listing-fails'))
    throw failure('transient', 'target', 'partial', 'list: the second page could not be read');
  const { mood, identity } = authority;
  if (mood.foreign) return { identity: 'somebody-else', items: [] };
  if (mood.emptyListings > 0) {
    mood.emptyListings -= 1;
    return { identity, items: [] };
  }
  // Sometimes what is delivered was looked at before the wait: a listing begun before a start that arrives after it (L77).
  return { identity, items: weather.is('listing-of-before') ? taken : shown(authority) };
}

const shown = (authority: Authority): ListedResource[] =>
  [...authority.resources.values()].map((resource) => {
    const { fleet, instance, uid } = resource;
    return { fleet, instance, uid, look: authority.look(resource) };
  });

function refuse(authority: Authority, what: string): void {
  if (authority.mood.down) throw failure('transient', 'target', 'down', `${what}: the authority does not answer`);
}

const failure = (...words: Parameters<typeof detail>): TargetError => new TargetError(detail(...words));

async function twisted(world: CallWorld, twist: Twist, signal: AbortSignal, effect: () => unknown): Promise<void> {
  switch (twist.kind) {
    case 'hangs':
      return wait(world, HANGS_MS, signal);
    case 'unanswered':
      effect();
      return wait(world, HANGS_MS, signal);
    case 'late':
      return after(world, twist.ms);
    case 'slow':
      return wait(world, twist.ms, signal);
    case 'fails':
      throw twist.error;
  }
}

const after = ({ clock }: CallWorld, ms: number): Promise<void> => new Promise((resolve) => clock.after(ms, resolve));

/** The way there: quick, slow, or too slow; one that does not hear its abort arrives all the same, late. */
function arrive(world: CallWorld, signal: AbortSignal): Promise<void> {
  const { weather, chance } = world;
  if (!weather.is('hang')) return wait(world, latencyMs(world), signal);
  if (!weather.is('late')) return wait(world, HANGS_MS, signal);
  return after(world, chance.int(LATE_MS.from, LATE_MS.to));
}

function latencyMs({ weather, chance }: CallWorld): number {
  if (weather.calm) return QUICK_MS;
  return weather.is('slow') ? chance.int(1_000, SLOW_MS) : chance.int(5, 200);
}

/** Time passes; an abort ends the wait, unless this call is deaf to it. */
function wait({ clock, weather, chance }: CallWorld, ms: number, signal: AbortSignal): Promise<void> {
  const deaf = weather.is('deaf');
  return new Promise((resolve, reject) => {
    const stop = clock.after(ms, () => resolve());
    if (deaf) return;
    const onAbort = (): void => {
      stop();
      clock.after(weather.calm ? 1 : chance.int(1, 50), () => reject(new Error('aborted')));
    };
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { once: true });
  });
}
