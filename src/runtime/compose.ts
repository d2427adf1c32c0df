/**
 * The only wiring: which store, which targets, which clock. Everything above it sees ports.
 */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import type { ChannelInfo, TargetTypeInfo } from '../core/manifest/context.ts';
import { readServerFile, type ServerFile } from '../core/server-file.ts';
import { openPluginSources } from '../plugins/sources.ts';
import type { Store } from '../ports/store.ts';
import type { Target, TargetType } from '../ports/target.ts';
import { openStore } from '../stores/open.ts';
import { claimHost, type HostClaim } from '../targets/process/claim.ts';
import { externalType } from '../targets/external.ts';
import { dockerType } from '../targets/docker/type.ts';
import { processType } from '../targets/process/type.ts';
import { openSentry } from '../observe/sentry.ts';
import type { Control } from './api.ts';
import { createControl } from './control/index.ts';
import {
  agentKey,
  readAdminToken,
  readServerText,
  secretKey,
  writeAdminToken,
  type DataFolder,
} from './data-folder.ts';
import { levelSwitch, type Log } from './log.ts';
import { Metrics } from './metrics.ts';
import { httpProbe } from './probe.ts';
import { Registry } from './registry.ts';
import { Pulse } from './pulse.ts';
import { keepRetention } from './retention.ts';
import { Runtime } from './runtime.ts';
import { redactedControl, redactedLog, redactedStore } from './secrets/boundary.ts';
import { Vault } from './secrets/vault.ts';
import { systemClock } from './system-clock.ts';
import { Targets } from './targets.ts';
import { VERSION } from './version.ts';
import { Wake } from './wake.ts';
import type { World } from './world.ts';

const TYPES: ReadonlyMap<string, TargetType> = new Map([processType, dockerType].map((type) => [type.type, type]));
const CHANNELS: ReadonlyMap<string, ChannelInfo> = new Map();

/** The server cannot start; `message` says why, in a sentence or a list of file errors. */
export class StartError extends Error {
  override readonly name = 'StartError';
}

export interface Composed {
  readonly control: Control;
  readonly runtime: Runtime;
  readonly targets: Targets;
  readonly wake: Wake;
  readonly registry: Registry;
  readonly serverFile: ServerFile;
  /** The log that was given, without the values of stored secrets. */
  readonly log: Log;
  /** Takes over all fleets. */
  start(): Promise<void>;
  /** Lets go of everything. With `agents`, stops what runs first. */
  stop(how: { agents: boolean }): Promise<void>;
}

export interface ComposeOptions {
  readonly storeUrl: string | null;
  /** `level` can be changed while it is written. */
  readonly log: Log & { level: string };
  /** The key of stored secrets, where it is not to be a file in the folder. */
  readonly secretKey?: string | null;
  /** Start although stored secrets cannot be opened. */
  readonly withoutLostSecrets?: boolean;
}

export async function compose(folder: DataFolder, options: ComposeOptions): Promise<Composed> {
  const serverFile = serverFileOf(folder);
  const store = await openStore(options.storeUrl ?? folder.path);
  let claim: HostClaim | null = null;
  try {
    claim = await claimHost(store.deployment, folder.path);
    return await assemble(folder, serverFile, store, claim, options);
  } catch (error) {
    await claim?.close();
    await store.close();
    throw error;
  }
}

function serverFileOf(folder: DataFolder): ServerFile {
  const read = readServerFile(readServerText(folder), new Set(TYPES.keys()));
  if (read.ok) return read.file;
  const errors = read.errors.map(
    ({ path, line, message }) => `  ${folder.path}/holdfast.yaml:${line}: ${path}: ${message}`,
  );
  throw new StartError(`the server file is not valid:\n${errors.join('\n')}`);
}

async function assemble(
  folder: DataFolder,
  serverFile: ServerFile,
  bare: Store,
  claim: HostClaim,
  options: ComposeOptions,
): Promise<Composed> {
  const clock = systemClock;
  const key = secretKey(folder, options.secretKey ?? null);
  const vault = new Vault({ store: bare, key, withoutLost: options.withoutLostSecrets ?? false });
  const store = redactedStore(bare, vault.redactor);
  const log = redactedLog(options.log, vault.redactor);
  const named = new Map<string, TargetType>(TYPES);
  for (const [name, { type }] of serverFile.targets) {
    const found = TYPES.get(type);
    if (found !== undefined) named.set(name, found);
  }
  const make = (name: string): Target | null => {
    const type = named.get(name);
    if (type === undefined) return null;
    return type.create(serverFile.targets.get(name)?.settings ?? {}, {
      deployment: store.deployment,
      dataDir: folder.path,
      name,
    });
  };
  const targets = new Targets(make, store.deployment, clock, log);
  const sentry =
    serverFile.sentryDsn === null
      ? null
      : await openSentry({
          dsn: serverFile.sentryDsn,
          version: VERSION,
          mono: () => clock.mono(),
          warn: (message) => log.warn({}, message),
        });
  const pulse = new Pulse(clock);
  const { perInstance } = serverFile.metrics;
  const metrics = new Metrics({ clock, version: VERSION, perInstance, lag: () => pulse.lag() });
  const { pluginSources, requirePinned, plainHttp } = serverFile.allow;
  const pluginPolicy = { sources: pluginSources, requirePinned, plainHttp };
  const plugins = openPluginSources({
    folder: join(folder.path, 'plugins'),
    settings: serverFile.plugins,
    policy: pluginPolicy,
    secret: async (name, secret) => {
      const fleet = runtime.fleet(name);
      if (fleet === null) throw new Error(`fleet "${name}" is not owned just now`);
      return fleet.secret(secret);
    },
  });
  const runtime: Runtime = new Runtime(`${process.pid}-${randomBytes(4).toString('hex')}`, {
    store,
    clock,
    log,
    targets,
    vault,
    probe: httpProbe,
    plugins,
    env: (fleet, inst) => registry.env(fleet, inst),
    lastSeen: (uid) => registry.lastSeen.at(uid),
    isVisited: (uid) => wake.isVisited(uid),
    ticked: (fleet, report) => metrics.ticked(fleet, report),
    violated: (fleet, violation) => sentry?.violated(fleet, vault.redactor.json(violation)),
    dropped(fleet) {
      vault.forget(fleet);
      metrics.dropped(fleet);
    },
  });
  const wake: Wake = new Wake(runtime, clock);
  const registry: Registry = new Registry({
    key: agentKey(folder),
    folder: folder.path,
    agentUrl: serverFile.agentUrl,
    store,
    clock,
    log,
    fleets: () => runtime.fleets(),
    fleet: (name) => runtime.fleet(name),
    isAwaited: (name) => runtime.isAwaited(name),
  });
  const world: World = {
    version: VERSION,
    store,
    clock,
    log,
    logLevel: levelSwitch(options.log, log),
    runtime,
    targets,
    registry,
    vault,
    // Last: whatever the server file calls so, `external` means external.
    targetTypes: new Map<string, TargetTypeInfo>([...named, [externalType.type, externalType]]),
    channels: CHANNELS,
    pluginPolicy,
    newId: () => randomBytes(8).toString('hex'),
    newSecret: () => randomBytes(32).toString('base64url'),
    lag: () => pulse.lag(),
    metrics: () => metrics.text(runtime, targets),
  };
  const control = redactedControl(createControl(world), vault.redactor);
  const retention = keepRetention(world, serverFile.retention);
  return {
    control,
    runtime,
    targets,
    wake,
    registry,
    serverFile,
    log,
    async start() {
      await ensureAdminToken(folder, control);
      await runtime.start();
    },
    async stop({ agents }) {
      retention.stop();
      pulse.stop();
      if (agents) await runtime.stopAgents();
      await runtime.stop();
      await sentry?.close();
      // Each is let go of, whatever became of the one before: what is kept would lock out the next start.
      const steps = [() => registry.stop(), () => targets.close(), () => store.close(), () => claim.close()];
      const failed: unknown[] = [];
      for (const step of steps) await step().catch((error: unknown) => failed.push(error));
      if (failed.length > 0) throw failed[0];
    },
  };
}

/** The token in the folder works, or a new one is written there. */
async function ensureAdminToken(folder: DataFolder, control: Control): Promise<void> {
  const known = readAdminToken(folder);
  if (known !== null && (await control.identify(known)) !== null) return;
  const existing = await control.tokens();
  if (existing.some((token) => token.name === 'admin')) await control.dropToken('admin');
  const { token } = await control.createToken({ name: 'admin', scope: 'admin', fleets: null, expiresInMs: null });
  writeAdminToken(folder, token);
}
