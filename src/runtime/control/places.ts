/**
 * Places for work that is heavy, in memory or for the targets: so many at once, so many in line, and beyond that a refusal instead of a process
 * that dies of what was asked of it, or an engine that has no time for anything else. Whoever waits is let in, in order.
 */
import { Refusal } from '../api.ts';
import { LOOKS_AT_ONCE, LOOKS_WAITING, PAST_STATES_AT_ONCE, PAST_STATES_WAITING } from '../limits.ts';

export interface PlacesAsk {
  readonly atOnce: number;
  readonly waiting: number;
  /** "states of the past": what is refused. */
  readonly what: string;
}

export class Places {
  private readonly ask: PlacesAsk;
  private taken = 0;
  private readonly line: (() => void)[] = [];

  constructor(ask: PlacesAsk) {
    this.ask = ask;
  }

  async within<T>(work: () => Promise<T>): Promise<T> {
    const { atOnce, waiting, what } = this.ask;
    if (this.taken < atOnce) this.taken += 1;
    else if (this.line.length < waiting) await new Promise<void>((resolve) => this.line.push(resolve));
    else
      throw new Refusal(
        'unavailable',
        'places',
        `${atOnce} ${what} are being made and ${waiting} wait, as many as may; ask again in a moment`,
      );
    try {
      return await work();
    } finally {
      // The place is handed on, or given back.
      const next = this.line.shift();
      if (next === undefined) this.taken -= 1;
      else next();
    }
  }
}

/** Of this process: each holds the state of a whole fleet, beside those of the replays. */
export const pastStates = new Places({
  atOnce: PAST_STATES_AT_ONCE,
  waiting: PAST_STATES_WAITING,
  what: 'states of the past',
});

/** Of this process: each asks every target in use for a whole listing. */
export const looks = new Places({ atOnce: LOOKS_AT_ONCE, waiting: LOOKS_WAITING, what: 'looks at the targets' });
