/**
 * One owned fleet, put together: its loop, its effects, its watches. This is the whole circle of the design in one file:
 * facts come in through `loop.report`, decisions come out through `committed`, and become effects whose results are facts.
 *
 *  1. Once it ends, or is lost to another owner, it begins nothing more, even what a last tick still decides.
 *  2. Whoever listens is told of its end, too: nobody waits for a fleet that will never speak again.
 */
import { wordsOf } from '../core/error-words.ts';
import type { NewEvent, StoredEvent } from '../core/events.ts';
import type { Violation } from '../core/invariants.ts';
import { withSecrets } from '../core/manifest/references.ts';
import type { FleetState, Instance } from '../core/model.ts';
import type { Clock } from '../ports/clock.ts';
import type { PluginSources } from '../ports/plugin-source.ts';
import type { Store } from '../ports/store.ts';
import { TargetError, type Subject } from '../ports/target.ts';
import { logDecisions } from './decision-log.ts';
import { Effects } from './effects.ts';
import type { Beat } from './beats.ts';
import { Episodes } from './episodes.ts';
import { QUARANTINED_SAID } from './limits.ts';
import { LivenessWatch, type Probe } from './liveness.ts';
import type { Log } from './log.ts';
import { FleetLoop, type TickReport } from './loop.ts';
import { PluginWatch } from './plugin-watch.ts';
import { targetProbe } from './probe.ts';
import { SecretError, type Vault } from './secrets/vault.ts';
import { shown } from './secrets/redactor.ts';
import type { Targets } from './targets.ts';

export interface FleetWorld {
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Log;
  readonly targets: Targets;
  readonly probe: Probe;
  readonly vault: Vault;
  readonly plugins: PluginSources;
  /** What the runtime adds to an agent's environment. */
  env(fleet: string, inst: Instance): { readonly [name: string]: string };
  /** When it was last heard, in fleet time, as far as it was written down before our time. */
  lastSeen?(uid: string): number | null;
  /** Is a request open for it that the log may not know of yet? */
  isVisited(uid: string): boolean;
  /** Called after each committed tick, for metrics and checks. Must not throw. */
  ticked(fleet: Fleet, report: TickReport): void;
  /** An invariant was found broken that held before, or not for long. */
  violated?(fleet: string, violation: Violation): void;
  lost(fleet: string, reason: string): void;
  /** The fleet is no more, its log included. */
  dropped?(fleet: string): void;
}

export class Fleet {
  readonly name: string;
  readonly loop: FleetLoop;
  readonly effects: Effects;
  private readonly world: FleetWorld;
  /** Monotonic ms: from then on another may own it. Set by whoever keeps its lease. */
  leasedUntilMono = Number.NEGATIVE_INFINITY;
  /** What stands broken. */
  readonly episodes = new Episodes();
  private watch: LivenessWatch | null = null;
  private pluginWatch: PluginWatch | null = null;
  private readonly listeners = new Set<(events: readonly StoredEvent[]) => void>();
  private over = false;

  constructor(name: string, world: FleetWorld) {
    this.name = name;
    this.world = world;
    this.loop = new FleetLoop(name, {
      store: world.store,
      clock: world.clock,
      log: world.log,
      redacted: (fact) => world.vault.redactor.event(fact),
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
      subject: (inst) => this.subject(inst),
      filled: (inst) => this.filled(inst),
      workIsPending: (uid) => this.workIsPending(uid),
      probe: (inst, signal) => this.probe(inst, signal),
      mayAct: () => !this.over && world.clock.mono() < this.leasedUntilMono,
      plugin: (declared, signal) => world.plugins.fetch({ ...declared, fleet: name }, signal),
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
    await this.world.vault.load(this.name);
    await this.loop.start(epoch, owner);
    this.sayQuarantined();
    await this.tidySecrets();
    this.watch = new LivenessWatch(this.loop, this.world.clock, (inst, signal) => this.probe(inst, signal));
    const { clock, log, plugins: sources, targets } = this.world;
    this.pluginWatch = new PluginWatch(this.loop, {
      clock,
      log,
      sources,
      target: (name) => targets.get(name),
      subject: (inst) => this.subject(inst),
    });
    this.attend();
  }

  /** Who runs on as declared is in no hold that `get` would show, and who was only declared there is in no list at all. */
  private sayQuarantined(): void {
    const { instances, lost } = this.loop.state;
    const held = [...instances.values()].filter(({ quarantinedSeq }) => quarantinedSeq !== null);
    const rows = [...lost, ...held.map(({ name, quarantinedSeq }) => [name, quarantinedSeq] as const)];
    if (rows.length === 0) return;
    this.world.log.warn(
      { fleet: this.name, instances: Object.fromEntries(rows.slice(0, QUARANTINED_SAID)), count: new Map(rows).size },
      'rows of the log cannot be read; whom they concern (instance: seq) is held until "holdfast reconcile"',
    );
  }

  /** To be looked at only: it is over before it begins. */
  async open(now: number): Promise<void> {
    this.over = true;
    await this.loop.open(now);
  }

  /** It has ended, or is ours no more: nothing is folded or done by it any longer. */
  get ended(): boolean {
    return this.over;
  }

  /** Ends looking and acting. What runs, runs on. */
  async stop(): Promise<void> {
    this.over = true;
    this.watch?.stop();
    this.pluginWatch?.stop();
    this.effects.abortAll();
    for (const observer of this.world.targets.all()) observer.leave(this.loop);
    await this.loop.stop();
    this.tell([]);
  }

  /** Old values that are left over only take room: that they cannot be dropped fails nothing else. */
  async tidySecrets(): Promise<void> {
    try {
      await this.world.vault.tidy(this.loop.state);
    } catch (error) {
      this.world.log.warn({ fleet: this.name, error: wordsOf(error) }, 'old secrets could not be dropped; later');
    }
  }

  /** For whoever looks, stops or removes: without the values of secrets. */
  private probe(inst: Instance, signal: AbortSignal): Promise<{ ok: boolean; message: string }> {
    if (inst.spec.health?.http !== null) return this.world.probe(inst, signal);
    return targetProbe(this.world.targets.get(inst.spec.target), this.subject(inst), signal);
  }

  subject(inst: Instance): Subject {
    return subjectOf(this.loop.state, inst, this.world.env(this.name, inst), shown);
  }

  /** For whoever starts it or delivers to it. Throws `TargetError` when a secret cannot be had. Never store, log or answer it. */
  private filled(inst: Instance): Subject {
    return subjectOf(this.loop.state, inst, this.world.env(this.name, inst), (secret) => {
      try {
        return this.secret(secret);
      } catch (error) {
        if (!(error instanceof SecretError)) throw error;
        throw new TargetError({
          class: 'terminal',
          fault: 'instance',
          code: 'secret-unavailable',
          message: error.message,
        });
      }
    });
  }

  /** The value of a secret in the version that is in force. Throws `SecretError`. Never store, log or answer it. */
  secret(name: string): string {
    return this.world.vault.value(this.name, name, this.loop.state.secrets.get(name)?.version ?? 0);
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
    logDecisions(this.world.log, this.loop.state, report.events);
    this.recover(report);
    this.tell(report.events);
    this.world.ticked(this, report);
  }

  /** Says what begins to be broken, once (L50); where there is a stated recovery, a fact begins it, and is in the log. */
  private recover({ violations, checked }: TickReport): void {
    const begun = this.episodes.begun(violations, checked, this.loop.state, this.world.clock.mono());
    for (const violation of begun) {
      this.world.log.error(
        { fleet: this.name, ...violation },
        'an invariant does not hold; this is a fault of Holdfast',
      );
      this.world.violated?.(this.name, violation);
      const { invariant, message, recovery, uid } = violation;
      if (recovery === undefined || uid === undefined) continue;
      // Once per episode, and of those there are only so many: owed a place.
      this.loop.report((state) => {
        const inst = state.instances.get(uid);
        if (inst === undefined) return [];
        return [{ type: 'invariant.broken', instance: inst.name, uid, data: { invariant, message, recovery } }];
      }, true);
    }
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
          { fleet: this.name, error: wordsOf(error) },
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
        this.noTarget(name, `target "${name}" cannot be used as holdfast.yaml declares it: ${wordsOf(error)}`);
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

/** References to secrets become what `secret` says; `$${` becomes `${`. */
function subjectOf(
  { fleet, revision }: FleetState,
  inst: Instance,
  env: Subject['env'],
  secret: (name: string) => string,
): Subject {
  const { name, uid, generation } = inst;
  const { infra: infraHash, config: configHash } = inst.hashes;
  const { run, config } = inst.spec;
  const spec = {
    ...inst.spec,
    run: run['env'] === undefined ? run : { ...run, env: withSecrets(run['env'], secret) },
    config: config && { ...config, value: withSecrets(config.value, secret) },
  };
  return { fleet, instance: name, uid, generation, spec, infraHash, revision, configHash, env };
}
