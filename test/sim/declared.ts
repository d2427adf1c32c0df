/** What a restless operator declares: specs of every kind, and changes to them, now and then a bad one. */
import { DEFAULT_POLICY, type Policy, type Spec } from '../../src/core/model.ts';
import { BEATS, config, external, HEALTH, plugin, spec } from '../support/specs.ts';
import type { Chance } from './prng.ts';
import { imageOf } from './resource.ts';
import { SECRET } from './secrets.ts';

const BEAT = { ...BEATS, everyMs: 20_000, silentAfterMs: 60_000, startGraceMs: 90_000 };
const PROBE = HEALTH === null ? null : { ...HEALTH, everyMs: 30_000, silentAfterMs: 60_000, startGraceMs: 90_000 };
const SOURCES = ['git+file:///srv/notes', 'git+file:///srv/search'];

/** Most images are good; some crash soon, some end by themselves, some cannot be started at all, or only say that they were. */
function image(chance: Chance, version: number): string {
  const draw = chance.next();
  if (draw < 0.04) return `crashy:${version}`;
  if (draw < 0.06) return `impossible:${version}`;
  if (draw < 0.08) return `ghost:${version}`;
  return draw < 0.18 ? `finite:${version}` : `bot:${version}`;
}

export function randomSpec(chance: Chance, version: number): Spec {
  if (chance.is(0.06)) return external({ heartbeat: BEAT });
  const lazy = chance.is(0.3);
  const liveness = chance.next();
  const target = chance.is(0.25) ? 'side' : 'sim';
  return spec({
    target,
    targetType: 'sim',
    lifecycle: lazy ? 'lazy' : 'hot',
    idleAfterMs: lazy ? chance.pick([120_000, 600_000, null]) : null,
    onComplete: chance.is(0.15) ? 'stop' : 'restart',
    run: { image: image(chance, version), env: { KEY: `\${secret:${SECRET}}` } },
    heartbeat: liveness < 0.45 ? BEAT : null,
    health: liveness > 0.3 && liveness < 0.65 ? PROBE : null,
    config: chance.is(0.4) ? config({ greeting: 'hello' }) : null,
    plugins: chance.is(0.4) ? somePlugins(chance) : [],
    onSilent: chance.is(0.1) ? 'alert' : null,
    onDegraded: chance.is(0.3) ? 'restart' : null,
    drift: chance.is(0.15) ? 'report' : null,
  });
}

/** The same instance, declared otherwise: another image, config, plugins or lifecycle. */
export function changed(before: Spec, chance: Chance, version: number): Spec {
  if (before.targetType === 'external') return { ...before, labels: { version: String(version) } };
  const draw = chance.next();
  if (draw < 0.45) return { ...before, run: { ...before.run, image: image(chance, version) } };
  if (draw < 0.7)
    return before.config === null
      ? before
      : { ...before, config: config(chance.is(0.1) ? { unusable: true, version } : { greeting: version }) };
  if (draw < 0.85) return { ...before, plugins: somePlugins(chance) };
  return before.lifecycle === 'lazy'
    ? { ...before, lifecycle: 'hot', idleAfterMs: null }
    : { ...before, lifecycle: 'lazy', idleAfterMs: 600_000 };
}

/** What is wrong with it, put right; the very same where nothing is. */
export function corrected(before: Spec, version: number): Spec {
  if (before.targetType === 'external') return before;
  const bad = /^(crashy|impossible|ghost)/.test(imageOf(before));
  const unusable = (before.config?.value as { unusable?: boolean } | undefined)?.unusable === true;
  const forgiving = before.onSilent === 'alert' || before.drift === 'report';
  if (!bad && !unusable && !forgiving) return before;
  return {
    ...before,
    run: bad ? { ...before.run, image: `bot:${version}` } : before.run,
    config: unusable ? config({ greeting: version }) : before.config,
    onSilent: null,
    drift: null,
  };
}

export function randomPolicy(chance: Chance): Policy {
  return {
    ...DEFAULT_POLICY,
    giveUpAfter: chance.pick([3, 5, 10, 10]),
    retryErrorEveryMs: chance.pick([10, 30, 30]) * 60_000,
    maxInFlight: chance.pick([null, null, 1, 3]),
    rollout: {
      maxUnavailable: chance.pick([0.1, 0.1, 0.3, 1]),
      healthyForMs: chance.pick([5_000, 30_000]),
      maxFailures: chance.pick([1, 1, 3]),
      waitIdleMs: chance.pick([60_000, 600_000]),
    },
    onSilent: chance.is(0.2) ? 'alert' : 'restart',
    onDegraded: chance.is(0.3) ? 'restart' : 'alert',
    drift: chance.is(0.2) ? 'report' : 'enforce',
  };
}

const somePlugins = (chance: Chance): Spec['plugins'] =>
  SOURCES.filter(() => chance.is(0.6)).map((source) =>
    chance.is(0.3) ? plugin(`${source}#main`, true) : plugin(`${source}#v${chance.int(1, 3)}`),
  );
