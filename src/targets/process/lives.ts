/**
 * Lives of agents: how one begins, how one ends, and which process of the host is the life that a record speaks of.
 *
 * Promises, each cited where it is kept:
 *  1. At most one life per uid. Before one begins, everything that carries the uid's mark is looked for: what the record
 *     waits for is adopted (L86), all else, being of an earlier life, is ended. With two candidates the recorded one
 *     stays, else the oldest; the other is shown as `doubles` and ended by the next start, stop or destroy.
 *  2. Only a group leader that no process of the same uid started can be an agent; what it started carries its mark too.
 *  3. A pid is signalled only while its start time is the recorded one, a group only while it is surely ours.
 *  4. When the agent dies, what is left of its process group is killed. What it moved to a session of its own stays until
 *     the next start, stop or destroy.
 */
import { closeSync } from 'node:fs';
import { wordsOf } from '../../core/error-words.ts';
import type { Subject } from '../../ports/target.ts';
import { ownChild, type OwnChild, type RawExit } from './children.ts';
import { errnoOf, hostFault, transient } from './failure.ts';
import { KILL_WAIT_MS } from './limits.ts';
import { logSize, openLog } from './logs.ts';
import { incarnationOf, UNKNOWN_EXIT } from './looks.ts';
import type { Mark } from './mark.ts';
import type { Life, ProcessRecord, RecordName, Records } from './records.ts';
import type { ProcessRun } from './run.ts';
import { agentEnvironment, spawnAgent } from './spawn.ts';
import type { MarkedProcess, ProcessEntry, ProcessTable } from './table.ts';
import { becomesTrue, settlesWithin } from '../wait.ts';

type RunningLife = Life & { readonly state: 'running' };

export interface Settled {
  readonly record: ProcessRecord;
  /** Agents of another life of this uid, which should not be there. */
  readonly doubles: readonly number[];
  /** Nothing at all carried the mark of this uid: there is nothing to be cleared away before a start. */
  readonly clear: boolean;
}

export interface LivesOptions {
  readonly deployment: string;
  readonly target: string;
  readonly records: Records;
  readonly table: ProcessTable;
  /** Told of each end, as soon as it is known and recorded. */
  readonly ended: (record: ProcessRecord) => void;
}

export class Lives {
  readonly #options: LivesOptions;
  /** Own children whose end we listen for. */
  readonly #heard = new WeakSet<OwnChild>();
  #closed = false;

  constructor(options: LivesOptions) {
    this.#options = options;
  }

  /** From now on ends are no longer recorded: another control plane may own the records. */
  close(): void {
    this.#closed = true;
  }

  /** Whether the life runs, as far as our own children and a fresh look can tell. */
  async #alive(life: RunningLife, signal: AbortSignal): Promise<boolean> {
    // Until its end was told to us it is ours, even as a zombie: the exit code is still to come.
    if (ownChild(life.pid)) return true;
    const { table } = this.#options;
    if (life.boot !== table.boot) return false;
    const entry = (await table.look([life.pid], signal)).get(life.pid);
    return entry !== undefined && table.sameStart(entry.start, life.start);
  }

  /**
   * Brings a record and the world together. `record` null: none was found, only what carries the mark can speak.
   * `marked`: what was seen to carry this uid's mark; `seen`: living processes by pid, for those that carry none.
   */
  async settle(
    record: ProcessRecord | null,
    marked: readonly MarkedProcess[],
    seen: ReadonlyMap<number, ProcessEntry>,
    signal: AbortSignal,
  ): Promise<Settled | null> {
    const { table, records } = this.#options;
    const life = record?.life ?? null;
    const agents = agentsAmong(marked);
    const clear = marked.length === 0;
    if (record && life?.state === 'running') {
      const entry = marked.find(({ pid }) => pid === life.pid) ?? seen.get(life.pid);
      const known = life.boot === table.boot && entry !== undefined && table.sameStart(entry.start, life.start);
      if (known || (await this.#alive(life, signal))) {
        this.#hear(record, life);
        const doubles = agents.filter((agent) => agent.pid !== life.pid && agent.mark.life !== life.n);
        return { record, doubles: doubles.map(({ pid }) => pid), clear };
      }
    }
    // An agent of a later life than the record knows of: spawned just before a crash, or since the record was restored.
    const least = life === null ? 1 : life.state === 'spawning' ? life.n : life.n + 1;
    for (const agent of agents) {
      if (agent.mark.life < least) continue;
      const adopted = this.#adopted(record, agent);
      // The sight may be old by now; adopting a dead one would show it as running.
      if (!(await this.#alive(adopted.life, signal))) continue;
      records.put(adopted.record);
      this.#hear(adopted.record, adopted.life);
      const doubles = agents.filter(({ pid, mark }) => pid !== agent.pid && mark.life !== agent.mark.life);
      return { record: adopted.record, doubles: doubles.map(({ pid }) => pid), clear };
    }
    if (record === null) return null;
    if (life?.state === 'running') {
      return { record: await this.#foundDead(record, life, marked, signal), doubles: [], clear };
    }
    if (life?.state === 'spawning') {
      // Nobody carries its mark: it was never spawned, or has ended while nobody looked.
      const ended = { state: 'ended', n: life.n, incarnation: null, exit: UNKNOWN_EXIT } as const;
      const dead: ProcessRecord = { ...record, life: { ...ended, logEnd: logSize(record.log) } };
      records.put(dead);
      return { record: dead, doubles: [], clear };
    }
    return { record, doubles: [], clear };
  }

  /** Begins the next life. The caller has made sure that none runs. */
  async begin(record: ProcessRecord, subject: Subject, run: ProcessRun, signal: AbortSignal): Promise<ProcessRecord> {
    const { deployment, target, records, table } = this.#options;
    const n = (record.life?.n ?? 0) + 1;
    const { fleet, instance, uid, generation, infraHash } = subject;
    const mark: Mark = { deployment, target, fleet, instance, uid, life: n, generation, infra: infraHash };
    const declared = { ...record, generation, infra: infraHash, ports: run.ports };
    signal.throwIfAborted();
    records.put({ ...declared, life: { state: 'spawning', n } });
    let child: OwnChild;
    try {
      const log = openLog(records.files(record));
      try {
        child = await spawnAgent(run, agentEnvironment(subject, run, mark), log.descriptor);
      } catch (error) {
        log.undo();
        throw error;
      } finally {
        closeSync(log.descriptor);
      }
    } catch (error) {
      records.put(record);
      throw error;
    }
    // No abort from here on: it runs, and has to be known. Unknown start: it has ended, and that is about to be told.
    const start = (await table.startOf(child.pid, AbortSignal.timeout(KILL_WAIT_MS)).catch(() => null)) ?? 'unknown';
    const life: RunningLife = { state: 'running', n, pid: child.pid, start, boot: table.boot };
    const running = { ...declared, life };
    records.put(running);
    this.#hear(running, life, child);
    return running;
  }

  /**
   * Ends the life a record speaks of and everything else of its uid: the stop signal to its group, SIGKILL after
   * `stopTimeoutMs`, then whatever is left. Returns the record as it is then.
   */
  async end(record: ProcessRecord, run: ProcessRun, signal: AbortSignal): Promise<ProcessRecord> {
    let now = record;
    const { life } = record;
    if (life?.state === 'running' && (await this.#alive(life, signal))) {
      signal.throwIfAborted();
      signalGroup(life.pid, run.stopSignal);
      signalGroup(life.pid, 'SIGCONT'); // A paused one could not even die of its signal.
      if (!(await this.#diesWithin(life, run.stopTimeoutMs, signal))) {
        signalGroup(life.pid, 'SIGKILL');
        if (!(await this.#diesWithin(life, KILL_WAIT_MS, signal))) {
          throw transient(
            'would-not-die',
            `process ${life.pid} is still there ${KILL_WAIT_MS / 1000} s after SIGKILL; it hangs in the kernel`,
          );
        }
      }
      now = this.#end(record, life, null) ?? record;
      signalGroup(life.pid, 'SIGKILL'); // 4: we have just seen the leader alive, so a group of this id is its own (3).
    }
    await this.endMarked(record.uid, signal);
    return now;
  }

  /** Kills all that carries the mark of this uid, and waits until it is gone (1). */
  async endMarked(uid: string, signal: AbortSignal): Promise<void> {
    const { deployment, target, table } = this.#options;
    let left: readonly MarkedProcess[] = [];
    const gone = await becomesTrue(
      async () => {
        const marked = await table.marked(deployment, signal, uid);
        // Never ourselves: a control plane may have been started from the shell of an agent of its own.
        left = marked.filter(({ pid, mark }) => mark.target === target && pid !== process.pid);
        for (const { pid } of left) sendSignal(pid, 'SIGKILL');
        return left.length === 0;
      },
      table.pollMs,
      KILL_WAIT_MS,
      signal,
    );
    if (gone) return;
    const pids = left.map(({ pid }) => pid).join(', ');
    throw transient(
      'would-not-die',
      `leftovers of the agent are still there ${KILL_WAIT_MS / 1000} s after SIGKILL: pid ${pids}`,
    );
  }

  /** Listens, once, for the end of a life that is an own child. */
  #hear(name: RecordName, life: RunningLife, child: OwnChild | null = ownChild(life.pid)): void {
    if (!child || this.#heard.has(child)) return;
    this.#heard.add(child);
    void child.ended.then((raw) => {
      if (this.#closed) return;
      // 3: the pid was in use until this moment, so a group of this id is what the agent left (4).
      quietly(() => signalGroup(life.pid, 'SIGKILL'));
      quietly(() => this.#end(name, life, raw));
    });
  }

  /** Records the end of a life, once, and tells it; a later but better informed word about the exit is taken. */
  #end(name: RecordName, life: RunningLife, raw: RawExit | null): ProcessRecord | null {
    const { records } = this.#options;
    const record = records.get(name);
    const before = record?.life;
    if (!record || before?.n !== life.n || before.state === 'spawning') return record;
    const vague = before.state === 'ended' && before.exit.code === null && before.exit.signal === null;
    if (before.state === 'ended' && !(vague && raw)) return record;
    const exit = raw ?? UNKNOWN_EXIT;
    const ended: ProcessRecord = {
      ...record,
      life: { state: 'ended', n: life.n, incarnation: incarnationOf(life), exit, logEnd: logSize(record.log) },
    };
    try {
      records.put(ended);
    } finally {
      this.#options.ended(ended); // A full disk must not hide a death.
    }
    return ended;
  }

  async #foundDead(
    record: ProcessRecord,
    life: RunningLife,
    marked: readonly MarkedProcess[],
    signal: AbortSignal,
  ): Promise<ProcessRecord> {
    // 3, 4: nobody watched it die, so the group may be another's by now; a member with our mark proves that it is ours.
    const { table } = this.#options;
    const members = marked.filter(({ pgid }) => pgid === life.pid);
    if (life.boot === table.boot && members.length > 0) {
      const fresh = await table.look(
        members.map(({ pid }) => pid),
        signal,
      );
      if (members.some(({ pid, start }) => table.sameStart(fresh.get(pid)?.start ?? '', start))) {
        signalGroup(life.pid, 'SIGKILL');
      }
    }
    return this.#end(record, life, null) ?? record;
  }

  async #diesWithin(life: RunningLife, limitMs: number, signal: AbortSignal): Promise<boolean> {
    const child = ownChild(life.pid);
    // The listener of `#hear` was there first, so the exit is recorded when this resolves.
    if (child) return settlesWithin(child.ended, limitMs, signal);
    return becomesTrue(async () => !(await this.#alive(life, signal)), this.#options.table.pollMs, limitMs, signal);
  }

  #adopted(record: ProcessRecord | null, agent: MarkedProcess): { record: ProcessRecord; life: RunningLife } {
    const { deployment, table, records } = this.#options;
    const { fleet, instance, uid, generation, infra } = agent.mark;
    const name = { fleet, instance, uid };
    const life: RunningLife = {
      state: 'running',
      n: agent.mark.life,
      pid: agent.pid,
      start: agent.start,
      boot: table.boot,
    };
    const ports = record?.ports ?? [];
    const log = records.files(name).log;
    return { record: { v: 1, deployment, ...name, generation, infra, ports, log, life }, life };
  }
}

/** The agents among what carries one uid's mark, oldest first (2). */
function agentsAmong(marked: readonly MarkedProcess[]): readonly MarkedProcess[] {
  const pids = new Set(marked.map(({ pid }) => pid));
  const agents = marked.filter(({ leader, ppid }) => leader && !pids.has(ppid));
  return agents.sort((a, b) => Number(a.start) - Number(b.start) || a.pid - b.pid);
}

function signalGroup(pgid: number, name: NodeJS.Signals): void {
  sendSignal(-pgid, name);
}

/** Sends a signal; nobody there is fine. */
function sendSignal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if (errnoOf(error) === 'ESRCH') return;
    throw hostFault('signal-refused', `could not send ${name} to process ${pid}: ${wordsOf(error)}`, error);
  }
}

/** For work that nobody waits for: the next sweep meets the same trouble, and reports it. */
function quietly(work: () => void): void {
  try {
    work();
  } catch {
    // See above.
  }
}
