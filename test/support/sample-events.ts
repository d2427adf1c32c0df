/** One well-formed event of every type (and of every form of a type that has several). */
import type { NewEvent } from '../../src/core/events.ts';
import type { Look, Spec } from '../../src/core/model.ts';
import { DEFAULT_POLICY } from '../../src/core/model.ts';

const SAMPLE_SPEC: Spec = {
  target: 'process',
  targetType: 'process',
  lifecycle: 'hot',
  labels: { team: 'a' },
  idleAfterMs: null,
  onComplete: 'restart',
  onDelete: 'keep',
  run: { command: ['node', 'agent.js'] },
  health: null,
  heartbeat: { everyMs: 30_000, silentAfterMs: 90_000, startGraceMs: 60_000 },
  config: null,
  plugins: [],
  expose: [{ port: 8080, path: '/', auth: 'token' }],
  onSilent: null,
  onDegraded: null,
  drift: null,
};

const SAMPLE_LOOK: Look = {
  state: 'running',
  ref: 'pid-1',
  incarnation: '1-100',
  infra: 'i1:abc',
  exit: null,
  restarts: 0,
  attrs: { pid: 1, endpoints: { '8080': '127.0.0.1:1' } },
};

const hashes = { infra: 'i1:abc', config: null };
const plugin = { source: 'git+x', ref: 'v1', sha: 'aa', treeDigest: 'bb', restart: true };
const exit = { code: 1, signal: null, oom: false, output: 'bye' };
const one = { instance: 'scribe', uid: 'u1' };

export const SAMPLE_EVENTS: readonly NewEvent[] = [
  { type: 'owner.started', data: { epoch: 1, owner: 'host-1', logic: 1 } },
  { type: 'owner.stopped', data: { epoch: 1, agents: false } },
  { type: 'manifest.applied', data: { revision: 'r1', manifest: { instances: {} } }, by: { token: 'ci', via: 'api' } },
  { type: 'policy.changed', data: { policy: DEFAULT_POLICY } },
  { type: 'spec.applied', ...one, data: { spec: SAMPLE_SPEC, hashes, generation: 1, revision: 'r1' } },
  { type: 'spec.deleted', ...one, data: { data: 'keep', forget: false, prune: true } },
  { type: 'command.issued', ...one, data: { verb: 'stop' }, by: { token: 'a', via: 'cli', reason: 'tests' } },
  {
    type: 'command.issued',
    data: { verb: 'hold', id: 'h1', reason: 'x', until: null, target: null, instances: ['a'] },
  },
  { type: 'command.issued', data: { verb: 'release', target: 'process', instances: null } },
  { type: 'command.issued', data: { verb: 'override', target: null, identity: null, rollout: true } },
  { type: 'token.rotated', ...one, data: { serial: 2 } },
  { type: 'secret.rotated', data: { secret: 's', version: 2, hashes: { u1: hashes } } },
  { type: 'secret.deleted', data: { secret: 's' } },
  {
    type: 'target.synced',
    data: {
      target: 'process',
      identity: 'm',
      abilities: ['run'],
      deadlinesMs: { start: 1 },
      graceMs: 1,
      maxInFlight: 4,
    },
  },
  { type: 'target.stale', data: { target: 'process', message: 'gone' } },
  { type: 'target.refused', data: { target: 'process', message: 'other engine', identity: null } },
  { type: 'target.cleared', data: { target: 'process' } },
  { type: 'resource.observed', ...one, data: { ...SAMPLE_LOOK, began: 3 } },
  { type: 'resource.observed', ...one, data: { ...SAMPLE_LOOK, state: 'stopped', exit, began: 3, eventful: true } },
  { type: 'sweep.completed', data: { target: 'process', began: 3 } },
  { type: 'image.resolved', data: { image: 'a:latest', digest: 'sha256:1' } },
  {
    type: 'orphan.removed',
    data: { target: 'docker', instance: 'a', uid: 'u0', ref: null },
    by: { token: 'ci', via: 'api' },
  },
  { type: 'volume.removed', data: { target: 'docker', volume: 'v', instance: 'a' }, by: { token: 'ci', via: 'api' } },
  { type: 'exec.asked', ...one, data: { target: 'docker', program: 'ls' }, by: { token: 'ci', via: 'api' } },
  { type: 'operation.ended', ...one, data: { operation: 'o1', outcome: 'succeeded', saw: SAMPLE_LOOK } },
  {
    type: 'operation.ended',
    ...one,
    data: {
      operation: 'o1',
      outcome: 'failed',
      error: { class: 'transient', fault: 'instance', code: 'X', message: 'no' },
      config: { applied: 'c' },
      plugin,
      probe: { ok: false, message: 'no' },
    },
  },
  { type: 'agent.reported', ...one, data: { report: 'first' } },
  { type: 'agent.reported', ...one, data: { report: 'degraded', message: 'm' } },
  { type: 'agent.reported', ...one, data: { report: 'version', version: '1' } },
  { type: 'work.began', ...one, data: { leaseUntil: 5 } },
  { type: 'work.ended', ...one, data: {} },
  { type: 'config.observed', ...one, data: { hash: 'c' } },
  { type: 'config.persisted', ...one, data: { hash: 'c' } },
  { type: 'channel.up', ...one, data: { channel: 'file' } },
  { type: 'channel.down', ...one, data: { channel: 'file', message: 'm' } },
  { type: 'plugins.observed', ...one, data: { installed: [plugin] } },
  { type: 'plugin.ref-moved', ...one, data: { source: 'git+x', ref: 'main', sha: 'cc' } },
  { type: 'probe.answered', ...one, data: { ok: true, message: '200' } },
  { type: 'invariant.broken', ...one, data: { invariant: 7, message: 'm', recovery: 'mark-dirty' } },
  { type: 'event.quarantined', ...one, data: { was: 'spec.applied', message: 'm' } },
  {
    type: 'tick.decided',
    data: {
      now: 1,
      logic: 1,
      actions: [{ ...one, type: 'start', rule: 'start', facts: [1, 2], operation: 'o1' }],
      transitions: [{ ...one, from: 'PENDING', to: 'RECONCILING', rule: 'start' }],
      holds: [
        { ...one, hold: { reason: 'backoff', rule: 'start', until: 5, detail: null } },
        { ...one, hold: null },
      ],
    },
  },
  { type: 'flap.observed', ...one, data: { kind: 'process_exited', incarnation: '1-100', exit, output: 'bye' } },
];
