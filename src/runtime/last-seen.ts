/**
 * When each agent was last heard: in memory, written down in batches, there again after a restart. For people to look at;
 * nothing is decided by it, for our downtime is not theirs.
 *
 *  1. At most one file is written per `LAST_SEEN_EVERY_MS`, however many agents there are: they are spread over
 *     `LAST_SEEN_FILES` files, whose turns come round. One file for all would be 2 MB for 50,000 agents, each time.
 *  2. A file is replaced whole or not at all; one that cannot be read is an empty one.
 */
import { mkdirSync, readFileSync } from 'node:fs';
import { rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { wordsOf } from '../core/error-words.ts';
import type { Clock } from '../ports/clock.ts';
import { LAST_SEEN_EVERY_MS, LAST_SEEN_FILES, LAST_SEEN_KEPT_MS } from './limits.ts';
import type { Log } from './log.ts';

export interface LastSeenWorld {
  readonly folder: string | null;
  readonly clock: Clock;
  readonly log: Log;
  isKnown(uid: string): boolean;
}

interface Part {
  readonly times: Map<string, number>;
  dirty: boolean;
}

export class LastSeen {
  private readonly world: LastSeenWorld;
  private readonly folder: string | null;
  private readonly parts: readonly Part[];
  private turn = 0;
  private writing: Promise<void> = Promise.resolve();
  private failed = false;
  private waiting = false;
  private stopped = false;
  private cancelTimer: () => void = () => undefined;

  constructor(world: LastSeenWorld) {
    this.world = world;
    this.folder = world.folder === null ? null : join(world.folder, 'last-seen');
    if (this.folder !== null) mkdirSync(this.folder, { recursive: true, mode: 0o700 });
    this.parts = Array.from({ length: LAST_SEEN_FILES }, (_, n) => ({ times: this.read(n), dirty: false }));
  }

  /** `at` in fleet time. */
  note(uid: string, at: number): void {
    const part = this.partOf(uid);
    part.times.set(uid, at);
    part.dirty = true;
    this.schedule();
  }

  at(uid: string): number | null {
    return this.partOf(uid).times.get(uid) ?? null;
  }

  /** Writes everything that is not written yet. Never rejects. */
  async stop(): Promise<void> {
    this.stopped = true;
    this.cancelTimer();
    await this.writing;
    for (const n of this.parts.keys()) if (this.parts[n]?.dirty === true) await this.write(n);
  }

  private partOf(uid: string): Part {
    let sum = 0;
    for (let i = 0; i < uid.length; i += 1) sum = (sum * 31 + uid.charCodeAt(i)) | 0;
    return this.parts[Math.abs(sum) % LAST_SEEN_FILES] as Part;
  }

  private schedule(): void {
    if (this.waiting || this.stopped || this.folder === null) return;
    this.waiting = true;
    this.cancelTimer = this.world.clock.after(LAST_SEEN_EVERY_MS, () => {
      this.writing = this.flush();
    });
  }

  /** The next one in turn that has anything new. */
  private async flush(): Promise<void> {
    for (let tried = 0; tried < LAST_SEEN_FILES; tried += 1) {
      const n = this.turn;
      this.turn = (this.turn + 1) % LAST_SEEN_FILES;
      if (this.parts[n]?.dirty !== true) continue;
      await this.write(n);
      break;
    }
    this.waiting = false;
    if (this.parts.some(({ dirty }) => dirty)) this.schedule();
  }

  private async write(n: number): Promise<void> {
    const part = this.parts[n];
    if (part === undefined || this.folder === null) return;
    part.dirty = false;
    let newest = 0;
    for (const at of part.times.values()) newest = Math.max(newest, at);
    for (const [uid, at] of part.times) {
      if (at < newest - LAST_SEEN_KEPT_MS && !this.world.isKnown(uid)) part.times.delete(uid);
    }
    const path = this.path(this.folder, n);
    try {
      await writeFile(`${path}.new`, JSON.stringify(Object.fromEntries(part.times)), { mode: 0o600 });
      await rename(`${path}.new`, path);
      this.failed = false;
    } catch (error) {
      part.dirty = true;
      if (!this.failed)
        this.world.log.warn(
          { error: wordsOf(error) },
          'when agents were last heard cannot be written; a restart would forget it',
        );
      this.failed = true;
    }
  }

  private read(n: number): Map<string, number> {
    if (this.folder === null) return new Map();
    try {
      const found: unknown = JSON.parse(readFileSync(this.path(this.folder, n), 'utf8'));
      const entries = typeof found === 'object' && found !== null ? Object.entries(found) : [];
      return new Map(entries.filter((entry): entry is [string, number] => typeof entry[1] === 'number'));
    } catch {
      return new Map(); // none yet, or damaged: it is only for looking at
    }
  }

  private path(folder: string, n: number): string {
    return join(folder, `${n.toString(16)}.json`);
  }
}
