/**
 * A fleet's log as lines of a file, from its beginning or from a place in it, up to its head when it was asked for. Read page
 * by page, at the reader's pace; changes nothing.
 */
import { logHead, logLine } from '../../core/log-file.ts';
import type { World } from '../world.ts';
import { fleetOf } from './fleets.ts';
import { earliestReachable, pages, stateBefore, type Place } from './history.ts';
import { pastStates } from './places.ts';
import { rangeOf } from './range.ts';

/** Refuses before the first line what cannot be exported. */
export async function exportLog(world: World, fleetName: string, from: Place | null): Promise<AsyncIterable<string>> {
  const fleet = fleetOf(world, fleetName);
  const range = await rangeOf(world, fleet, { from, to: null });
  const earliest = await earliestReachable(world, fleetName);
  const begins = Math.max(range.from, earliest?.seq ?? 1);
  const about = { fleet: fleetName, build: world.version, at: fleet.loop.time() };
  const head =
    begins === 1
      ? JSON.stringify(logHead(about, null))
      : await pastStates.within(async () =>
          JSON.stringify(logHead(about, (await stateBefore(world, fleetName, begins)).state)),
        );
  return lines(world, fleetName, head, begins, range.to);
}

async function* lines(world: World, fleet: string, head: string, from: number, to: number): AsyncGenerator<string> {
  // Secrets' values never enter the log; should one have, it stays here all the same.
  const redact = (text: string): string => world.vault.redactor.text(text);
  yield `${redact(head)}\n`;
  let events = 0;
  for await (const page of pages(world, fleet, from - 1, to)) {
    events += page.length;
    yield page.map((event) => `${redact(logLine(event))}\n`).join('');
  }
  yield `${JSON.stringify({ end: true, events })}\n`;
}
