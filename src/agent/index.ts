/**
 * `holdfast/agent`: lets an agent say that it is alive, what it does and how it is. No dependencies; works as well where
 * there is no Holdfast (it then says nothing).
 *
 *  1. It never throws into the agent, holds no work up, and keeps it from ending no longer than an answer takes.
 *  2. What changes (busy, idle, not well) is said at once, but never more than once a second.
 *  3. Without an answer it tries more rarely, but soon enough to be heard within a grace; once it is deleted, not at all.
 */
export interface AgentOptions {
  /** Where Holdfast answers, and this agent's own token. By default what Holdfast has put into the environment. */
  readonly url?: string;
  readonly token?: string;
  readonly version?: string;
  /** Time between heartbeats until Holdfast says otherwise, ms. */
  readonly everyMs?: number;
  /** Called when Holdfast wants it stopped, or has deleted it. One that Holdfast runs is sent a signal anyway. */
  readonly onStop?: (why: 'stopped' | 'deleted') => void;
}

/** What is said with every heartbeat from now on; `undefined` takes it back. */
export interface Report {
  readonly status?: 'ready' | 'degraded' | 'wedged' | undefined;
  readonly message?: string | undefined;
  /** Share of its latest work that failed, 0–1. */
  readonly errorRate?: number | undefined;
  readonly version?: string | undefined;
  readonly configHash?: string | undefined;
  readonly usage?: { readonly tokens?: number; readonly usd?: number } | undefined;
}

export interface Agent {
  report(report: Report): void;
  /** Runs one task; while any runs, the agent is busy. Whatever comes of it is handed on. */
  work<T>(task: () => T | Promise<T>): Promise<T>;
  /** One step done: what is busy and takes no steps is reported as stuck. */
  progress(steps?: number): void;
  /** Says how it is right now. Resolves when that was answered, or could not be. */
  beat(): Promise<void>;
  stop(): void;
}

const EVERY_MS = 10_000;
const AT_MOST_EVERY_MS = 1_000;
const ANSWER_MS = 10_000;
const RETRY_MAX_MS = 60_000;

export function startAgent(options: AgentOptions = {}): Agent {
  const { env } = process;
  const url = options.url ?? env['HOLDFAST_URL'];
  const token = options.token ?? env['HOLDFAST_INSTANCE_TOKEN'];
  let said: Report = { status: 'ready', version: options.version };
  let activeTasks = 0;
  let work = 0;
  let failures = 0;
  let beats = 0;
  let nextMs = options.everyMs ?? EVERY_MS;
  let lastAt = Number.NEGATIVE_INFINITY;
  let timer: NodeJS.Timeout | undefined;
  let sending: Promise<void> | null = null;
  let news = false;
  let toldToStop = false;
  let over = url === undefined || url === '' || token === undefined || token === '';

  function sayIn(ms: number): void {
    clearTimeout(timer);
    if (over) return;
    timer = setTimeout(() => void beat(), ms);
    timer.unref();
  }

  /** Something has changed that is worth saying before its time. */
  function sayNow(): void {
    news = true;
    // While nobody answers, news must not undo the patience.
    if (sending === null && failures === 0) sayIn(Math.max(0, lastAt + AT_MOST_EVERY_MS - performance.now()));
  }

  function stopped(why: 'stopped' | 'deleted'): void {
    if (toldToStop) return;
    toldToStop = true;
    try {
      options.onStop?.(why);
    } catch (error) {
      console.error('holdfast/agent: onStop failed:', error);
    }
  }

  async function send(): Promise<void> {
    const body = JSON.stringify({ ...said, activeTasks, work });
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
    const signal = AbortSignal.timeout(ANSWER_MS);
    const answer = await fetch(`${url?.replace(/\/$/, '')}/v1/heartbeat`, { method: 'POST', headers, body, signal });
    if (answer.status === 410) {
      over = true;
      return stopped('deleted');
    }
    if (!answer.ok) throw new Error(`it was answered with ${answer.status}`);
    const { desired, nextSeconds } = (await answer.json()) as { desired?: unknown; nextSeconds?: unknown };
    if (typeof nextSeconds === 'number' && nextSeconds > 0) nextMs = nextSeconds * 1_000;
    if (desired === 'stopped') stopped('stopped');
    else toldToStop = false;
  }

  function beat(): Promise<void> {
    if (over) return Promise.resolve();
    sending ??= (async () => {
      lastAt = performance.now();
      news = false;
      try {
        await send();
        failures = 0;
        beats += 1;
      } catch {
        failures += 1; // it is said again; the agent has better things to do than to hear of it
      }
      sending = null;
      const patienceMs = Math.min(RETRY_MAX_MS, Math.max(1_000, 2 * nextMs), 1_000 * 2 ** (failures - 1));
      if (failures > 0) sayIn(patienceMs * (0.75 + Math.random() / 2));
      // The first may have come before Holdfast knew that we run: soon once more.
      else sayIn(news || beats === 1 ? AT_MOST_EVERY_MS : nextMs);
    })();
    return sending;
  }

  void beat();
  return {
    report(report) {
      const before = said;
      said = { ...said, ...report };
      if (before.status !== said.status || before.errorRate !== said.errorRate) sayNow();
    },
    async work(task) {
      activeTasks += 1;
      if (activeTasks === 1) sayNow();
      try {
        return await task();
      } finally {
        activeTasks -= 1;
        work += 1;
        if (activeTasks === 0) sayNow();
      }
    },
    progress: (steps = 1) => void (work += Math.max(0, Math.trunc(steps))),
    beat,
    stop() {
      over = true;
      clearTimeout(timer);
    },
  };
}
