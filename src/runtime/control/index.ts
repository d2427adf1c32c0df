/** The runtime's answers to its faces: one line per verb, each with a file of its own behind it. */
import { Refusal, type Control, type LogLevelView } from '../api.ts';
import { StoreError } from '../../ports/store.ts';
import type { World } from '../world.ts';
import { apply } from './apply.ts';
import { bulk, command, hold, override, release, remove } from './commands.ts';
import { dryRun } from './debug.ts';
import { exportLog } from './export.ts';
import { exec, stats } from './inside.ts';
import { fleetOf, instanceOf, upToDate } from './fleets.ts';
import { orphans, pruneOrphans } from './orphans.ts';
import { instances, manifest, viewOf, viewOfFleet, why } from './reads.ts';
import { alive, ready } from './ready.ts';
import { replayed } from './replay.ts';
import { deleteSecret, putSecret, secrets } from './secrets.ts';
import { settled } from './settle.ts';
import { events, logs, watch } from './stream.ts';
import { removeVolume, volumes } from './volumes.ts';
import { renewAgentToken } from './agent-token.ts';
import { createToken, dropToken, identify, tokens } from './tokens.ts';

export function createControl(world: World): Control {
  return {
    deployment: world.store.deployment,
    version: world.version,
    apply: (fleet, ask) => apply(world, fleet, ask),
    fleets: async () => world.runtime.fleets().map((fleet) => viewOfFleet(world, fleet)),
    fleet: async (fleet) => viewOfFleet(world, fleetOf(world, fleet)),
    manifest: (fleet, revision) => manifest(world, fleet, revision),
    dropFleet: (fleet) => dropFleet(world, fleet),
    instances: async (fleet, ask) => instances(world, fleet, ask),
    instance: async (name, instance) => {
      const fleet = fleetOf(world, name);
      return viewOf(fleet, instanceOf(fleet, instance), true);
    },
    why: (fleet, name, at) => why(world, fleet, name, at),
    command: (fleet, name, verb, by) => command(world, fleet, name, verb, by),
    delete: (fleet, name, ask, by) => remove(world, fleet, name, ask, by),
    bulk: (fleet, verb, select, dry, by) => bulk(world, fleet, verb, select, dry, by),
    settled: (fleet, name, seq, timeoutMs, signal) => settled(world, fleet, name, seq, timeoutMs, signal),
    hold: (fleet, ask) => hold(world, fleet, ask),
    release: (fleet, ask) => release(world, fleet, ask),
    override: (fleet, ask) => override(world, fleet, ask),
    events: (fleet, ask) => events(world, fleet, ask),
    seqAt: async (fleet, at) => {
      fleetOf(world, fleet);
      return world.store.seqAt(fleet, at);
    },
    watch: (fleet, after, signal) => watch(world, fleet, after, signal),
    logs: async (fleet, name, ask, signal) => logs(world, fleet, name, ask, signal),
    stats: (fleet, name, signal) => stats(world, fleet, name, signal),
    exec: (fleet, name, ask, signal) => exec(world, fleet, name, ask, signal),
    dryRun: (fleet, ask, signal) => dryRun(world, fleet, ask, signal),
    replay: (fleet, ask, signal, progress) => replayed(world, fleet, ask, { signal, progress }),
    exportLog: (fleet, from) => exportLog(world, fleet, from),
    orphans: async (fleet) => orphans(world, fleet),
    pruneOrphans: (fleet, expected, by) => pruneOrphans(world, fleet, expected, by),
    volumes: (fleet) => volumes(world, fleet),
    removeVolume: (fleet, name, by) => removeVolume(world, fleet, name, by),
    secrets: async (fleet) => secrets(world, fleet),
    putSecret: (fleet, name, value, by) => putSecret(world, fleet, name, value, by),
    deleteSecret: (fleet, name, by) => deleteSecret(world, fleet, name, by),
    ready: () => ready(world),
    alive: () => alive(world),
    metrics: () => world.metrics(),
    logLevel: async () => levels(world),
    setLogLevel: async (level) => {
      world.logLevel.set(level);
      return levels(world);
    },
    tokens: () => tokens(world),
    createToken: (ask) => createToken(world, ask),
    dropToken: (name) => dropToken(world, name),
    heartbeat: (token, read) => world.registry.heartbeat(token, read),
    renewAgentToken: (fleet, name, by) => renewAgentToken(world, fleet, name, by),
    identify: (token) => identify(world, token),
  };
}

const levels = ({ logLevel }: World): LogLevelView => ({
  level: logLevel.now(),
  configured: logLevel.configured,
});

async function dropFleet(world: World, name: string): Promise<void> {
  const fleet = fleetOf(world, name);
  await upToDate(fleet, 0);
  const left = fleet.loop.state.instances.size;
  if (left > 0)
    throw new Refusal('conflict', 'not-empty', `fleet "${name}" still has ${left} instances; delete them first`);
  const unknown = world.targets.all().flatMap((observer) => observer.orphansOf(name).orphans).length;
  if (unknown > 0) {
    // With its log goes the only one who still sees them (L54).
    throw new Refusal(
      'conflict',
      'orphans',
      `fleet "${name}" still has ${unknown} orphans; remove them first, or stop them by hand`,
    );
  }
  try {
    await world.runtime.drop(name);
  } catch (error) {
    if (!(error instanceof StoreError) || error.code !== 'conflict') throw error;
    throw new Refusal(
      'conflict',
      'not-empty',
      `fleet "${name}" changed while it was being dropped, and is kept; look at it again`,
    );
  }
}
