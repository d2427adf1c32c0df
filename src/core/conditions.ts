/**
 * The six conditions of an instance, each true, false or unknown with its reason: what the phase sums up, taken apart.
 * Derived from folded facts alone. `unknown` means that nobody who could know has said it; it is never painted green.
 */
import type { Case } from './case.ts';
import { faultOf } from './fault.ts';
import { UNSURE, type Instance } from './model.ts';

export type ConditionType =
  'Provisioned' | 'ConfigApplied' | 'ConfigPersisted' | 'PluginsInstalled' | 'AgentLive' | 'TargetSeen';

export interface Condition {
  readonly type: ConditionType;
  readonly status: 'true' | 'false' | 'unknown';
  readonly reason: string;
  readonly message: string;
  /** Since when, ms; null where no folded fact says it. */
  readonly since: number | null;
}

type Finding = readonly [status: Condition['status'], reason: string, message: string, since?: number | null];

/** In the order of DESIGN §2. */
export function conditionsOf(c: Case): readonly Condition[] {
  return CONDITIONS.map(([type, find]) => {
    const [status, reason, message, since = null] = found(c, find);
    return { type, status, reason, message, since };
  });
}

/** A fault of ours over one instance must not keep the others out of a list (L46). */
function found(c: Case, find: (c: Case) => Finding): Finding {
  try {
    return find(c);
  } catch (error) {
    return ['unknown', 'fault', faultOf(c.inst.uid, 'judging it', error).message];
  }
}

const CONDITIONS: readonly (readonly [ConditionType, (c: Case) => Finding])[] = [
  ['Provisioned', provisioned],
  ['ConfigApplied', configApplied],
  ['ConfigPersisted', configPersisted],
  ['PluginsInstalled', pluginsInstalled],
  ['AgentLive', agentLive],
  ['TargetSeen', targetSeen],
];

function provisioned(c: Case): Finding {
  const { inst } = c;
  if (c.external) return ['true', 'external', 'it runs elsewhere; there is nothing to provision', inst.createdAt];
  const resource = inst.resource;
  if (resource === null) return ['false', 'never-seen', 'its resource was never seen to exist', inst.createdAt];
  if (resource.state === 'missing')
    return ['false', 'missing', `its resource is proved gone from target "${inst.spec.target}"`, resource.since];
  if (c.infraDrift()) {
    return [
      'false',
      'outdated',
      'its resource was made from another spec than the declared one',
      Math.max(resource.since, inst.specAt),
    ];
  }
  return ['true', 'as-declared', 'its resource exists and is as declared', Math.max(resource.since, inst.specAt)];
}

/** Why a concern with an error has not done its work; null when it has none. */
function failing(inst: Instance, concern: string): Finding | null {
  const error = inst.concerns[concern]?.error;
  return error == null ? null : ['false', error.code, error.message, error.at];
}

function configApplied(c: Case): Finding {
  if (c.inst.hashes.config === null) return ['true', 'none-declared', 'no config is declared', c.inst.specAt];
  if (c.configUnapplied()) {
    const failed = failing(c.inst, 'config');
    if (failed !== null) return failed;
    if (c.asleep) return ['unknown', 'asleep', 'it sleeps; it receives its config when it starts'];
    if (c.inst.config?.applied === UNSURE) return ['unknown', 'unsure', 'whether it is in force is not known'];
    return ['false', 'unapplied', 'the declared config is not the one in force', c.inst.specAt];
  }
  if (c.configDrifted()) return ['false', 'drifted', 'the agent runs with another config than it was given'];
  return ['true', 'applied', 'the declared config is in force'];
}

function configPersisted(c: Case): Finding {
  if (c.inst.hashes.config === null) return ['true', 'none-declared', 'no config is declared', c.inst.specAt];
  if (!c.configUnpersisted()) return ['true', 'persisted', 'the declared config is what it starts from'];
  const failed = failing(c.inst, 'config');
  if (failed !== null) return failed;
  if (c.inst.config?.persisted === UNSURE)
    return ['unknown', 'unsure', 'whether it is what it starts from is not known; it is written again'];
  return ['false', 'unpersisted', 'the declared config is not yet where it starts from', c.inst.specAt];
}

function pluginsInstalled(c: Case): Finding {
  const { install, uninstall } = c.pluginChanges();
  if (install.length + uninstall.length === 0) {
    if (c.restartDue())
      return [
        'false',
        'restart-due',
        'every declared plugin is installed; one takes effect with the restart that is due',
      ];
    return c.inst.spec.plugins.length === 0
      ? ['true', 'none-declared', 'no plugin is declared', c.inst.specAt]
      : ['true', 'installed', 'every declared plugin is installed'];
  }
  for (const source of [...install, ...uninstall]) {
    const failed = failing(c.inst, `plugin:${source}`);
    if (failed !== null) return failed;
  }
  const parts = [
    ...(install.length > 0 ? [`to install: ${install.join(', ')}`] : []),
    ...(uninstall.length > 0 ? [`to uninstall: ${uninstall.join(', ')}`] : []),
  ];
  return ['false', 'different', parts.join('; '), c.inst.specAt];
}

function agentLive(c: Case): Finding {
  const { inst } = c;
  const { agent } = inst;
  if (!c.external && !c.running)
    return [
      'unknown',
      'not-running',
      'it does not run, as far as its target says',
      inst.resource?.since ?? inst.createdAt,
    ];
  switch (c.liveness()) {
    case 'undeclared':
      return [
        'unknown',
        'undeclared',
        `neither a heartbeat nor a health check is declared${ownCheck(inst)}`,
        inst.specAt,
      ];
    case 'starting':
      return [
        'unknown',
        'starting',
        'it has not been heard since its start, inside its start grace',
        inst.runningSince ?? inst.createdAt,
      ];
    case 'silent':
      return ['false', 'silent', silence(inst), c.silentSince()];
    case 'live':
      return ['true', 'heard', 'it is heard', Math.max(agent?.heardAt ?? 0, agent?.healthAt ?? 0) || null];
  }
}

/** What is not gone by is said all the same: a dead agent must not look like a healthy one (L08). */
function ownCheck({ resource }: Instance): string {
  const says = resource?.attrs['health'];
  return typeof says === 'string' ? `; its engine's own check, which nobody declared to go by, says ${says}` : '';
}

function silence(inst: Instance): string {
  if (inst.agent?.health === 'failing') return 'its health check fails';
  return inst.agent?.heard === 'silent' ? 'it fell silent' : 'it was not heard within its start grace';
}

function targetSeen(c: Case): Finding {
  const { target } = c;
  if (c.external) return ['true', 'external', 'it is known by its heartbeats alone', c.inst.createdAt];
  if (target.refused !== null) return ['false', 'refused', target.refused.message, target.refused.since];
  if (target.stale !== null) return ['false', 'stale', target.stale.message, target.stale.since];
  if (!target.synced)
    return [
      'unknown',
      'unsynced',
      `target "${target.name}" has not been seen since Holdfast took over`,
      c.state.ownerAt || null,
    ];
  return ['true', 'synced', `target "${target.name}" is seen`];
}
