/** Reads a stretch of a fleet's log, page by page, never more than `EVENTS_READ`. */
import type { EventView } from '../runtime/api.ts';
import type { Client } from './client.ts';
import { EVENTS_PAGE, EVENTS_READ } from './limits.ts';

export interface Stretch {
  /** Events after this seq; or from this time on (ISO). */
  readonly start: { readonly after: number } | { readonly from: string };
  readonly instance: string | null;
}

/** Pages as they come. `onBound` is told when there was more than is read. */
export async function* readEvents(
  client: Client,
  fleet: string,
  { start, instance }: Stretch,
  onBound: () => Promise<void>,
): AsyncGenerator<readonly EventView[]> {
  let position: { readonly after: number } | { readonly from: string } = start;
  for (let read = 0; ;) {
    const page = await client.events(fleet, { ...position, instance, limit: EVENTS_PAGE });
    yield page.items;
    read += page.items.length;
    if (page.next === null) return;
    if (read >= EVENTS_READ) {
      await onBound();
      return;
    }
    position = { after: Number(page.next) };
  }
}
