/**
 * The mark: what every process of ours, and whatever it starts, carries in its environment. It is the label by which a
 * process is found again when the record of it was lost, or never written (L86).
 *
 * `life` counts the spawns of one uid. It tells the process that a record is waiting for from what an earlier life left
 * behind: an agent's children inherit the mark, so deployment and uid alone would take a leftover for the agent.
 */

export interface Mark {
  readonly deployment: string;
  readonly target: string;
  readonly fleet: string;
  readonly instance: string;
  readonly uid: string;
  readonly life: number;
  readonly generation: number;
  readonly infra: string;
}

export function markToEnv(mark: Mark): { [name: string]: string } {
  return {
    HOLDFAST_DEPLOYMENT: mark.deployment,
    HOLDFAST_FLEET: mark.fleet,
    HOLDFAST_INSTANCE: mark.instance,
    HOLDFAST_UID: mark.uid,
    HOLDFAST_TARGET: mark.target,
    HOLDFAST_LIFE: `${mark.life}.${mark.generation}.${mark.infra}`,
  };
}

/** Reads the mark from `NAME=value` words; null when there is none or not a whole one. */
export function markFromEnv(words: readonly string[]): Mark | null {
  const found = new Map<string, string>();
  for (const word of words) {
    if (!word.startsWith('HOLDFAST_')) continue;
    const equals = word.indexOf('=');
    if (equals > 0) found.set(word.slice(0, equals), word.slice(equals + 1));
  }
  const deployment = found.get('HOLDFAST_DEPLOYMENT');
  const target = found.get('HOLDFAST_TARGET');
  const fleet = found.get('HOLDFAST_FLEET');
  const instance = found.get('HOLDFAST_INSTANCE');
  const uid = found.get('HOLDFAST_UID');
  const life = /^(\d+)\.(\d+)\.(.*)$/s.exec(found.get('HOLDFAST_LIFE') ?? '');
  if (!deployment || !target || !fleet || !instance || !uid || !life) return null;
  return {
    deployment,
    target,
    fleet,
    instance,
    uid,
    life: Number(life[1]),
    generation: Number(life[2]),
    infra: life[3] ?? '',
  };
}
