/** The simulated target keeps what every target keeps: what the simulator proves on it holds for the others. */
import { simTarget, type Asker } from '../sim/target.ts';
import { Chance } from '../sim/prng.ts';
import { exitOf } from '../sim/resource.ts';
import { SimWorld } from '../sim/world.ts';
import { hashesOf, spec } from '../support/specs.ts';
import { targetContract, type Doing } from './target.suite.ts';

/** Simulated ms per turn of the real clock, about one of its own. */
const STEP_MS = 10;

const RUNS: Doing = { kind: 'runs' };

const imageOf = (does: Doing, variant: string): string => {
  switch (does.kind) {
    case 'runs':
    case 'stubborn':
      return `bot:${variant}`;
    case 'ends':
      return `ends:${does.code}`;
    case 'impossible':
      return `impossible:${variant}`;
  }
};

targetContract({
  name: 'sim',
  many: 120,
  skips: {
    'what runs is measured; what does not run is a conflict, and stays as it is': 'simulated agents use nothing',
    'a program is run beside what runs, word by word; nothing is started for it': 'simulated agents have no programs',
    'logs give the last lines of this life, what follows, and the life before': 'simulated agents write nothing',
  },
  async make(t) {
    const world = new SimWorld(new Chance(1));
    world.weather.calm = true;
    let ticking = true;
    const tick = (): void => {
      void world.clock.runUntil(world.clock.now + STEP_MS).then(() => ticking && setTimeout(tick, 1));
    };
    tick();
    t.after(() => {
      ticking = false;
    });
    const authority = world.authority('sim');
    const asker: Asker = {
      hear: (run) => run(),
      acts: (_verb, { uid }) => authority.resources.get(uid)?.incarnation ?? null,
    };
    const open = (): ReturnType<typeof simTarget> => simTarget(authority, world, asker);
    const found = (uid: string): NonNullable<ReturnType<SimWorld['find']>> => {
      const one = world.find(uid);
      if (one === null) throw new Error(`there is no ${uid}`);
      return one;
    };
    return {
      deployment: 'sim',
      target: open(),
      subject({ name = 'agent', does = RUNS, variant = 'one' } = {}) {
        const declared = spec({ target: 'sim', targetType: 'sim', run: { image: imageOf(does, variant) } });
        const { infra } = hashesOf(declared);
        return {
          fleet: 'demo',
          instance: name,
          uid: `u-${name}`,
          generation: 1,
          spec: declared,
          infraHash: infra,
          configHash: null,
          env: {},
        };
      },
      damage: async ({ uid }, name) => void authority.disk(uid).plugins.delete(`git+file:///srv/${name}`),
      kill: async ({ uid }) => authority.crash(found(uid).resource, exitOf(1)),
      remove: async ({ uid }) => authority.vanish(found(uid).resource),
      reopen: async () => open(),
      // Each deployment has an authority of its own here, as if its label were part of every name.
      stranger: async () => simTarget(new SimWorld(new Chance(2)).authority('sim'), world, asker),
      cleanup: async () => {
        ticking = false;
      },
    };
  },
});
