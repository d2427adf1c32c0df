/**
 * Facts that could not be written together, one by one: one that cannot be written at all must not keep the others out of the
 * log (L46). It is said, and dropped.
 */
import { wordsOf } from '../core/error-words.ts';
import type { NewEvent } from '../core/events.ts';
import type { Store } from '../ports/store.ts';
import type { Log } from './log.ts';

/** Takes away from `facts` what is written or dropped, so that what an outage leaves of it can be offered again. */
export async function appendSingly(
  { store, log }: { readonly store: Store; readonly log: Log },
  fleet: string,
  facts: NewEvent[],
  now: () => number,
): Promise<void> {
  for (;;) {
    const fact = facts[0];
    if (fact === undefined) return;
    try {
      await store.append(fleet, [fact], now);
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
      const { type, instance } = fact;
      log.error({ fleet, type, instance, error: wordsOf(error) }, 'a fact cannot be written, and is dropped');
    }
    facts.shift();
  }
}
