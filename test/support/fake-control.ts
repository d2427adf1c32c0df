/**
 * The runtime as its faces see it, in memory: two fleets, real rules about what is there and what is stale, no loop.
 *
 * Honest: every call is recorded with what it was given, answers have the shapes of the appendix, `not-found`, stale
 * revisions and wrong counts are refused as the runtime does. A test can make any verb fail (`fail`) or wait (`gate`).
 */
import { createHash } from 'node:crypto';
import type { StoredEvent, Verb } from '../../src/core/events.ts';
import type { Phase, Spec } from '../../src/core/model.ts';
import type { Beat } from '../../src/runtime/beats.ts';
import {
  type Control,
  type EventView,
  type FleetView,
  type InstanceView,
  Refusal,
  type TokenView,
  type WaitResult,
} from '../../src/runtime/api.ts';

const AT = '2026-01-01T00:00:00.000Z';
const AT_MS = Date.parse(AT);

const SPEC: Spec = {
  target: 'process',
  targetType: 'process',
  lifecycle: 'hot',
  labels: {},
  idleAfterMs: null,
  onComplete: 'restart',
  onDelete: 'keep',
  run: { command: ['node'] },
  health: null,
  heartbeat: null,
  config: null,
  plugins: [],
  expose: [],
  onSilent: null,
  onDegraded: null,
  drift: null,
};

/** A replay of one event that finds nothing. */
const REPLAYED = {
  kind: 'replay',
  openLoop: false,
  from: AT,
  to: AT,
  fromSeq: 1,
  toSeq: 1,
  snapshotSeq: 0,
  events: 1,
  ticks: 1,
  logics: [1],
  quarantined: 0,
  actions: [],
  recorded: [],
  differences: [],
  next: null,
  counts: { computed: {}, recorded: {}, transitions: { computed: {}, recorded: {} }, differences: 0, unintended: 0 },
  phases: { RUNNING: 1 },
  decidedAtEnd: { actions: [], transitions: [], phases: { RUNNING: 1 } },
} as const;

export interface Call {
  readonly verb: keyof Control;
  readonly args: readonly unknown[];
}

export interface FakeControl extends Control {
  readonly calls: readonly Call[];
  /** What was carried out to the end, whatever became of its client. */
  readonly done: readonly (keyof Control)[];
  /** Makes a verb fail until told otherwise. */
  fail(verb: keyof Control, error: unknown): void;
  heal(verb: keyof Control): void;
  /** Makes a verb wait until the returned function is called. */
  gate(verb: keyof Control): () => void;
  /** Resolves when the verb is called for the n-th time from now. */
  called(verb: keyof Control): Promise<Call>;
  emit(fleet: string, type: 'channel.up' | 'plugin.ref-moved'): StoredEvent;
  /** Chunks that `logs` gives; the source ends when `endLogs` is called or the signal aborts. */
  write(chunk: string): void;
  endLogs(): void;
  /** Chunks of logs that were taken by a reader. */
  readonly logsTaken: number;
  /** Sources (logs, watches) that are open now. */
  readonly open: number;
  settle(result: WaitResult): void;
  /** The presented forms of the tokens: `read-token`, `operate-token`, `admin-token`, `beta-token` (operate, beta only). */
  addToken(token: string, view: Partial<TokenView>): void;
  readiness: { ready: boolean; because: string[] };
  aliveness: { ready: boolean; because: string[] };
  /** What agents have said. */
  readonly beats: readonly Beat[];
}

/** The token of `alpha/one`, and one whose instance is deleted. */
export const AGENT = `hfi_alpha.uid-one.1.${'m'.repeat(43)}`;
export const GONE_AGENT = `hfi_alpha.uid-gone.1.${'m'.repeat(43)}`;

export const TOKENS = {
  read: 'read-token',
  operate: 'operate-token',
  admin: 'admin-token',
  beta: 'beta-token',
} as const;

export function createFakeControl(): FakeControl {
  const calls: Call[] = [];
  const done: (keyof Control)[] = [];
  const failures = new Map<keyof Control, unknown>();
  const gates = new Map<keyof Control, Promise<void>>();
  const callers = new Map<keyof Control, ((call: Call) => void)[]>();
  const fleets = new Map([
    ['alpha', new Map(['one', 'three', 'two'].map((name) => [name, instanceOf('alpha', name)]))],
    ['beta', new Map([['solo', instanceOf('beta', 'solo')]])],
    ['empty', new Map<string, InstanceView>()],
  ]);
  const revisions = new Map([...fleets.keys()].map((fleet) => [fleet, 'r1']));
  const logs = new Map<string, StoredEvent[]>([...fleets.keys()].map((fleet) => [fleet, []]));
  const tokens = new Map<string, TokenView>();
  const wakers = new Set<() => void>();
  const output: string[] = [];
  let outputEnded = false;
  let logsTaken = 0;
  let open = 0;
  const beats: Beat[] = [];
  const settling: ((result: WaitResult) => void)[] = [];

  const wake = (): void => {
    for (const waker of wakers) waker();
  };
  const change = (signal: AbortSignal): Promise<void> =>
    new Promise((resolve) => {
      const waker = (): void => {
        wakers.delete(waker);
        signal.removeEventListener('abort', waker);
        resolve();
      };
      wakers.add(waker);
      signal.addEventListener('abort', waker);
      if (signal.aborted) waker();
    });

  /** Records, waits at the gate, fails if told to; then the work. */
  async function did<T>(verb: keyof Control, args: readonly unknown[], work: () => T): Promise<T> {
    const call = { verb, args };
    calls.push(call);
    for (const tell of callers.get(verb)?.splice(0) ?? []) tell(call);
    await gates.get(verb);
    if (failures.has(verb)) throw failures.get(verb);
    const result = work();
    done.push(verb);
    return result;
  }
  const there = (fleet: string): Map<string, InstanceView> => {
    const found = fleets.get(fleet);
    if (found === undefined) throw new Refusal('not-found', 'fleet', `there is no fleet "${fleet}"`);
    return found;
  };
  const instance = (fleet: string, name: string): InstanceView => {
    const found = there(fleet).get(name);
    if (found === undefined) throw new Refusal('not-found', 'instance', `there is no instance "${name}" in "${fleet}"`);
    return found;
  };
  const append = (fleet: string, type: 'channel.up' | 'plugin.ref-moved'): StoredEvent => {
    const log = logs.get(fleet) ?? [];
    const place = { seq: log.length + 1, at: AT_MS + log.length * 1_000, v: 1, instance: 'one' };
    const event: StoredEvent =
      type === 'channel.up'
        ? { ...place, type, data: { channel: 'file' } }
        : { ...place, type, data: { source: 'file:x', sha: 'abc' } };
    log.push(event);
    wake();
    return event;
  };
  const accepted = (fleet: string, name: string): { seq: number; instance: string; phase: Phase } => ({
    seq: append(fleet, 'channel.up').seq,
    instance: name,
    phase: instance(fleet, name).phase,
  });
  const revisionAfter = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, 12);

  const control: FakeControl = {
    deployment: 'fake-deployment',
    version: '0.1.0-fake',
    calls,
    done,
    fail: (verb, error) => void failures.set(verb, error),
    heal: (verb) => void failures.delete(verb),
    gate(verb) {
      const { promise, resolve } = Promise.withResolvers<void>();
      gates.set(verb, promise);
      return resolve;
    },
    called(verb) {
      const { promise, resolve } = Promise.withResolvers<Call>();
      callers.set(verb, [...(callers.get(verb) ?? []), resolve]);
      return promise;
    },
    emit: append,
    write(chunk) {
      output.push(chunk);
      wake();
    },
    endLogs() {
      outputEnded = true;
      wake();
    },
    get logsTaken() {
      return logsTaken;
    },
    get open() {
      return open;
    },
    settle(result) {
      for (const tell of settling.splice(0)) tell(result);
    },
    addToken(token, view) {
      tokens.set(token, { name: token, scope: 'read', fleets: null, createdAt: AT, expiresAt: null, ...view });
    },
    readiness: { ready: true, because: [] },
    aliveness: { ready: true, because: [] },

    apply: (fleet, ask) =>
      did('apply', [fleet, ask], () => {
        const known = revisions.get(fleet ?? '') ?? null;
        if (ask.ifMatch !== null && ask.ifMatch !== known) {
          throw new Refusal('stale-revision', 'if-match', `the revision is ${known}, not ${ask.ifMatch}`);
        }
        if (ask.text.includes('\t')) {
          throw new Refusal('invalid', 'manifest', 'the manifest is not valid', [
            { path: 'instances', line: 2, message: 'a tab' },
          ]);
        }
        if (ask.prune !== null && ask.prune !== 1)
          throw new Refusal('conflict', 'prune-count', `1 would be pruned, not ${ask.prune}`);
        const revision = revisionAfter(ask.text);
        if (!ask.dryRun && fleet !== null) revisions.set(fleet, revision);
        return {
          dryRun: ask.dryRun,
          revision,
          seq: 1,
          results: [
            {
              name: 'one',
              result: 'updated' as const,
              effect: 'restart' as const,
              because: ['run.env'],
              diff: [{ path: 'run.env.X', from: null, to: '1' }],
              note: null,
            },
          ],
          problems: [],
        };
      }),
    fleets: () => did('fleets', [], () => [...fleets.keys()].map(fleetView)),
    fleet: (fleet) => did('fleet', [fleet], () => (there(fleet), fleetView(fleet))),
    manifest: (fleet, revision) =>
      did('manifest', [fleet, revision], () => {
        there(fleet);
        const known = revisions.get(fleet) ?? '';
        if (revision !== null && revision !== known)
          throw new Refusal('not-found', 'revision', `there is no revision ${revision}`);
        return { revision: known, manifest: { version: 1, fleet, instances: {} } };
      }),
    dropFleet: (fleet, by) =>
      did('dropFleet', [fleet, by], () => {
        if (there(fleet).size > 0) throw new Refusal('conflict', 'fleet-not-empty', `"${fleet}" still has instances`);
        fleets.delete(fleet);
      }),

    instances: (fleet, ask) =>
      did('instances', [fleet, ask], () => {
        const matching = [...there(fleet).values()].filter(
          (view) =>
            (ask.phase === null || view.phase === ask.phase) &&
            Object.entries(ask.labels).every(([key, value]) => view.labels[key] === value) &&
            (ask.cursor === null || view.name > ask.cursor),
        );
        const items = matching.slice(0, ask.limit);
        return { items, next: matching.length > items.length ? (items.at(-1)?.name ?? null) : null };
      }),
    instance: (fleet, name) => did('instance', [fleet, name], () => instance(fleet, name)),
    why: (fleet, name, at) =>
      did('why', [fleet, name, at], () => ({
        instance: instance(fleet, name).name,
        target: 'docker',
        phaseText: 'it runs as declared',
        since: AT,
        operation: null,
        lastError: null,
        heldBy: null,
        phase: 'RUNNING' as const,
        rule: 'running',
        text: 'It is as declared.',
        facts: [{ seq: 1, type: 'resource.observed', ageMs: 1_200, text: 'seen running' }],
        rejected: [{ rule: 'silent', because: 'it is heard' }],
        hold: null,
        action: null,
        wouldChange: ['silence'],
        nextLookAt: null,
      })),

    command: (fleet, name, verb, by) =>
      did('command', [fleet, name, verb, by], () => (refuseSleep(verb, name), accepted(fleet, name))),
    delete: (fleet, name, ask, by) => did('delete', [fleet, name, ask, by], () => accepted(fleet, name)),
    bulk: (fleet, verb, select, dryRun, by) =>
      did('bulk', [fleet, verb, select, dryRun, by], () => ({
        dryRun,
        results: [...there(fleet).keys()].map((name) => ({
          instance: name,
          accepted: true,
          seq: dryRun ? null : 1,
          because: null,
        })),
      })),
    settled: (fleet, name, seq, timeoutMs, signal) =>
      did('settled', [fleet, name, seq, timeoutMs, signal], () => undefined).then(
        () =>
          new Promise<WaitResult>((resolve) => {
            settling.push(resolve);
            const unsettled: WaitResult = { outcome: 'timeout', phase: 'PENDING', lastError: null, hold: null };
            signal.addEventListener('abort', () => resolve(unsettled), { once: true });
            if (signal.aborted) resolve(unsettled);
          }),
      ),

    hold: (fleet, ask) =>
      did('hold', [fleet, ask], () => (there(fleet), { seq: append(fleet, 'channel.up').seq, id: 'h1' })),
    release: (fleet, ask) =>
      did('release', [fleet, ask], () => (there(fleet), { seq: append(fleet, 'channel.up').seq, released: 1 })),
    override: (fleet, ask) =>
      did('override', [fleet, ask], () => (there(fleet), { seq: append(fleet, 'channel.up').seq })),

    events: (fleet, ask) =>
      did('events', [fleet, ask], () => {
        there(fleet);
        const matching = (logs.get(fleet) ?? []).filter(
          (event) => event.seq > ask.after && event.seq <= (ask.to ?? Infinity),
        );
        const items = matching.slice(0, ask.limit);
        return { items: items.map(eventView), next: matching.length > items.length ? String(items.at(-1)?.seq) : null };
      }),
    seqAt: (fleet, at) =>
      did('seqAt', [fleet, at], () => (logs.get(fleet) ?? []).filter((event) => event.at <= at).length),
    async *watch(fleet, after, signal) {
      open++;
      try {
        await did('watch', [fleet, after, signal], () => there(fleet));
        let seq = after;
        while (!signal.aborted) {
          const event = (logs.get(fleet) ?? []).find((one) => one.seq > seq);
          if (event === undefined) {
            await change(signal);
            if (failures.has('watch')) throw failures.get('watch');
            continue;
          }
          yield event;
          seq = event.seq;
        }
      } finally {
        open--;
      }
    },
    logs: (fleet, name, ask, signal) =>
      did('logs', [fleet, name, ask, signal], () => {
        instance(fleet, name);
        return (async function* () {
          open++;
          try {
            for (let at = 0; !signal.aborted;) {
              const chunk = output[at];
              if (chunk === undefined) {
                if (outputEnded || !ask.follow) return;
                await change(signal);
                if (failures.has('logs')) throw failures.get('logs');
                continue;
              }
              at++;
              logsTaken++;
              yield new TextEncoder().encode(chunk);
            }
          } finally {
            open--;
          }
        })();
      }),

    dryRun: (fleet, ask) =>
      did('dryRun', [fleet, ask], () => {
        there(fleet);
        return {
          now: AT,
          head: 1,
          pendingFacts: 0,
          facts: [],
          observed: null,
          actions: [
            { instance: 'one', type: 'start' as const, reason: { rule: 'start', text: 'It should run.' }, facts: [1] },
          ],
          transitions: [{ instance: 'one', from: 'RUNNING' as const, to: 'PENDING' as const, rule: 'start' }],
          holds: [],
        };
      }),
    replay: (fleet, ask, _signal, progress) =>
      did('replay', [fleet, ask], () => {
        there(fleet);
        progress({ doing: 'replaying', events: 0, of: 1 });
        return REPLAYED;
      }),
    secrets: (fleet) =>
      did(
        'secrets',
        [fleet],
        () => (there(fleet), [{ name: 'llm', version: 3, storedAt: AT, usedBy: ['one'], users: 1 }]),
      ),
    putSecret: (fleet, name, value, by) =>
      did('putSecret', [fleet, name, value, by], () => {
        if (value === '') throw new Refusal('invalid', 'secret-value', 'the value is empty');
        return { seq: 8, name, version: 4, usedBy: ['one'], users: 1, note: null };
      }),
    deleteSecret: (fleet, name, by) => did('deleteSecret', [fleet, name, by], () => void there(fleet)),

    exportLog: (fleet, from) =>
      did('exportLog', [fleet, from], () => {
        there(fleet);
        return (async function* lines() {
          yield '{"holdfast":"log"}\n';
          yield '{"end":true,"events":0}\n';
        })();
      }),
    volumes: (fleet) => did('volumes', [fleet], () => (there(fleet), [volume(fleet)])),
    removeVolume: (fleet, name, by) =>
      did('removeVolume', [fleet, name, by], () => {
        there(fleet);
        return volume(fleet);
      }),
    stats: (fleet, name, signal) =>
      did('stats', [fleet, name, signal], () => {
        instance(fleet, name);
        return {
          instance: name,
          at: '2026-01-01T00:00:00.000Z',
          memoryBytes: 1,
          memoryLimitBytes: 2,
          cpus: 0.5,
          processes: 1,
        };
      }),
    exec: (fleet, name, ask, signal) =>
      did('exec', [fleet, name, ask, signal], () => {
        instance(fleet, name);
        return { instance: name, code: 0, output: 'a\n', cut: false };
      }),
    orphans: (fleet) => did('orphans', [fleet], () => (there(fleet), [orphan(fleet)])),
    pruneOrphans: (fleet, expected, by) =>
      did('pruneOrphans', [fleet, expected, by], () => {
        there(fleet);
        if (expected !== 1) throw new Refusal('conflict', 'orphan-count', `there is 1, not ${expected}`);
        return [orphan(fleet)];
      }),

    ready: () => did('ready', [], () => control.readiness),
    alive: () => did('alive', [], () => control.aliveness),
    metrics: () => did('metrics', [], () => '# TYPE holdfast_log_head gauge\nholdfast_log_head{fleet="alpha"} 1\n'),

    logLevel: () => did('logLevel', [], () => ({ level: 'info', configured: 'info' })),
    setLogLevel: (level) => did('setLogLevel', [level], () => ({ level, configured: 'info' })),

    tokens: () => did('tokens', [], () => [...tokens.values()]),
    createToken: (ask) =>
      did('createToken', [ask], () => {
        if ([...tokens.values()].some((view) => view.name === ask.name))
          throw new Refusal('conflict', 'token-name', `"${ask.name}" is taken`);
        const { expiresInMs, ...rest } = ask;
        const view = {
          ...rest,
          createdAt: AT,
          expiresAt: expiresInMs === null ? null : new Date(AT_MS + expiresInMs).toISOString(),
        };
        const token = `hf_secret_of_${ask.name}`;
        tokens.set(token, view);
        return { ...view, token };
      }),
    dropToken: (name) =>
      did('dropToken', [name], () => {
        const found = [...tokens].find(([, view]) => view.name === name);
        if (found === undefined) throw new Refusal('not-found', 'token', `there is no token "${name}"`);
        tokens.delete(found[0]);
      }),
    heartbeat: (token, read) =>
      did('heartbeat', [token], () => token).then(async () => {
        if (token === GONE_AGENT) return { kind: 'gone' as const };
        if (token !== AGENT) return { kind: 'unknown' as const };
        beats.push(await read(beats.length > 0));
        return { kind: 'heard' as const, desired: 'running' as const, nextSeconds: 30 };
      }),
    renewAgentToken: (fleet, name, by) =>
      did('renewAgentToken', [fleet, name, by], () => {
        const { uid } = instance(fleet, name);
        return { fleet, instance: name, uid, token: AGENT };
      }),
    beats,
    identify: (token) => did('identify', [], () => tokens.get(token) ?? null),
  };

  function fleetView(fleet: string): FleetView {
    const instances = fleets.get(fleet);
    return {
      fleet,
      revision: revisions.get(fleet) ?? null,
      head: logs.get(fleet)?.length ?? 0,
      pending: 0,
      instances: instances?.size ?? 0,
      phases: { RUNNING: instances?.size ?? 0 },
      errors: 0,
      holds: [],
      targets: [],
      rollout: null,
      lastTickAt: AT,
      owner: { id: 'me', epoch: 1 },
    };
  }

  control.addToken(TOKENS.read, { name: 'reader', scope: 'read' });
  control.addToken(TOKENS.operate, { name: 'operator', scope: 'operate' });
  control.addToken(TOKENS.admin, { name: 'root', scope: 'admin' });
  control.addToken(TOKENS.beta, { name: 'beta-admin', scope: 'admin', fleets: ['beta'] });
  return control;
}

/** Only lazy ones sleep; this fleet has none. */
function refuseSleep(verb: Verb, name: string): void {
  if (verb === 'sleep') throw new Refusal('conflict', 'not-lazy', `"${name}" is hot, and only lazy ones sleep`);
}

function orphan(fleet: string) {
  return { target: 'process', fleet, instance: 'lost', uid: 'u9', ref: 'pid:9', state: 'running' };
}

function volume(fleet: string) {
  return { target: 'docker', name: 'holdfast-data', fleet, instance: 'lost', uid: 'u9', key: 'data', sizeBytes: 1024 };
}

function eventView(event: StoredEvent): EventView {
  return {
    seq: event.seq,
    at: new Date(event.at).toISOString(),
    type: event.type,
    instance: 'one',
    data: { ...event.data } as EventView['data'],
  };
}

function instanceOf(fleet: string, name: string): InstanceView {
  return {
    fleet,
    name,
    uid: `uid-${name}`,
    generation: 1,
    target: 'process',
    targetType: 'process',
    lifecycle: 'hot',
    labels: { customer: name },
    desired: 'running',
    phase: 'RUNNING',
    since: AT,
    reason: { rule: 'running', text: 'It is as declared.' },
    conditions: [{ type: 'AgentLive', status: 'true', reason: 'Heard', message: 'heard', since: AT }],
    resource: { ref: 'pid:1', state: 'running', since: AT, pid: 1 },
    endpoints: {},
    operation: null,
    lastError: null,
    hold: null,
    nextLookAt: null,
    hashes: {
      infra: { declared: 'h1', applied: 'h1' },
      config: { declared: null, applied: null, observed: null, persisted: null },
    },
    heartbeat: null,
    plugins: [],
    restarts: { crashes: 0, planned: 0 },
    spec: SPEC,
  };
}
