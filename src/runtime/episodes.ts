/**
 * Violations as episodes (L50): what is found broken tick after tick is one thing to tell, not a thousand. An episode begins
 * when a tick first finds an invariant broken in an instance, and is over when it was found whole and then left whole for
 * `EPISODE_QUIET_MS`, or when the instance is gone.
 */
import type { Violation } from '../core/invariants.ts';
import type { FleetState } from '../core/model.ts';
import { EPISODE_QUIET_MS, OPEN_EPISODES } from './limits.ts';

interface Episode {
  readonly invariant: number;
  readonly uid: string | null;
  lastMono: number;
  /** Looked at since, and found whole. */
  whole: boolean;
}

export class Episodes {
  private readonly open = new Map<string, Episode>();

  /** Those among `found` that begin an episode. `looked`: whom the tick has looked at. */
  begun(found: readonly Violation[], looked: Iterable<string>, state: FleetState, mono: number): readonly Violation[] {
    if (found.length === 0 && this.open.size === 0) return [];
    const begun: Violation[] = [];
    const standing = new Set<string>();
    for (const violation of found) {
      const { invariant, uid = null } = violation;
      const key = `${invariant}\0${uid ?? ''}`;
      standing.add(key);
      const episode = this.open.get(key);
      if (episode !== undefined) Object.assign(episode, { lastMono: mono, whole: false });
      // Beyond the bound they are still counted by the metrics; what is so broken needs no more words.
      else if (this.open.size < OPEN_EPISODES) {
        this.open.set(key, { invariant, uid, lastMono: mono, whole: false });
        begun.push(violation);
      }
    }
    if (this.open.size > standing.size) this.close(standing, new Set(looked), state, mono);
    return begun;
  }

  /** How many stand now, by invariant. */
  standing(): ReadonlyMap<number, number> {
    const counts = new Map<number, number>();
    for (const { invariant, whole } of this.open.values())
      if (!whole) counts.set(invariant, (counts.get(invariant) ?? 0) + 1);
    return counts;
  }

  private close(standing: ReadonlySet<string>, looked: ReadonlySet<string>, state: FleetState, mono: number): void {
    for (const [key, episode] of this.open) {
      if (standing.has(key)) continue;
      const { uid, lastMono } = episode;
      if (uid === null || looked.has(uid)) episode.whole = true;
      const gone = uid !== null && !state.instances.has(uid);
      if (gone || (episode.whole && mono - lastMono >= EPISODE_QUIET_MS)) this.open.delete(key);
    }
  }
}
