/**
 * One owned fleet, put together: its loop, its effects, its watches. This is the whole circle of the design in one file:
 * facts come in through `loop.report`, decisions come out through `committed`, and become effects whose results are facts.
 *
 *  1. Once it ends, or is lost to another owner, it begins nothing more, even what a last tick still decides.
 *  2. Whoever listens is told of its end, too: nobody waits for a fleet that will never speak again.
 */
import type { NewEvent, StoredEvent } from '../core/events.ts';
import { withSecrets } from '../core/manifest/references.ts';
import type { Instance, JsonObject } from '../core/model.ts';
import type { Clock } from '../ports/clock.ts';
import type { Store } from '../ports/store.ts';
import type { Subject } from '../ports/target.ts';
import { Effects } from './effects.ts';
import type { Beat } from './beats.ts';
import { LivenessWatch, type Probe } from './liveness.ts';
import type { Log } from './log.ts';
import { FleetLoop, type TickReport } from './loop.ts';
import type { Targets } from './targets.ts';

export interface FleetWorld {
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Log;
  readonly targets: Targets;
  readonly probe: Probe;
  /** What the runtime adds to an agent's environment. */
  env(fleet: string, inst: Instance): { readonly [name: string]: string };
  /** When it was last heard, in fleet time, as far as it was written down before our time. */
  lastSeen?(uid: string): number | null;
  /** Is a request open for it that the log may not know of yet? */
  isVisited(uid: string): boolean;
  /** Called after each committed tick, for metrics and checks. Must not throw. */
  ticked(fleet: Fleet, report: TickReport): void;
  lost(fleet: string, reason: string): void;
  /** The fleet is no more, its log included. */
  dropped?(fleet: string): void;
}

export class Fleet {
  readonly name: string;
  readonly loop: FleetLoop;
  readonly effects: Effects;
  private readonly world: FleetWorld;
  private watch: LivenessWatch | null = null;
  private readonly listeners = new Set<(events: readonly StoredEvent[]) => void>();
  private over = false;

  constructor(name: string, world: FleetWorld) {
    this.name = name;
    this.world = world;
    this.loop = new FleetLoop(name, {
      store: world.store,
      clock: world.clock,
      log: world.log,
      committed: (report) => this.committed(report),
      lost: (reason) => {
        this.over = true;
        this.effects.abortAll();
        world.lost(name, reason);
      },
    });
    this.effects = new Effects({
      clock: world.clock,
      target: (target) => world.targets.get(target),
      subject: (inst) => subjectOf(name, inst, world.env(name, inst)),
      workIsPending: (uid) => this.workIsPending(uid),
      probe: (inst, signal) => world.probe(inst, signal),
      report: (fact) => this.report(fact),
    });
  }

  get liveness(): LivenessWatch | null {
    return this.watch;
  }

  /** Its last heartbeat; of one that came before our time, only when that was. */
  lastBeat(uid: string): { readonly at: number; readonly beat: Beat } | null {
    const heard = this.watch?.last(uid) ?? null;
    if (heard !== null) return heard;
    const at = this.world.lastSeen?.(uid) ?? null;
    return at === null ? null : { at, beat: {} };
  }

  async start(epoch: number, owner: string): Promise<void> {
    await this.loop.start(epoch, owner);
    this.watch = new LivenessWatch(this.loop, this.world.clock, this.world.probe);
    this.attend();
  }

  /** It has ended, or is ours no more: nothing is folded or done by it any longer. */
  get ended(): boolean {
    return this.over;
  }

  /** Ends looking and acting. What runs, runs on. */
  async stop(): Promise<void> {
    this.over = true;
    this.watch?.stop();
    this.effects.abortAll();
    for (const observer of this.world.targets.all()) observer.leave(this.loop);
    await this.loop.stop();
    this.tell([]);
  }

  subject(inst: Instance): Subject {
    return subjectOf(this.name, inst, this.world.env(this.name, inst));
  }

  /** Told of every event, in order, once it is folded; and of nothing, once it has `ended`. Returns how to stop being told. */
  listen(listener: (events: readonly StoredEvent[]) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  private report(fact: NewEvent): void {
    // Refused only at our end: what ends after us, the next owner sees for itself.
    this.loop.report(() => [fact], true);
  }

  private committed(report: TickReport): void {
    if (!this.over) {
      this.act(report.events);
      this.attend();
    }
    for (const violation of report.violations) {
      this.world.log.error(
        { fleet: this.name, ...violation },
        'an invariant does not hold; this is a fault of Holdfast',
      );
    }
    this.tell(report.events);
    this.world.ticked(this, report);
  }

  private act(events: readonly StoredEvent[]): void {
    for (const event of events) {
      if (event.type !== 'tick.decided') continue;
      for (const action of event.data.actions) this.effects.carryOut(this.loop.state.instances.get(action.uid), action);
    }
  }

  /** A listener that throws harms nobody but itself. */
  private tell(events: readonly StoredEvent[]): void {
    for (const listener of this.listeners) {
      try {
        listener(events);
      } catch (error) {
        this.world.log.error(
          { fleet: this.name, error: messageOf(error) },
          'a listener failed; this is a fault of Holdfast',
        );
      }
    }
  }

  /** Every target that an instance names is watched. */
  private attend(): void {
    for (const name of this.loop.state.targets.keys()) {
      if (name === 'external') continue;
      try {
        const observer = this.world.targets.observer(name);
        if (observer !== null) observer.serve(this.loop);
        else
          this.noTarget(
            name,
            `no target is called "${name}"; declare it in holdfast.yaml, or delete its instances with --forget`,
          );
      } catch (error) {
        this.noTarget(name, `target "${name}" cannot be used as holdfast.yaml declares it: ${messageOf(error)}`);
      }
    }
  }

  private noTarget(name: string, message: string): void {
    const known = this.loop.state.targets.get(name);
    if (known === undefined || known.refused !== null) return;
    this.loop.report((state) =>
      state.targets.get(name)?.refused === null
        ? [{ type: 'target.refused', data: { target: name, message, identity: null } }]
        : [],
    );
  }

  private workIsPending(uid: string): boolean {
    const inst = this.loop.state.instances.get(uid);
    if (inst === undefined) return false;
    return (
      this.world.isVisited(uid) ||
      inst.work.open ||
      (inst.agent?.busy ?? false) ||
      inst.wakeSeq > (inst.operation?.seq ?? Number.POSITIVE_INFINITY)
    );
  }
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

function subjectOf(fleet: string, inst: Instance, env: Subject['env']): Subject {
  const { name, uid, generation, hashes } = inst;
  const spec = { ...inst.spec, run: withoutReferences(inst.spec.run) };
  return { fleet, instance: name, uid, generation, spec, infraHash: hashes.infra, configHash: hashes.config, env };
}

/** `$${` in an environment stands for `${`; references to secrets are refused at apply as long as none can be stored. */
function withoutReferences(run: JsonObject): JsonObject {
  return run.env === undefined ? run : { ...run, env: withSecrets(run.env, () => '') };
}
