/**
 * The docker target: agents as containers of one engine (DESIGN §12). The verbs of the port, by steps that each can be
 * repeated.
 *
 * Promises beyond the port's:
 *  - What runs, runs on: the engine keeps it, by its restart policy where it is hot, and only while we want it to (L22).
 *  - An update has its next container made before it ends the present one: what the engine refuses disturbs nothing.
 *  - Data is in volumes of the engine, which outlive every container; a start without them is refused (L39, L72).
 *  - The engine's answer counts, never a memory of it; what is remembered only saves questions.
 */
import type { Look } from '../../core/model.ts';
import type {
  ExecAbility,
  HealthAbility,
  Listing,
  LogsAbility,
  PluginAbility,
  StatsAbility,
  Subject,
  Target,
  TargetNotice,
  TargetTraits,
  VolumesAbility,
  WatchAbility,
} from '../../ports/target.ts';
import { createLocks, type Locks } from '../locks.ts';
import { createChanges, type Changes } from './changes.ts';
import type { Engine } from './engine.ts';
import { conflict, terminal } from './failure.ts';
import { openImages, type Image, type ImageFor } from './images.ts';
import { execute, usage, verdict } from './inside.ts';
import { containerName, nextName, type Scope } from './labels.ts';
import * as limits from './limits.ts';
import { collect, earlierOutput, lifeOutput, output } from './logs.ts';
import { MISSING } from './looks.ts';
import { Notices } from './notices.ts';
import { openBoxes, type Boxes } from './plugins/boxes.ts';
import { openRecords, type Records } from './records.ts';
import { restartPolicy, runOf } from './run.ts';
import { Sightings, type Found } from './sightings.ts';
import { removeVolumes, retainedVolumes, volumesFor, type Mount } from './volumes.ts';
import { followEvents } from './watch.ts';

const TRAITS: TargetTraits = {
  type: 'docker',
  deadlinesMs: {
    provision: limits.PROVISION_DEADLINE_MS,
    start: limits.START_DEADLINE_MS,
    stop: limits.STOP_DEADLINE_MS,
    sleep: limits.STOP_DEADLINE_MS,
    restart: limits.RESTART_DEADLINE_MS,
    update: limits.UPDATE_DEADLINE_MS,
    destroy: limits.DESTROY_DEADLINE_MS,
    'install-plugin': limits.PLUGIN_DEADLINE_MS,
    'uninstall-plugin': limits.PLUGIN_DEADLINE_MS,
  },
  graceMs: limits.OPERATION_GRACE_MS,
  maxInFlight: limits.MAX_IN_FLIGHT,
  sweepEveryMs: limits.SWEEP_EVERY_MS,
  sweepDeadlineMs: limits.SWEEP_DEADLINE_MS,
  abilities: ['logs', 'watch', 'exec', 'stats', 'health', 'volumes', 'plugins', 'restarts'],
};

/** What a container can do beside the verbs. */
export interface DockerTarget extends Target {
  readonly exec: ExecAbility;
  readonly stats: StatsAbility;
  readonly volumes: VolumesAbility;
}

export interface DockerTargetOptions {
  readonly deployment: string;
  readonly dataDir: string;
  readonly name: string;
}

export function openDockerTarget(engine: Engine, options: DockerTargetOptions): DockerTarget {
  return new EngineTarget(engine, options);
}

class EngineTarget implements DockerTarget {
  readonly traits = TRAITS;
  readonly volumes: VolumesAbility;
  readonly plugins: PluginAbility;
  readonly #engine: Engine;
  readonly #scope: Scope;
  readonly #records: Records;
  readonly #sightings: Sightings;
  readonly #changes: Changes;
  readonly #notices: Notices;
  readonly #imageFor: ImageFor;
  readonly #locks: Locks = createLocks();
  readonly #boxes: Boxes;
  readonly #watchers = new Set<(notice: TargetNotice) => void>();
  readonly #closing = new AbortController();
  #following: AbortController | null = null;

  constructor(engine: Engine, { deployment, dataDir, name }: DockerTargetOptions) {
    this.#engine = engine;
    this.#scope = { deployment, target: name };
    this.#records = openRecords(dataDir, name);
    this.volumes = retainedVolumes(engine, this.#scope);
    this.#boxes = openBoxes(engine, this.#scope, this.#locks);
    this.plugins = this.#boxes.ability;
    this.#sightings = new Sightings(engine, this.#scope);
    this.#changes = createChanges(engine, this.#scope, this.#sightings);
    const tell = (notice: TargetNotice): void => this.#watchers.forEach((watcher) => watcher(notice));
    this.#imageFor = openImages(engine, this.#records, (fleet, image, digest) =>
      tell({ kind: 'image-resolved', fleet, image, digest }),
    );
    this.#notices = new Notices(engine, this.#sightings, tell, this.#closing.signal);
  }

  list(signal: AbortSignal): Promise<Listing> {
    return this.#sightings.list(signal);
  }

  async inspect(subject: Subject, signal: AbortSignal): Promise<Look> {
    return (await this.#sightings.find(subject.uid, signal))?.look ?? MISSING;
  }

  provision(subject: Subject, how: { unstarted: boolean }, signal: AbortSignal): Promise<Look> {
    return this.#locks.hold(subject.uid, signal, async () => {
      const found = await this.#sightings.find(subject.uid, signal);
      if (found === null) return this.#create(subject, how.unstarted, signal);
      // What runs is its own earlier try or another generation of it: never disrupted here, its infra hash tells.
      if (found.look.state !== 'stopped') return found.look;
      if (found.look.infra !== subject.infraHash) return this.#replace(found, subject, how.unstarted, signal);
      return how.unstarted ? found.look : this.#begin(found, subject, signal);
    });
  }

  start(subject: Subject, signal: AbortSignal): Promise<Look> {
    return this.#locks.hold(subject.uid, signal, async () => {
      const found = await this.#existing(subject, 'start', signal);
      return found.look.state === 'stopped' ? this.#begin(found, subject, signal) : found.look;
    });
  }

  stop(subject: Subject, signal: AbortSignal): Promise<Look> {
    return this.#locks.hold(subject.uid, signal, async () => {
      const found = await this.#sightings.find(subject.uid, signal);
      if (found === null) return MISSING;
      return this.#notices.during(subject.uid, async () => {
        for (const id of this.#all(found)) await this.#end(id, subject, signal);
        const { look } = await this.#settled(found.info.Id, subject, signal);
        if (look.state !== 'stopped')
          throw conflict('still-running', `${subject.instance} was stopped, and is ${look.state} again`, look);
        return look;
      });
    });
  }

  update(subject: Subject, how: { unstarted: boolean }, signal: AbortSignal): Promise<Look> {
    return this.#locks.hold(subject.uid, signal, async () =>
      this.#replace(await this.#existing(subject, 'update', signal), subject, how.unstarted, signal),
    );
  }

  destroy(subject: Subject, how: { data: 'keep' | 'delete' }, signal: AbortSignal): Promise<Look> {
    const { uid } = subject;
    return this.#locks.hold(uid, signal, () =>
      this.#notices.during(uid, async () => {
        for (const id of await this.#sightings.every(uid, signal)) {
          await this.#end(id, subject, signal);
          await this.#remove(id, how.data === 'delete', signal);
        }
        await this.#boxes.release(subject, signal);
        if (how.data === 'delete') await removeVolumes(this.#engine, this.#scope, this.#records, subject, signal);
        const [left] = await this.#sightings.every(uid, signal);
        if (left !== undefined)
          throw conflict(
            'still-there',
            `container ${left} of ${subject.instance} came to be while it was destroyed`,
            null,
          );
        this.#records.remove(uid);
        return MISSING;
      }),
    );
  }

  readonly watch: WatchAbility = (deployment, tell) => {
    if (deployment !== this.#scope.deployment) return () => undefined;
    this.#watchers.add(tell);
    this.#follow();
    return () => {
      this.#watchers.delete(tell);
      if (this.#watchers.size === 0) this.#unfollow();
    };
  };

  readonly logs: LogsAbility = (subject, ask, signal) =>
    this.#logs(subject, ask, AbortSignal.any([signal, this.#closing.signal]));

  readonly health: HealthAbility = async (subject, signal) => {
    const said = verdict((await this.#running(subject, 'ask for the health of', signal)).info);
    // No verdict is not a bad one: nothing is restarted for a slip of the manifest.
    if (said === null) throw noHealthcheck(subject);
    return said;
  };

  readonly exec: ExecAbility = async (subject, command, signal) =>
    execute(this.#engine, (await this.#running(subject, 'run a command in', signal)).info.Id, command, signal);

  readonly stats: StatsAbility = async (subject, signal) =>
    usage(this.#engine, (await this.#running(subject, 'measure', signal)).info.Id, signal);

  close(): Promise<void> {
    this.#unfollow();
    this.#watchers.clear();
    this.#closing.abort();
    return Promise.resolve();
  }

  // ── steps ─────────────────────────────────────────────────────────────────────────────────────────────────────────

  async #create(subject: Subject, unstarted: boolean, signal: AbortSignal): Promise<Look> {
    const image = await this.#image(subject, signal);
    const mounts = await this.#mounts(subject, image, [], signal);
    return this.#notices.during(subject.uid, async () => {
      const policy = unstarted ? 'no' : restartPolicy(subject.spec);
      const id = await this.#changes.make(subject, containerName(this.#scope, subject), image, mounts, policy, signal);
      if (!unstarted) await this.#changes.beginFirst(id, subject, signal);
      return (await this.#settled(id, subject, signal)).look;
    });
  }

  /** With a check where the spec goes by one: without, it would be taken for silent and restarted again and again. */
  async #image(subject: Subject, signal: AbortSignal): Promise<Image> {
    const image = await this.#imageFor(subject, signal);
    const run = runOf(subject.spec);
    if (subject.spec.health?.http !== null || run.healthcheck !== undefined || image.checksHealth) return image;
    throw noHealthcheck(subject);
  }

  async #mounts(
    subject: Subject,
    image: Image,
    held: readonly string[],
    signal: AbortSignal,
  ): Promise<readonly Mount[]> {
    const data = await volumesFor(this.#engine, this.#scope, this.#records, subject, image, held, signal);
    return [...data, ...(await this.#boxes.mounts(subject, signal))];
  }

  async #begin(found: Found, subject: Subject, signal: AbortSignal): Promise<Look> {
    return this.#notices.during(subject.uid, async () => {
      // What is in it comes back by itself; a start must not fail for want of it.
      await this.#boxes.mounts(subject, signal);
      await this.#changes.begin(found, subject, signal);
      return (await this.#settled(found.info.Id, subject, signal)).look;
    });
  }

  /** Another container in place of this one, on the same volumes. */
  async #replace(old: Found, subject: Subject, unstarted: boolean, signal: AbortSignal): Promise<Look> {
    const { uid } = subject;
    const held = old.info.Mounts.flatMap(({ Type, Name }) =>
      Type === 'volume' && Name !== undefined && !this.#boxes.isBox(subject, Name) ? [Name] : [],
    );
    const image = await this.#image(subject, signal);
    const mounts = await this.#mounts(subject, image, held, signal);
    const isNext = old.info.Name === `/${nextName(this.#scope, subject)}`;
    const name = isNext ? containerName(this.#scope, subject) : nextName(this.#scope, subject);
    return this.#notices.during(uid, async () => {
      const next = await this.#changes.make(subject, name, image, mounts, 'no', signal);
      try {
        await this.#keepLog(uid, old.info.Id, signal);
        for (const id of this.#all(old)) if (id !== next) await this.#end(id, subject, signal);
      } catch (error) {
        // The old one is still there and stays; what was prepared goes, if it can. A later update would remove it, too.
        await this.#changes
          .remove(next, { volumes: false }, AbortSignal.timeout(limits.CALL_MS))
          .catch(() => undefined);
        throw error;
      }
      for (const id of await this.#sightings.every(uid, signal)) if (id !== next) await this.#remove(id, false, signal);
      if (!isNext) await this.#changes.rename(next, containerName(this.#scope, subject), signal);
      const made = await this.#settled(next, subject, signal);
      return unstarted ? made.look : this.#begin(made, subject, signal);
    });
  }

  async #existing(subject: Subject, verb: string, signal: AbortSignal, how: { peek?: boolean } = {}): Promise<Found> {
    const found = await this.#sightings.find(subject.uid, signal, how);
    if (found) return found;
    const { fleet, instance, uid } = subject;
    throw conflict(
      'missing',
      `cannot ${verb} ${fleet}/${instance} (${uid}): it has no container on the engine at ${this.#engine.address}`,
      MISSING,
    );
  }

  /** Its container, which runs: of another, the engine measures zeros, and what is asleep is not woken for a look. */
  async #running(subject: Subject, verb: string, signal: AbortSignal): Promise<Found> {
    const found = await this.#existing(subject, verb, signal, { peek: true });
    const { info, look } = found;
    if (look.state === 'running') return found;
    const { fleet, instance } = subject;
    throw conflict('not-running', `cannot ${verb} ${fleet}/${instance}: its container is ${info.State.Status}`, look);
  }

  async #settled(id: string, subject: Subject, signal: AbortSignal): Promise<Found> {
    const found = await this.#sightings.look(id, signal);
    if (found) return found;
    throw conflict(
      'missing',
      `container ${id.slice(0, 12)} of ${subject.instance} was removed in the midst of a change`,
      MISSING,
    );
  }

  /** Every container of its uid: copies must not run on when it is stopped. */
  #all({ info, look }: Found): readonly string[] {
    const doubles = look.attrs['doubles'];
    return [info.Id, ...(Array.isArray(doubles) ? doubles.map(String) : [])];
  }

  async #end(id: string, subject: Subject, signal: AbortSignal): Promise<void> {
    const info = await this.#sightings.inspect(id, signal);
    if (info) await this.#changes.end(info, subject, signal);
  }

  async #remove(id: string, volumes: boolean, signal: AbortSignal): Promise<void> {
    this.#notices.removed(id);
    try {
      await this.#changes.remove(id, { volumes }, signal);
    } catch (error) {
      this.#notices.kept(id);
      throw error;
    }
    this.#sightings.forget(id);
  }

  /** The last output of what goes, for `logs --previous`. An update does not fail for want of it. */
  async #keepLog(uid: string, id: string, signal: AbortSignal): Promise<void> {
    try {
      this.#records.keepLog(
        uid,
        await collect(output(this.#engine, id, { tail: limits.KEPT_LOG_LINES }, signal), limits.KEPT_LOG_BYTES),
      );
    } catch (error) {
      if (signal.aborted) throw error;
    }
  }

  async *#logs(
    subject: Subject,
    ask: { follow: boolean; tail: number; previous: boolean },
    signal: AbortSignal,
  ): AsyncGenerator<Uint8Array, void> {
    const find = async (within: AbortSignal): Promise<Found['info'] | null> =>
      (await this.#sightings.find(subject.uid, within, { peek: true }))?.info ?? null;
    if (!ask.previous) {
      yield* lifeOutput(this.#engine, find, ask, signal);
      return;
    }
    const info = await find(signal);
    const earlier = info === null ? Buffer.alloc(0) : await earlierOutput(this.#engine, info, ask.tail, signal);
    if (earlier.length > 0) yield earlier;
    else yield lastLines(this.#records.keptLog(subject.uid) ?? Buffer.alloc(0), ask.tail);
  }

  #follow(): void {
    if (this.#following || this.#closing.signal.aborted) return;
    this.#following = new AbortController();
    const notices = this.#notices;
    const tell = { event: notices.heard.bind(notices), lookAgain: notices.lookAgain.bind(notices) };
    void followEvents(this.#engine, this.#scope, tell, this.#following.signal);
  }

  #unfollow(): void {
    this.#following?.abort();
    this.#following = null;
  }
}

const noHealthcheck = ({ fleet, instance, spec }: Subject): Error =>
  terminal(
    'healthcheck-missing',
    `${fleet}/${instance} is declared with health: { engine: true }, and its container has no health check: neither image ${runOf(spec).image} nor run.healthcheck has one; say run.healthcheck, or health: { http: … }`,
  );

function lastLines(bytes: Uint8Array, lines: number): Uint8Array {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  let from = text.length - 1;
  for (let left = lines; left > 0 && from > 0; left -= 1) from = text.lastIndexOf(0x0a, from - 1);
  return lines <= 0 ? Buffer.alloc(0) : text.subarray(Math.max(0, from + 1));
}
