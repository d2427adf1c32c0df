/** What is asked without changing anything: views of fleets and instances, and why they are as they are. */
import { why as explain, restsOn, type Why } from '../../core/explain.ts';
import { instanceView } from '../../core/view.ts';
import { fleetView } from '../../core/fleet-view.ts';
import type { StoredEvent } from '../../core/events.ts';
import type { Instance, Json, Phase } from '../../core/model.ts';
import { iso } from '../../core/time.ts';
import { Refusal, type FleetView, type InstanceView, type Page } from '../api.ts';
import type { Fleet } from '../fleet.ts';
import type { World } from '../world.ts';
import { fleetOf, instanceOf } from './fleets.ts';
import { stateAt } from './history.ts';
import { pastStates } from './places.ts';

export function viewOf(fleet: Fleet, inst: Instance, spec = false): InstanceView {
  const { state, agenda } = fleet.loop;
  const now = fleet.loop.time();
  const heard = fleet.lastBeat(inst.uid);
  const heartbeat =
    heard === null
      ? null
      : {
          lastAt: iso(heard.at),
          status: heard.beat.status ?? null,
          activeTasks: heard.beat.activeTasks ?? null,
          errorRate: heard.beat.errorRate ?? null,
          version: heard.beat.version ?? inst.agent?.version ?? null,
        };
  return instanceView(state, inst, now, { agenda, heartbeat, spec });
}

export function viewOfFleet(world: World, fleet: Fleet): FleetView {
  const { loop } = fleet;
  const age = world.clock.mono() - loop.lastTickMono;
  return fleetView(loop.state, loop.time(), {
    pending: loop.pendingFacts,
    lastTickAt: Math.round(loop.time() - age),
    owner: { id: world.runtime.owner, epoch: loop.epoch },
  });
}

/** A page by name, by code unit; the cursor is the last name of the page before. */
export function instances(
  world: World,
  fleetName: string,
  ask: { phase: Phase | null; labels: { readonly [key: string]: string }; limit: number; cursor: string | null },
): Page<InstanceView> {
  const fleet = fleetOf(world, fleetName);
  const { state } = fleet.loop;
  const after = ask.cursor === null ? '' : Buffer.from(ask.cursor, 'base64url').toString();
  const wanted = Object.entries(ask.labels);
  const items: InstanceView[] = [];
  let next: string | null = null;
  for (const name of [...state.names.keys()].filter((one) => one > after).sort()) {
    const inst = instanceOf(fleet, name);
    if (ask.phase !== null && inst.phase !== ask.phase) continue;
    if (!wanted.every(([key, value]) => inst.spec.labels[key] === value)) continue;
    if (items.length === ask.limit) {
      next = Buffer.from(items[items.length - 1]?.name ?? '').toString('base64url');
      break;
    }
    items.push(viewOf(fleet, inst));
  }
  return { items, next };
}

export async function why(world: World, fleetName: string, name: string, at: string | null): Promise<Why> {
  const fleet = fleetOf(world, fleetName);
  if (at !== null) return pastStates.within(() => whyAt(world, fleet, name, at));
  const { state, agenda } = fleet.loop;
  const { uid } = instanceOf(fleet, name);
  const now = fleet.loop.time();
  const events = await eventsAt(world, fleetName, restsOn(state, uid, now));
  const answer = explain(state, agenda, uid, fleet.loop.time(), events);
  if (answer === null) throw new Refusal('not-found', 'no-instance', `${name} has just been forgotten`);
  return answer;
}

async function whyAt(world: World, fleet: Fleet, name: string, at: string): Promise<Why> {
  const past = await stateAt(world, fleet, at);
  const uid = past.state.names.get(name);
  if (uid === undefined)
    throw new Refusal('not-found', 'no-instance', `fleet "${fleet.name}" had no instance called "${name}" at ${at}`);
  const events = await eventsAt(world, fleet.name, restsOn(past.state, uid, past.at));
  const answer = explain(past.state, null, uid, past.at, events);
  if (answer === null)
    throw new Refusal('not-found', 'no-instance', `fleet "${fleet.name}" had no instance called "${name}" at ${at}`);
  return answer;
}

/** The few events a row rests on. What retention has dropped is simply not among them. */
async function eventsAt(
  world: World,
  fleet: string,
  seqs: readonly number[],
): Promise<ReadonlyMap<number, StoredEvent>> {
  const found = new Map<number, StoredEvent>();
  for (const seq of seqs) {
    const [event] = await world.store.read(fleet, { after: seq - 1, to: seq, limit: 1 });
    if (event !== undefined) found.set(seq, event);
  }
  return found;
}

/** The manifest as last applied, or as it was at an earlier revision that the log still has. */
export async function manifest(
  world: World,
  fleetName: string,
  revision: string | null,
): Promise<{ revision: string; manifest: Json }> {
  const fleet = fleetOf(world, fleetName);
  const { state } = fleet.loop;
  if (state.revision === null)
    throw new Refusal('not-found', 'no-manifest', `no manifest was ever applied to fleet "${fleetName}"`);
  if (revision === null || revision === state.revision) return { revision: state.revision, manifest: state.manifest };
  let after = 0;
  for (;;) {
    const page = await world.store.read(fleetName, { after, limit: READ_PAGE });
    for (const event of page) {
      if (event.type === 'manifest.applied' && event.data.revision === revision)
        return { revision, manifest: event.data.manifest };
    }
    const last = page[page.length - 1];
    if (last === undefined) break;
    after = last.seq;
  }
  const oldest = await world.store.oldest(fleetName);
  const reach = oldest === null ? '' : `; the log reaches back to ${iso(oldest.at)}`;
  throw new Refusal('not-found', 'no-revision', `fleet "${fleetName}" has no manifest of revision ${revision}${reach}`);
}

const READ_PAGE = 5_000;
