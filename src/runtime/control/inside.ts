/**
 * Looking into what runs: what it uses, and a program run beside the agent.
 *
 * Both are asked of the authority at that moment, and decide nothing. They wake nobody and count as no work (L59): what is
 * asleep is refused, in words. A program that is run is on record before it begins, with who asked and why; its arguments and
 * its output are not, for nobody can know what is in them.
 */
import { Refusal, type ExecResult, type Stats } from '../api.ts';
import type { By } from '../../core/events.ts';
import type { Instance } from '../../core/model.ts';
import { iso } from '../../core/time.ts';
import { TargetError, type Target } from '../../ports/target.ts';
import { DeadlineError, withDeadline } from '../deadline.ts';
import type { Fleet } from '../fleet.ts';
import { EXECS_AT_ONCE, STATS_MS } from '../limits.ts';
import type { World } from '../world.ts';
import { append, fleetOf, instanceOf } from './fleets.ts';

export async function stats(world: World, fleetName: string, name: string, signal: AbortSignal): Promise<Stats> {
  const fleet = fleetOf(world, fleetName);
  const inst = instanceOf(fleet, name);
  const ability = abilityOf(world, inst, 'stats');
  mustRun(inst);
  const what = `measuring ${name}`;
  const usage = await asked(() =>
    withDeadline(world.clock, STATS_MS, what, (within) => ability(fleet.subject(inst), within), signal),
  );
  return { instance: name, at: iso(fleet.loop.time()), ...usage };
}

const underWay = new WeakMap<Fleet, number>();

export async function exec(
  world: World,
  fleetName: string,
  name: string,
  { command, timeoutMs, by }: { command: readonly string[]; timeoutMs: number; by: By },
  signal: AbortSignal,
): Promise<ExecResult> {
  const fleet = fleetOf(world, fleetName);
  const inst = instanceOf(fleet, name);
  const ability = abilityOf(world, inst, 'exec');
  mustRun(inst);
  const [program = ''] = command;
  const before = underWay.get(fleet) ?? 0;
  if (before >= EXECS_AT_ONCE)
    throw new Refusal('unavailable', 'execs', `${before} commands are being run in fleet "${fleetName}"; wait for one`);
  underWay.set(fleet, before + 1);
  try {
    const data = { target: inst.spec.target, program: program.slice(0, PROGRAM_CHARS) };
    await append(world, fleet, [{ type: 'exec.asked', instance: name, uid: inst.uid, data, by }]);
    const what = `${program} in ${name}`;
    const { code, output, cut } = await asked(() =>
      withDeadline(world.clock, timeoutMs, what, (within) => ability(fleet.subject(inst), command, within), signal),
    );
    return { instance: name, code, output: Buffer.from(output).toString('utf8'), cut };
  } finally {
    underWay.set(fleet, (underWay.get(fleet) ?? 1) - 1);
  }
}

const PROGRAM_CHARS = 255;

function abilityOf<A extends 'stats' | 'exec'>(world: World, { spec }: Instance, which: A): NonNullable<Target[A]> {
  const ability = world.targets.observer(spec.target)?.target[which];
  if (ability !== undefined) return ability;
  const lacks =
    which === 'stats' ? 'measures nothing that Holdfast can read' : 'lets Holdfast run nothing beside an agent';
  throw new Refusal('conflict', `no-${which}`, `target "${spec.target}" (${spec.targetType}) ${lacks}`);
}

/** By what is known, before anything is asked or written; the target then looks for itself. */
function mustRun({ name, phase, resource }: Instance): void {
  if (resource?.state === 'running') return;
  const how = phase === 'SLEEPING' ? 'is asleep, and is not woken for this; wake it first' : `does not run (${phase})`;
  throw new Refusal('conflict', 'not-running', `${name} ${how}`);
}

async function asked<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof DeadlineError)
      throw new Refusal('unavailable', 'deadline', `${error.message}; a command that was begun may run on`);
    if (!(error instanceof TargetError)) throw error;
    const { fault, code, message } = error.detail;
    throw new Refusal(fault === 'target' ? 'unavailable' : 'conflict', code, message);
  }
}
