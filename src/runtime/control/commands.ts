/** What operators ask: verbs to one or many instances, deletion, holds, releases, overrides. Each is one durable fact. */
import { inadmissible } from '../../core/commands.ts';
import type { By, NewEvent, Verb } from '../../core/events.ts';
import { MAX_OPERATOR_HOLDS } from '../../core/limits.ts';
import type { Deletion, Instance } from '../../core/model.ts';
import { Refusal, type BulkResult, type CommandResult, type HoldAsk, type Selector } from '../api.ts';
import type { Fleet } from '../fleet.ts';
import type { World } from '../world.ts';
import { append, fleetOf, instanceOf, taken, upToDate } from './fleets.ts';

export async function command(
  world: World,
  fleetName: string,
  name: string,
  verb: Verb,
  by: By,
): Promise<CommandResult> {
  const fleet = fleetOf(world, fleetName);
  await upToDate(fleet, 0);
  const inst = instanceOf(fleet, name);
  const refused = inadmissible(inst, verb);
  if (refused !== null) throw new Refusal('conflict', refused.rule, refused.message);
  return tell(world, fleet, inst, { type: 'command.issued', instance: name, uid: inst.uid, data: { verb }, by });
}

export async function remove(
  world: World,
  fleetName: string,
  name: string,
  ask: { data: Deletion['data'] | null; forget: boolean },
  by: By,
): Promise<CommandResult> {
  const fleet = fleetOf(world, fleetName);
  await upToDate(fleet, 0);
  const inst = instanceOf(fleet, name);
  const data = { data: ask.data ?? inst.spec.onDelete, forget: ask.forget, prune: false };
  return tell(world, fleet, inst, { type: 'spec.deleted', instance: name, uid: inst.uid, data, by });
}

async function tell(world: World, fleet: Fleet, inst: Instance, event: NewEvent): Promise<CommandResult> {
  const [written] = await append(world, fleet, [event]);
  const seq = written?.seq ?? 0;
  await taken(fleet, seq);
  return { seq, instance: inst.name, phase: fleet.loop.state.instances.get(inst.uid)?.phase ?? 'DELETING' };
}

/** One append for all that can be; the rest is named with the rule that forbids it. */
export async function bulk(
  world: World,
  fleetName: string,
  verb: Verb,
  select: Selector,
  dryRun: boolean,
  by: By,
): Promise<BulkResult> {
  const fleet = fleetOf(world, fleetName);
  await upToDate(fleet, 0);
  const chosen = selected(fleet, select);
  const judged = chosen.map((inst) => ({ inst, refused: inadmissible(inst, verb) }));
  const accepted = judged.filter(({ refused }) => refused === null);
  const events = accepted.map(({ inst }): NewEvent => ({
    type: 'command.issued',
    instance: inst.name,
    uid: inst.uid,
    data: { verb },
    by,
  }));
  const written = dryRun || events.length === 0 ? [] : await append(world, fleet, events);
  const seqs = new Map(written.map((event) => [event.uid, event.seq]));
  const results = judged.map(({ inst, refused }) => ({
    instance: inst.name,
    accepted: refused === null,
    seq: seqs.get(inst.uid) ?? null,
    because: refused?.message ?? null,
  }));
  return { dryRun, results };
}

function selected(fleet: Fleet, select: Selector): readonly Instance[] {
  const { names, labels, phase, target } = select;
  if (names === undefined && labels === undefined && phase === undefined && target === undefined) {
    throw new Refusal(
      'invalid',
      'selector',
      'say which instances: by names, labels, phase or target (an empty selection would mean all)',
    );
  }
  for (const name of names ?? []) instanceOf(fleet, name);
  const wanted = names === undefined ? null : new Set(names);
  return [...fleet.loop.state.names]
    .flatMap(([, uid]) => fleet.loop.state.instances.get(uid) ?? [])
    .filter(
      (inst) =>
        (wanted === null || wanted.has(inst.name)) &&
        (phase === undefined || inst.phase === phase) &&
        (target === undefined || inst.spec.target === target) &&
        Object.entries(labels ?? {}).every(([key, value]) => inst.spec.labels[key] === value),
    )
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

// ── the fleet as a whole ────────────────────────────────────────────────────────────────────────────────────────────

export async function hold(world: World, fleetName: string, ask: HoldAsk): Promise<{ seq: number; id: string }> {
  const fleet = fleetOf(world, fleetName);
  await upToDate(fleet, 0);
  const { state } = fleet.loop;
  if (state.holds.length >= MAX_OPERATOR_HOLDS) {
    throw new Refusal(
      'conflict',
      'too-many-holds',
      `there are ${MAX_OPERATOR_HOLDS} holds in force already; release some first`,
    );
  }
  knownScope(fleet, ask.target, ask.instances);
  const id = world.newId();
  const until = ask.forMs === null ? null : fleet.loop.time() + ask.forMs;
  const { reason, target, instances, by } = ask;
  const [written] = await append(world, fleet, [
    { type: 'command.issued', data: { verb: 'hold', id, reason, until, target, instances }, by },
  ]);
  return { seq: written?.seq ?? 0, id };
}

export async function release(
  world: World,
  fleetName: string,
  ask: { target: string | null; instances: readonly string[] | null; by: By },
): Promise<{ seq: number; released: number }> {
  const fleet = fleetOf(world, fleetName);
  await upToDate(fleet, 0);
  const before = fleet.loop.state.holds.length;
  const { target, instances, by } = ask;
  const [written] = await append(world, fleet, [
    { type: 'command.issued', data: { verb: 'release', target, instances }, by },
  ]);
  const seq = written?.seq ?? 0;
  await taken(fleet, seq);
  return { seq, released: before - fleet.loop.state.holds.length };
}

export async function override(
  world: World,
  fleetName: string,
  ask: { target: string | null; identity: string | null; rollout: boolean; by: By },
): Promise<{ seq: number }> {
  const fleet = fleetOf(world, fleetName);
  await upToDate(fleet, 0);
  const { target, identity, rollout, by } = ask;
  if (target === null && !rollout)
    throw new Refusal('invalid', 'override', 'say what to override: a target, or the rollout');
  knownScope(fleet, target, null);
  const [written] = await append(world, fleet, [
    { type: 'command.issued', data: { verb: 'override', target, identity, rollout }, by },
  ]);
  if (target !== null) world.targets.observer(target)?.lookSoon();
  return { seq: written?.seq ?? 0 };
}

function knownScope(fleet: Fleet, target: string | null, instances: readonly string[] | null): void {
  if (target !== null && !fleet.loop.state.targets.has(target)) {
    throw new Refusal(
      'not-found',
      'no-target',
      `no instance of fleet "${fleet.name}" uses a target called "${target}"`,
    );
  }
  for (const name of instances ?? []) instanceOf(fleet, name);
}
