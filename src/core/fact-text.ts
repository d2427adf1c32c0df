/**
 * What a fact says, in one plain sentence: from its event, or, where the event is no longer kept, from what was folded of it.
 */
import type { EventData, Recovery, StoredEvent } from './events.ts';
import { exitText } from './exits.ts';
import type { Exit, FleetState, Instance, ResourceState } from './model.ts';

/** For people; nothing may be parsed out of it. With `uid`, a tick says what it decided of that one. */
export function factText(event: StoredEvent, uid: string | null = null): string {
  switch (event.type) {
    case 'owner.started':
      return `${event.data.owner} took the fleet over (epoch ${event.data.epoch})`;
    case 'owner.stopped':
      return `the owner of epoch ${event.data.epoch} ended cleanly${event.data.agents ? ', stopping what runs' : ''}`;
    case 'manifest.applied':
      return `manifest ${event.data.revision} was applied${byWhom(event)}`;
    case 'policy.changed':
      return `the policy was changed${byWhom(event)}`;
    case 'spec.applied':
      return `generation ${event.data.generation} was declared${byWhom(event)}`;
    case 'spec.deleted':
      return `deletion was asked${event.data.prune ? ' by a prune' : ''}${byWhom(event)}`;
    case 'command.issued':
      return `"${event.data.verb}" was asked${byWhom(event)}`;
    case 'token.rotated':
      return `a new agent token was given out${byWhom(event)}`;
    case 'secret.rotated':
      return `secret "${event.data.secret}" is at version ${event.data.version}${byWhom(event)}`;
    case 'secret.deleted':
      return `secret "${event.data.secret}" was deleted${byWhom(event)}`;
    case 'target.synced':
      return `target "${event.data.target}" gave a complete listing, as ${event.data.identity}`;
    case 'target.stale':
      return `target "${event.data.target}" cannot be seen: ${event.data.message}`;
    case 'target.refused':
      return `target "${event.data.target}" refuses: ${event.data.message}`;
    case 'target.cleared':
      return `target "${event.data.target}" is well again`;
    case 'resource.observed':
      return resourceText(event.data.state, event.data.exit);
    case 'sweep.completed':
      return `target "${event.data.target}" was looked through once more`;
    case 'image.resolved':
      return `image ${event.data.image} is ${event.data.digest}`;
    case 'orphan.removed':
      return `orphan ${event.data.ref ?? event.data.uid} of target "${event.data.target}", once ${event.data.instance}, was removed`;
    case 'volume.removed':
      return `volume ${event.data.volume} of target "${event.data.target}", once of ${event.data.instance}, was deleted`;
    case 'exec.asked':
      return `${event.data.program} was run beside the agent${byWhom(event)}`;
    case 'operation.ended':
      return operationText(event.data);
    case 'agent.reported':
      return reportText(event.data);
    case 'work.began':
      return 'work began';
    case 'work.ended':
      return 'work ended';
    case 'config.observed':
      return `the agent runs with config ${short(event.data.hash)}`;
    case 'config.persisted':
      return `config ${short(event.data.hash)} is what it starts from`;
    case 'channel.up':
      return `channel ${event.data.channel} is up`;
    case 'channel.down':
      return `channel ${event.data.channel} is down: ${event.data.message}`;
    case 'plugins.observed':
      return `${event.data.installed.length} plugins are installed`;
    case 'plugin.ref-moved':
      return `plugin ${event.data.source}${event.data.ref == null ? '' : `#${event.data.ref}`} is at ${event.data.sha} now`;
    case 'probe.answered':
      return probeText(event.data);
    case 'event.quarantined':
      return `a row (${event.data.was}) cannot be read: ${event.data.message}`;
    case 'invariant.broken':
      return `invariant ${event.data.invariant} did not hold, a fault of Holdfast: ${event.data.message}; ${RECOVERY_TEXT[event.data.recovery]}`;
    case 'tick.decided':
      return tickText(event.data, uid);
    case 'flap.observed':
      return `${event.data.kind}: ${exitText(event.data.exit)}`;
  }
}

const RECOVERY_TEXT: { readonly [R in Recovery]: string } = {
  abort: 'its operation is ended',
  hold: 'all who share it are held',
  'mark-dirty': 'it is looked at again',
};

function tickText({ actions, transitions }: EventData['tick.decided'], uid: string | null): string {
  if (uid === null) return `a tick decided ${actions.length} actions and ${transitions.length} transitions`;
  const decided = [
    ...actions.filter((action) => action.uid === uid).map(({ type, rule }) => `${type} (row "${rule}")`),
    ...transitions.filter((change) => change.uid === uid).map(({ from, to }) => `${from} → ${to}`),
  ];
  return decided.length === 0 ? 'a tick was decided' : `it was decided: ${decided.join(', ')}`;
}

const byWhom = (event: StoredEvent): string => {
  if (event.by === undefined) return '';
  return ` by ${event.by.token} (${event.by.via})${event.by.reason === undefined ? '' : `: ${event.by.reason}`}`;
};

const short = (hash: string): string => hash.slice(0, 14);

function resourceText(state: ResourceState, exit: Exit | null): string {
  switch (state) {
    case 'running':
      return 'its target says that it runs';
    case 'stopped':
      return exit === null
        ? 'its target says that it is stopped'
        : `its target says that it is stopped: ${exitText(exit)}`;
    case 'changing':
      return 'its target is changing it';
    case 'missing':
      return 'it is proved missing';
  }
}

function operationText(data: EventData['operation.ended']): string {
  const error = data.error === undefined ? '' : `: ${data.error.code}, ${data.error.message}`;
  return `operation ${data.operation} ${data.outcome}${error}${data.saw === undefined ? '' : `; ${resourceText(data.saw.state, data.saw.exit)}`}`;
}

function reportText(data: EventData['agent.reported']): string {
  switch (data.report) {
    case 'first':
      return 'the agent was heard for the first time since its start';
    case 'silent':
      return 'the agent fell silent';
    case 'recovered':
      return 'the agent is heard again';
    case 'degraded':
      return `the agent says that it is degraded: ${data.message}`;
    case 'well':
      return 'the agent says that it is well again';
    case 'busy':
      return 'the agent works';
    case 'idle':
      return 'the agent is idle';
    case 'version':
      return `the agent says that it is version ${data.version}`;
  }
}

const probeText = (data: { readonly ok: boolean; readonly message: string }): string =>
  `its health ${data.ok ? 'is well' : 'fails'}: ${data.message}`;

// ── without the event ───────────────────────────────────────────────────────────────────────────────────────────────

export interface FoldedFact {
  readonly type: string;
  readonly at: number;
  readonly text: string;
}

/** What the state still knows of the fact at `seq` about this instance. */
export function foldedFact(state: FleetState, inst: Instance, seq: number): FoldedFact {
  const known = knownFacts(state, inst).filter((fact) => fact.at !== null);
  const found = knownFacts(state, inst).find((fact) => fact.seq === seq);
  // The first thing known to have come later is nearly always the tick that followed at once: it is at least that old.
  const later = known.filter((fact) => fact.seq >= seq).sort((a, b) => a.seq - b.seq)[0];
  const at = found?.at ?? later?.at ?? state.at;
  return { type: found?.type ?? 'unknown', at, text: found?.text ?? 'its event is no longer kept' };
}

interface Known {
  readonly seq: number | null;
  readonly at: number | null;
  readonly type: string;
  readonly text: string;
}

type Placed = Known & { readonly seq: number };

function knownFacts(state: FleetState, inst: Instance): readonly Placed[] {
  const { resource, agent, operation } = inst;
  const target = state.targets.get(inst.spec.target);
  const all: Known[] = [
    { seq: inst.specSeq, at: inst.specAt, type: 'spec.applied', text: `generation ${inst.generation} was declared` },
    {
      seq: resource?.seq ?? null,
      at: resource?.since ?? null,
      type: 'resource.observed',
      text: resource === null ? '' : resourceText(resource.state, resource.exit),
    },
    {
      seq: agent?.degraded?.seq ?? null,
      at: agent?.degraded?.at ?? null,
      type: 'agent.reported',
      text: `the agent says that it is degraded: ${agent?.degraded?.message ?? ''}`,
    },
    {
      seq: agent?.heardSeq ?? null,
      at: agent?.heardAt ?? null,
      type: 'agent.reported',
      text: HEARD[agent?.heard ?? 'never'],
    },
    {
      seq: agent?.healthSeq ?? null,
      at: agent?.healthAt ?? null,
      type: 'probe.answered',
      text: agent?.health === 'failing' ? 'its health fails' : 'its health is well',
    },
    {
      seq: operation?.seq ?? null,
      at: operation?.startedAt ?? null,
      type: 'tick.decided',
      text: `${operation?.kind ?? ''} was decided`,
    },
    {
      seq: target?.refused?.seq ?? null,
      at: target?.refused?.since ?? null,
      type: 'target.refused',
      text: `target "${inst.spec.target}" refuses: ${target?.refused?.message ?? ''}`,
    },
    {
      seq: target?.stale?.seq ?? null,
      at: target?.stale?.since ?? null,
      type: 'target.stale',
      text: `target "${inst.spec.target}" cannot be seen: ${target?.stale?.message ?? ''}`,
    },
    ...Object.values(inst.concerns).map((one) => ({
      seq: one.seq,
      at: one.failedAt,
      type: 'operation.ended',
      text: one.error?.message ?? 'it failed',
    })),
    {
      seq: inst.config?.seq ?? null,
      at: null,
      type: 'config.observed',
      text: 'its config was applied, persisted or read back',
    },
    { seq: inst.restartAskedSeq, at: null, type: 'command.issued', text: 'a restart was asked' },
    { seq: inst.sleepAskedSeq, at: null, type: 'command.issued', text: 'it was asked to sleep' },
    { seq: inst.wakeSeq, at: null, type: 'command.issued', text: 'it was woken' },
    { seq: inst.desiredSeq, at: inst.desiredSeq === inst.specSeq ? inst.specAt : null, ...DESIRED[inst.desired] },
    { seq: inst.phaseSeq, at: inst.phaseSince, type: 'tick.decided', text: `its phase became ${inst.phase}` },
    { seq: state.ownerSeq, at: state.ownerAt, type: 'owner.started', text: 'a new owner took the fleet over' },
  ];
  return all.filter((fact): fact is Placed => fact.seq !== null && fact.seq > 0);
}

const HEARD = { never: 'it began a new life', heard: 'the agent is heard', silent: 'the agent fell silent' } as const;

const DESIRED = {
  running: { type: 'command.issued', text: 'it should run' },
  stopped: { type: 'command.issued', text: 'it should be stopped' },
  deleted: { type: 'spec.deleted', text: 'deletion was asked' },
} as const;
