/**
 * The process target: agents as processes of this host (DESIGN §12). The verbs of the port, by records and lives.
 *
 * Promises beyond the port's:
 *  - What runs, runs on: an agent needs nothing of ours, and is found again by pid and start time, or by its mark.
 *  - The end of an own child is told at once, that of an adopted one within `ADOPTED_POLL_MS`.
 *  - A verb holds its instance; a listing never waits for a verb.
 *  - A start uses the spec it is given. The environment is not kept (secrets), so "what exists" cannot be started again
 *    in any other way; the infra hash then says what really runs.
 */
import { rmSync } from 'node:fs';
import { wordsOf } from '../../core/error-words.ts';
import type { JsonObject, Look } from '../../core/model.ts';
import type {
  Listing,
  LogsAbility,
  PluginAbility,
  Subject,
  Target,
  TargetNotice,
  TargetTraits,
  WatchAbility,
} from '../../ports/target.ts';
import { ownChild } from './children.ts';
import { conflict, errnoOf, hostFault, hostWork } from './failure.ts';
import { hostIdentity } from './identity.ts';
import * as limits from './limits.ts';
import { Lives, type Settled } from './lives.ts';
import { createLocks, type Locks } from '../locks.ts';
import { pluginBox } from '../plugin-box.ts';
import { cutLog, readLog } from './logs.ts';
import { lookOf, MISSING } from './looks.ts';
import { openBoxes, type BoxDrives } from './plugins.ts';
import { openRecords, type ProcessRecord, type RecordName, type Records } from './records.ts';
import { runOf } from './run.ts';
import { agentEnvironment, commandProblem } from './spawn.ts';
import { openProcessTable, type MarkedProcess, type ProcessTable } from './table.ts';

export interface ProcessTargetOptions {
  readonly deployment: string;
  readonly dataDir: string;
  readonly name: string;
  /** For tests; chosen by what the host has. */
  readonly table?: ProcessTable;
}

const STOP_MS = limits.STOP_DEADLINE_MS;
const RESTART_MS = limits.STOP_DEADLINE_MS + limits.START_DEADLINE_MS;

const TRAITS: TargetTraits = {
  type: 'process',
  deadlinesMs: {
    provision: limits.START_DEADLINE_MS,
    start: limits.START_DEADLINE_MS,
    stop: STOP_MS,
    sleep: STOP_MS,
    destroy: STOP_MS,
    restart: RESTART_MS,
    update: RESTART_MS,
    'install-plugin': limits.PLUGIN_DEADLINE_MS,
    'uninstall-plugin': limits.PLUGIN_DEADLINE_MS,
  },
  graceMs: limits.OPERATION_GRACE_MS,
  maxInFlight: limits.MAX_IN_FLIGHT,
  sweepEveryMs: limits.SWEEP_EVERY_MS,
  sweepDeadlineMs: limits.SWEEP_DEADLINE_MS,
  abilities: ['logs', 'watch', 'plugins'],
};

export function openProcessTarget(options: ProcessTargetOptions): Target {
  return new ProcessTarget(options);
}

class ProcessTarget implements Target {
  readonly traits = TRAITS;
  readonly #deployment: string;
  readonly #name: string;
  readonly #identity: string;
  readonly #table: ProcessTable;
  readonly #records: Records;
  readonly #lives: Lives;
  readonly #locks: Locks = createLocks();
  readonly #boxes: BoxDrives = openBoxes();
  readonly #watchers = new Set<(notice: TargetNotice) => void>();
  /** Lives that are not our children, by uid: only a poll tells of their end. */
  readonly #adopted = new Map<string, { readonly name: RecordName; readonly pid: number }>();
  readonly #closing = new AbortController();
  #poll: NodeJS.Timeout | null = null;
  #logsCheckedAt = 0;

  constructor(options: ProcessTargetOptions) {
    this.#deployment = options.deployment;
    this.#name = options.name;
    this.#identity = hostIdentity(options.dataDir);
    this.#table = options.table ?? openProcessTable();
    this.#records = openRecords(options.dataDir, options.name, options.deployment);
    this.#lives = new Lives({
      deployment: this.#deployment,
      target: this.#name,
      records: this.#records,
      table: this.#table,
      ended: (record) => {
        this.#adopted.delete(record.uid);
        this.#tell({ kind: 'changed', fleet: record.fleet, uid: record.uid, look: lookOf(record) });
      },
    });
  }

  async list(signal: AbortSignal): Promise<Listing> {
    const marked = new Map<string, MarkedProcess[]>();
    for (const found of await this.#table.marked(this.#deployment, signal)) {
      if (found.mark.target !== this.#name) continue;
      const same = marked.get(found.mark.uid);
      if (same) same.push(found);
      else marked.set(found.mark.uid, [found]);
    }
    const records = this.#records.all();
    const unmarked = records.flatMap(({ uid, life }) =>
      life?.state === 'running' && !marked.get(uid)?.some(({ pid }) => pid === life.pid) ? [life.pid] : [],
    );
    const seen = await this.#table.look(unmarked, signal);
    const items: { fleet: string; instance: string; uid: string; look: Look }[] = [];
    for (const record of records) {
      const settled = await this.#settle(record, record, marked.get(record.uid) ?? [], seen, signal);
      marked.delete(record.uid);
      if (settled) items.push({ ...nameOf(record), look: this.#look(settled) });
    }
    // Whose record is gone but whose process runs: the process speaks for itself.
    for (const [first, ...others] of marked.values()) {
      if (first === undefined) continue;
      const settled = await this.#settle(nameOf(first.mark), null, [first, ...others], seen, signal);
      if (settled) items.push({ ...nameOf(first.mark), look: this.#look(settled) });
    }
    this.#cutLogs(records);
    return { identity: this.#identity, items };
  }

  async inspect(subject: Subject, signal: AbortSignal): Promise<Look> {
    const settled = await this.#find(subject, signal);
    return settled ? this.#look(settled) : MISSING;
  }

  provision(subject: Subject, how: { unstarted: boolean }, signal: AbortSignal): Promise<Look> {
    return this.#locks.hold(subject.uid, signal, async () => {
      const found = await this.#find(subject, signal);
      // What runs is its own earlier try or another generation of it: never disrupted here, its infra hash tells.
      if (found?.record.life?.state === 'running') return this.#look(found);
      const record = declared(subject, found?.record ?? this.#blank(subject));
      signal.throwIfAborted();
      this.#records.put(record);
      return how.unstarted ? lookOf(record) : this.#begin(record, subject, found?.clear ?? false, signal);
    });
  }

  start(subject: Subject, signal: AbortSignal): Promise<Look> {
    return this.#locks.hold(subject.uid, signal, async () => {
      const found = await this.#existing(subject, 'start', signal);
      if (found.record.life?.state === 'running') return this.#look(found);
      return this.#begin(found.record, subject, found.clear, signal);
    });
  }

  stop(subject: Subject, signal: AbortSignal): Promise<Look> {
    return this.#locks.hold(subject.uid, signal, async () => {
      const found = await this.#find(subject, signal);
      if (!found) return MISSING;
      return lookOf(await this.#lives.end(found.record, runOf(subject.spec), signal));
    });
  }

  update(subject: Subject, how: { unstarted: boolean }, signal: AbortSignal): Promise<Look> {
    return this.#locks.hold(subject.uid, signal, async () => {
      const found = await this.#existing(subject, 'update', signal);
      // A command that cannot be started is no reason to stop the one that runs.
      this.#refuseBadCommand(subject);
      const ended = await this.#lives.end(found.record, runOf(subject.spec), signal);
      const record = declared(subject, ended);
      this.#records.put(record);
      return how.unstarted ? lookOf(record) : this.#begin(record, subject, true, signal);
    });
  }

  destroy(subject: Subject, how: { data: 'keep' | 'delete' }, signal: AbortSignal): Promise<Look> {
    return this.#locks.hold(subject.uid, signal, async () => {
      const found = await this.#find(subject, signal);
      if (found) await this.#lives.end(found.record, runOf(subject.spec), signal);
      else await this.#lives.endMarked(subject.uid, signal);
      this.#records.remove(subject);
      this.#adopted.delete(subject.uid);
      const { plugins } = this.#records.files(subject);
      hostWork(`remove the plugins ${plugins}`, () => this.#boxes.remove(plugins));
      if (how.data === 'delete') this.#removeLogs(subject);
      const left = await this.#find(subject, signal);
      if (left)
        throw conflict('still-there', `process ${subject.uid} came back while it was destroyed`, this.#look(left));
      return MISSING;
    });
  }

  readonly plugins: PluginAbility = pluginBox(limits.PLUGIN_LOOK_EVERY_MS, (subject, signal, work) =>
    this.#locks.hold(`plugins ${subject.uid}`, signal, () =>
      work(this.#boxes.drive(this.#records.files(subject).plugins)),
    ),
  );

  readonly watch: WatchAbility = (deployment, tell) => {
    if (deployment !== this.#deployment) return () => undefined;
    this.#watchers.add(tell);
    this.#poll ??= setInterval(() => this.#askAdopted(), limits.ADOPTED_POLL_MS).unref();
    return () => {
      this.#watchers.delete(tell);
      if (this.#watchers.size === 0) this.#stopPolling();
    };
  };

  readonly logs: LogsAbility = (subject, ask, signal) => {
    const files = this.#records.files(subject);
    const path = ask.previous ? files.previousLog : files.log;
    const follow = ask.follow && !ask.previous;
    return readLog(path, { follow, tail: ask.tail }, AbortSignal.any([signal, this.#closing.signal]));
  };

  close(): Promise<void> {
    this.#lives.close();
    this.#closing.abort();
    this.#watchers.clear();
    this.#stopPolling();
    return Promise.resolve();
  }

  async #find(name: RecordName, signal: AbortSignal): Promise<Settled | null> {
    const marked = await this.#table.marked(this.#deployment, signal, name.uid);
    const ours = marked.filter(({ mark }) => mark.target === this.#name);
    return this.#settle(name, this.#records.get(name), ours, new Map(), signal, true);
  }

  /**
   * `locked`: by the verb that asks. Otherwise, while a verb holds the instance, what is half done is told as it is and
   * not meddled with.
   */
  async #settle(
    name: RecordName,
    record: ProcessRecord | null,
    marked: readonly MarkedProcess[],
    seen: Parameters<Lives['settle']>[2],
    signal: AbortSignal,
    locked = false,
  ): Promise<Settled | null> {
    if (!locked && this.#locks.held(name.uid) && record?.life?.state !== 'running') {
      return record ? { record, doubles: [], clear: false } : null;
    }
    const settled = await this.#lives.settle(record, marked, seen, signal);
    const life = settled?.record.life;
    if (life?.state === 'running' && !ownChild(life.pid))
      this.#adopted.set(name.uid, { name: nameOf(name), pid: life.pid });
    else this.#adopted.delete(name.uid);
    return settled;
  }

  async #existing(subject: Subject, verb: string, signal: AbortSignal): Promise<Settled> {
    const found = await this.#find(subject, signal);
    if (found) return found;
    const which = `${subject.fleet}/${subject.instance} (${subject.uid})`;
    throw conflict('missing', `cannot ${verb} ${which}: its record is gone from target "${this.#name}"`, MISSING);
  }

  /** `clear`: it was just seen that nothing carries the mark of this uid. */
  async #begin(record: ProcessRecord, subject: Subject, clear: boolean, signal: AbortSignal): Promise<Look> {
    if (!clear) await this.#lives.endMarked(subject.uid, signal);
    const HOLDFAST_PLUGINS = this.#boxes.pathFor(this.#records.files(subject).plugins);
    const told = { ...subject, env: { ...subject.env, HOLDFAST_PLUGINS } };
    return lookOf(await this.#lives.begin(record, told, runOf(subject.spec), signal));
  }

  #blank(subject: Subject): ProcessRecord {
    const { generation, infraHash: infra } = subject;
    const log = this.#records.files(subject).log;
    return { v: 1, deployment: this.#deployment, ...nameOf(subject), generation, infra, ports: [], log, life: null };
  }

  #refuseBadCommand(subject: Subject): void {
    const run = runOf(subject.spec);
    const { uid, fleet, instance, generation, infraHash: infra } = subject;
    const mark = { deployment: this.#deployment, target: this.#name, fleet, instance, uid, life: 0, generation, infra };
    const problem = commandProblem(run, agentEnvironment(subject, run, mark));
    if (problem) throw problem;
  }

  #look({ record, doubles }: Settled): Look {
    const look = lookOf(record);
    return doubles.length === 0 ? look : { ...look, attrs: { ...look.attrs, doubles } };
  }

  #tell(notice: TargetNotice): void {
    for (const tell of this.#watchers) tell(notice);
  }

  /** `kill 0` costs 1 µs; a zombie nobody reaps answers it and is left to the sweep. */
  #askAdopted(): void {
    for (const [uid, { name, pid }] of this.#adopted) {
      try {
        process.kill(pid, 0);
      } catch (error) {
        if (errnoOf(error) !== 'ESRCH') continue;
        this.#adopted.delete(uid);
        this.#find(name, this.#closing.signal).catch((problem: unknown) => {
          this.#tell({
            kind: 'look-again',
            reason: `process ${pid} is gone, and looking closer failed: ${wordsOf(problem)}`,
          });
        });
      }
    }
  }

  #stopPolling(): void {
    if (this.#poll) clearInterval(this.#poll);
    this.#poll = null;
  }

  #cutLogs(records: readonly ProcessRecord[]): void {
    const now = performance.now();
    if (now - this.#logsCheckedAt < limits.LOG_CHECK_EVERY_MS) return;
    this.#logsCheckedAt = now;
    for (const { life, log } of records) if (life?.state === 'running') cutLog(log);
  }

  #removeLogs(name: RecordName): void {
    const { log, previousLog } = this.#records.files(name);
    for (const file of [log, previousLog]) hostWork(`remove the log ${file}`, () => rmSync(file, { force: true }));
  }
}

/** The record as its declaration wants it; what is known of its lives stays. */
function declared(subject: Subject, record: ProcessRecord): ProcessRecord {
  return { ...record, generation: subject.generation, infra: subject.infraHash, ports: runOf(subject.spec).ports };
}

function nameOf({ fleet, instance, uid }: RecordName): RecordName {
  return { fleet, instance, uid };
}

/** A target of this type has no settings of its own. */
export function refuseSettings(settings: JsonObject, name: string): void {
  const unknown = Object.keys(settings).filter((key) => key !== 'type');
  if (unknown.length > 0) {
    throw hostFault(
      'unknown-setting',
      `target "${name}": a process target has no settings, but was given ${unknown.join(', ')}`,
    );
  }
}
