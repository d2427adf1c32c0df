/**
 * Folds what is known of what was delivered: which config is in force and on the disk, which plugins are installed.
 */
import { oneCopy } from '../interning.ts';
import {
  UNSURE,
  type ConfigState,
  type FleetState,
  type Instance,
  type InstalledPlugin,
  type Operation,
} from '../model.ts';

const NO_CONFIG: ConfigState = { applied: null, observed: null, persisted: null, seq: 0 };

/** The same texts as declared, where they are equal. */
export function mergeConfig(
  { config, hashes }: Instance,
  change: { applied?: string; observed?: string | null; persisted?: string },
  seq: number,
): ConfigState {
  const { applied, observed, persisted } = { ...(config ?? NO_CONFIG), ...change };
  return {
    applied: oneCopy(applied, hashes.config),
    observed: oneCopy(observed, hashes.config),
    persisted: oneCopy(persisted, hashes.config),
    seq,
  };
}

/**
 * What the agent says it runs with. Is it neither what we told it nor what we wrote down, somebody else changed it, and for
 * all we know on its disk, too: what is put right is written down again, or the next start would bring it back (L36).
 */
export function configObserved(state: FleetState, inst: Instance, observed: string, seq: number): void {
  const { config } = inst;
  const enforced = (inst.spec.drift ?? state.policy.drift) === 'enforce';
  const foreign = config?.persisted != null && observed !== config.applied && observed !== config.persisted;
  inst.config = mergeConfig(inst, { observed, ...(enforced && foreign && { persisted: UNSURE }) }, seq);
}

/**
 * An operation brought a plugin, or took one away. What runs keeps what it has loaded: another content of one that says so is
 * in force only after a restart.
 */
export function pluginChanged(
  inst: Instance,
  change: InstalledPlugin | { source: string; removed: true },
  how: { readonly runs: boolean; readonly seq: number },
): void {
  const before = inst.plugins?.find((plugin) => plugin.source === change.source);
  const same = !('removed' in change) && before?.treeDigest === change.treeDigest;
  const needs = before?.restart === true || (!('removed' in change) && change.restart === true);
  if (how.runs && needs && !same) inst.restartDueSeq = how.seq;
  inst.plugins = mergePlugin(inst.plugins ?? [], change);
}

/** What a box says that is in it. What was on record, is declared and not there, was lost: to bring it back is no change. */
export function pluginsObserved(inst: Instance, found: readonly InstalledPlugin[]): void {
  const declared = new Set(inst.spec.plugins.map(({ source }) => source));
  const lost = (inst.plugins ?? [])
    .filter(({ source }) => declared.has(source) && !found.some((one) => one.source === source))
    .map(({ source }) => inDoubt(null, source));
  inst.plugins = [...found, ...lost].sort((a, b) => (a.source < b.source ? -1 : 1));
}

function mergePlugin(
  installed: readonly InstalledPlugin[],
  change: InstalledPlugin | { source: string; removed: true },
): readonly InstalledPlugin[] {
  const rest = installed.filter((plugin) => plugin.source !== change.source);
  return 'removed' in change ? rest : [...rest, change].sort((a, b) => (a.source < b.source ? -1 : 1));
}

/**
 * What it was to change is in doubt until its success says otherwise: a result may be lost, and its effect not. Else, with
 * the spec taken back meanwhile, what was believed before would pass for what is so.
 */
export function leaveInDoubt(inst: Instance, { kind, subject }: Operation, seq: number): void {
  const { config } = inst;
  switch (kind) {
    case 'apply-config':
      // What is seen to differ is put right in any case.
      if (config?.applied != null && (config.observed === null || config.observed === config.applied))
        inst.config = mergeConfig(inst, { applied: UNSURE, observed: null }, seq);
      break;
    case 'persist-config':
      if (config?.persisted != null) inst.config = mergeConfig(inst, { persisted: UNSURE }, seq);
      break;
    case 'install-plugin':
      // It may be there though it never was on record: then it is to be uninstalled, should nobody want it any more.
      if (subject !== null) inst.plugins = mergePlugin(inst.plugins ?? [], inDoubt(inst.plugins, subject));
      break;
    default:
  }
}

function inDoubt(plugins: readonly InstalledPlugin[] | null, source: string): InstalledPlugin {
  const known = plugins?.find((one) => one.source === source) ?? { sha: '', treeDigest: '' };
  return { ...known, source, ref: UNSURE };
}
