/**
 * The only place that acts. Carries out committed operations against targets, one promise each, and reports how each ended
 * as a fact.
 *
 *  1. An effect starts only from an action that is in the log.
 *  2. It ends when its operation is aborted (the tick decides when: deadline, stop, delete), or is forgotten when abandoned;
 *     its late result is reported all the same, and `evolve` knows that it is late.
 *  3. No error is swallowed: every outcome is an `operation.ended`.
 *  4. Nothing of the world is touched after the lease has run out. In a process that stood still (SIGSTOP) answers are heard
 *     before the timer that ends the lease rings, so the clock itself is asked before each verb.
 */
import { hasWords, wordsOf } from '../core/error-words.ts';
import type { DecidedAction, EventData, FailureDetail, NewEvent } from '../core/events.ts';
import type { InstalledPlugin, Instance, Look, Operation, PluginSpec } from '../core/model.ts';
import type { Clock } from '../ports/clock.ts';
import type { PluginTree } from '../ports/plugin-source.ts';
import { TargetError, type Subject, type Target } from '../ports/target.ts';
import { withDeadline } from './deadline.ts';
import { INSPECT_MS } from './limits.ts';

export interface EffectsWorld {
  readonly clock: Clock;
  /** The target of that name; throws `TargetError` when there is none any more. */
  target(name: string): Target;
  subject(inst: Instance): Subject;
  /** With the values of its secrets; throws `TargetError` where one cannot be had. */
  filled(inst: Instance): Subject;
  /** Is there work for it that the log does not know yet? Asked at the moment of putting it to sleep (L57, L58). */
  workIsPending(uid: string): boolean;
  probe(inst: Instance, signal: AbortSignal): Promise<{ ok: boolean; message: string }>;
  /** By our own clock, now: is the fleet surely still ours? */
  mayAct(): boolean;
  /** The checked tree of a declared plugin. */
  plugin(declared: PluginSpec, signal: AbortSignal): Promise<PluginTree>;
  report(fact: NewEvent): void;
}

type Ended = EventData['operation.ended'];
type Success = Omit<Ended, 'operation' | 'outcome' | 'error'>;

interface Running {
  readonly controller: AbortController;
  readonly uid: string;
  /** Never rejects. */
  readonly ended: Promise<void>;
}

export class Effects {
  private readonly world: EffectsWorld;
  private readonly running = new Map<string, Running>();

  constructor(world: EffectsWorld) {
    this.world = world;
  }

  get inFlight(): number {
    return this.running.size;
  }

  /** Carries out one committed action. `inst` is as folded with that action. */
  carryOut(inst: Instance | undefined, action: DecidedAction): void {
    switch (action.type) {
      case 'abort':
        if (action.operation !== undefined)
          this.running.get(action.operation)?.controller.abort(action.reason ?? 'superseded');
        return;
      case 'abandon':
        if (action.operation !== undefined) this.running.delete(action.operation);
        return;
      case 'forget':
        this.abortAll((running) => running.uid === action.uid);
        return;
      case 'forgive':
      case 'rollout-proved':
      case 'rollout-failed':
      case 'rollout-left':
        return;
      default:
        if (inst?.operation?.id === action.operation && inst?.operation != null) this.begin(inst, inst.operation);
    }
  }

  /** The owner is about to lose its lease, or ends: nothing of ours may act any more. */
  abortAll(which: (running: Running) => boolean = () => true): void {
    for (const running of this.running.values()) if (which(running)) running.controller.abort('owner');
  }

  /** Resolves when nothing that was begun is at work any more. What was abandoned is waited for no longer. */
  async idle(): Promise<void> {
    while (this.running.size > 0) await Promise.all([...this.running.values()].map(({ ended }) => ended));
  }

  private begin(inst: Instance, operation: Operation): void {
    const controller = new AbortController();
    const { name, uid } = inst;
    if (!this.world.mayAct()) controller.abort('owner');
    const ended = this.outcome(inst, operation, controller.signal).then((data) => {
      this.running.delete(operation.id);
      this.world.report({ type: 'operation.ended', instance: name, uid, data });
    });
    this.running.set(operation.id, { controller, uid, ended });
  }

  private async install(
    target: Target,
    subject: Subject,
    inst: Instance,
    source: string,
    signal: AbortSignal,
  ): Promise<InstalledPlugin> {
    const box = able(target.plugins, 'plugins', inst);
    const declared = inst.spec.plugins.find((plugin) => plugin.source === source);
    if (declared === undefined)
      throw new TargetError({ ...NOT_DECLARED, message: `plugin ${source} is declared no more` });
    const tree = await this.world.plugin(declared, signal);
    try {
      this.goOn(signal);
      return await box.install(subject, tree, signal);
    } finally {
      tree.release();
    }
  }

  /** Between two verbs of one operation. */
  private goOn(signal: AbortSignal): void {
    if (!this.world.mayAct()) this.abortAll();
    signal.throwIfAborted();
  }

  /** Never rejects: a failure is an outcome. */
  private async outcome(inst: Instance, operation: Operation, signal: AbortSignal): Promise<Ended> {
    const { id } = operation;
    try {
      signal.throwIfAborted();
      return { operation: id, outcome: 'succeeded', ...(await this.perform(inst, operation, signal)) };
    } catch (error) {
      const saw = await this.sawAfter(inst, error);
      if (signal.aborted)
        return { operation: id, outcome: signal.reason === 'deadline' ? 'timed-out' : 'aborted', ...saw };
      return { operation: id, outcome: 'failed', error: detailOf(error, operation), ...saw };
    }
  }

  /**
   * A failure says nothing of what took effect: the authority is asked, so that the next decision rests on what is so. Only
   * presence is believed; absence needs its proof by listings.
   */
  private async sawAfter(inst: Instance, error: unknown): Promise<{ saw?: Look }> {
    if (error instanceof TargetError) {
      if (error.saw !== null) return { saw: error.saw };
      if (error.detail.fault === 'target') return {};
    }
    try {
      const target = this.world.target(inst.spec.target);
      const subject = this.world.subject(inst);
      const saw = await withDeadline(this.world.clock, INSPECT_MS, `a look at ${inst.name}`, (signal) =>
        target.inspect(subject, signal),
      );
      return saw.state === 'missing' ? {} : { saw };
    } catch {
      // Not seen either: the next listing tells.
      return {};
    }
  }

  private async perform(inst: Instance, operation: Operation, signal: AbortSignal): Promise<Success> {
    const target = this.world.target(inst.spec.target);
    const { unstarted, kind } = operation;
    const subject = NEEDS_SECRETS.has(kind) ? this.world.filled(inst) : this.world.subject(inst);
    switch (kind) {
      case 'provision':
        return withPlugins(target, subject, inst, await target.provision(subject, { unstarted }, signal), signal);
      case 'start':
        return { saw: await target.start(subject, signal) };
      case 'stop':
        return { saw: await target.stop(subject, signal) };
      case 'sleep':
        if (this.world.workIsPending(inst.uid)) throw new TargetError(BUSY, inst.resource);
        return { saw: await target.stop(subject, signal) };
      case 'restart':
        await target.stop(subject, signal);
        this.goOn(signal);
        return { saw: await target.start(subject, signal) };
      case 'update':
        return withPlugins(target, subject, inst, await target.update(subject, { unstarted }, signal), signal);
      case 'destroy':
        return { saw: await target.destroy(subject, { data: inst.deletion?.data ?? 'keep' }, signal) };
      case 'apply-config':
        return { config: await able(target.config, 'config', inst).apply(subject, signal) };
      case 'persist-config':
        return { config: await able(target.config, 'config', inst).persist(subject, signal) };
      case 'install-plugin':
        return { plugin: await this.install(target, subject, inst, operation.subject ?? '', signal) };
      case 'uninstall-plugin': {
        const source = operation.subject ?? '';
        await able(target.plugins, 'plugins', inst).uninstall(subject, source, signal);
        return { plugin: { source, removed: true } };
      }
      case 'probe':
        return { probe: await this.world.probe(inst, signal) };
    }
  }
}

/** What starts it, or brings it what it reads. To stop or remove something no secret is needed, and none may be missing. */
const NEEDS_SECRETS: ReadonlySet<Operation['kind']> = new Set([
  'provision',
  'start',
  'restart',
  'update',
  'apply-config',
  'persist-config',
]);

/**
 * What was made anew may lack what was installed before: its box is asked at once, so that what is missing goes in before the
 * first start. A box that does not answer is asked again by whoever looks after plugins.
 */
async function withPlugins(
  target: Target,
  subject: Subject,
  inst: Instance,
  saw: Look,
  signal: AbortSignal,
): Promise<Success> {
  if (target.plugins === undefined || (inst.plugins ?? []).length === 0) return { saw };
  try {
    return { saw, plugins: await target.plugins.installed(subject, signal) };
  } catch {
    return { saw };
  }
}

const NOT_DECLARED = { class: 'conflict', fault: 'instance', code: 'not-declared' } as const;

const BUSY: FailureDetail = {
  class: 'conflict',
  fault: 'instance',
  code: 'busy',
  message: 'work arrived as it was about to be put to sleep',
};

function able<A>(ability: A | undefined, name: string, inst: Instance): A {
  if (ability !== undefined) return ability;
  throw new TargetError({
    class: 'terminal',
    fault: 'instance',
    code: 'unsupported',
    message: `target "${inst.spec.target}" (${inst.spec.targetType}) cannot deliver ${name}`,
  });
}

function detailOf(error: unknown, operation: Operation): FailureDetail {
  if (error instanceof TargetError) return worded(error);
  const message = wordsOf(error);
  return {
    class: 'transient',
    fault: 'instance',
    code: 'internal',
    message: `${operation.kind} failed in an unforeseen way: ${message}`,
  };
}

/** A target may fail without words: then its code, and what caused it, are all there is to tell (L43). */
function worded({ detail, cause }: TargetError): FailureDetail {
  const code = hasWords(detail.code) ? detail.code : 'unnamed';
  if (hasWords(detail.message)) return code === detail.code ? detail : { ...detail, code };
  const why = cause == null ? 'without words' : wordsOf(cause);
  return { ...detail, code, message: `it failed with code "${code}": ${why}` };
}
