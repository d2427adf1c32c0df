/**
 * Output of containers, as the engine keeps it. One container has many lives, and the engine one log of them all: a life is
 * cut out by its time.
 */
import type { ContainerInspectInfo } from 'dockerode';
import { EXIT_OUTPUT_BYTES } from '../../core/limits.ts';
import { pause } from '../wait.ts';
import type { Engine } from './engine.ts';
import {
  EXIT_OUTPUT_LINES,
  EXIT_OUTPUT_MS,
  FOLLOW_POLL_MS,
  LAST_WORDS_STAMP_MS,
  START_STAMP_MS,
  TAIL_LINES,
} from './limits.ts';
import { framesOf } from './lines.ts';
import { incarnationOf, lifeBegan, stamp } from './looks.ts';

/** Seconds as the engine counts them; null: from the first line, or to the last. */
export interface Span {
  readonly since: string | null;
  readonly until: string | null;
}

interface Cut extends Partial<Span> {
  readonly tail: number;
  readonly follow?: boolean;
}

export async function* output(engine: Engine, id: string, cut: Cut, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  const query = {
    stdout: true,
    stderr: true,
    follow: cut.follow ?? false,
    tail: Math.min(Math.max(0, cut.tail), TAIL_LINES),
    since: cut.since ?? undefined,
    until: cut.until ?? undefined,
  };
  yield* framesOf(
    await engine.stream(
      { method: 'GET', path: `/containers/${id}/logs`, query, doing: `read the output of ${id.slice(0, 12)}` },
      signal,
    ),
  );
}

/** Output of the present (or last) life of this container; while following, of its later ones, too. Ends quietly on abort. */
export async function* lifeOutput(
  engine: Engine,
  inspect: (signal: AbortSignal) => Promise<ContainerInspectInfo | null>,
  ask: { readonly follow: boolean; readonly tail: number },
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  let { tail } = ask;
  let seen: string | null = null;
  while (!signal.aborted) {
    try {
      const info = await inspect(signal);
      const life = info && incarnationOf(info);
      if (info && life !== seen) {
        seen = life;
        yield* output(engine, info.Id, { tail, follow: ask.follow, since: lifeBegan(info, START_STAMP_MS) }, signal);
        tail = TAIL_LINES;
      }
      if (!ask.follow) return;
      await pause(FOLLOW_POLL_MS, signal);
    } catch (error) {
      if (signal.aborted) return;
      throw error;
    }
  }
}

/** Output of earlier lives of this container, if it had any. */
export async function earlierOutput(
  engine: Engine,
  info: ContainerInspectInfo,
  tail: number,
  signal: AbortSignal,
): Promise<Buffer> {
  const until = lifeBegan(info, START_STAMP_MS);
  return until === null
    ? Buffer.alloc(0)
    : collect(output(engine, info.Id, { tail, until }, signal), Number.POSITIVE_INFINITY);
}

/** When the last life of a container that has ended was. */
export function lastLife(info: ContainerInspectInfo): Span {
  const { StartedAt, FinishedAt } = info.State;
  const reachMs = lastWordsReachMs(info.RestartCount);
  return {
    since: lifeBegan(info, reachMs),
    until: FinishedAt > StartedAt ? stamp(FinishedAt, -reachMs) : null,
  };
}

/** Where the engine restarts it by itself, the life before is close; elsewhere a wider reach costs nothing. */
export const lastWordsReachMs = (restarts: number): number => (restarts > 0 ? START_STAMP_MS : LAST_WORDS_STAMP_MS);

/** The last words of the life that ended, as text; null when there are none, or the engine does not keep them. */
export async function lastWords(engine: Engine, id: string, life: Span, outer: AbortSignal): Promise<string | null> {
  try {
    const signal = AbortSignal.any([outer, AbortSignal.timeout(EXIT_OUTPUT_MS)]);
    const bytes = await collect(output(engine, id, { tail: EXIT_OUTPUT_LINES, ...life }, signal), EXIT_OUTPUT_BYTES);
    return bytes.length === 0 ? null : textOf(bytes);
  } catch (error) {
    if (outer.aborted) throw error;
    return null; // An exit is told with or without its output: log drivers may not be able to read.
  }
}

/** The last `most` bytes. */
export async function collect(chunks: AsyncIterable<Uint8Array>, most: number): Promise<Buffer> {
  let kept: Buffer = Buffer.alloc(0);
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of chunks) {
    parts.push(chunk);
    size += chunk.length;
    if (size <= 2 * most + 65_536) continue;
    kept = lastOf(Buffer.concat([kept, ...parts]), most);
    parts.length = 0;
    size = 0;
  }
  return lastOf(Buffer.concat([kept, ...parts]), most);
}

const lastOf = (bytes: Buffer, most: number): Buffer => bytes.subarray(Math.max(0, bytes.length - most));

/** At most `EXIT_OUTPUT_BYTES` of text: what is no UTF-8 grows when it is replaced, and is cut again. */
function textOf(bytes: Buffer): string {
  const whole = Buffer.from(fromCharacter(bytes).toString('utf8'));
  return fromCharacter(lastOf(whole, EXIT_OUTPUT_BYTES)).toString('utf8');
}

/** Without the end of a character whose beginning was cut off. */
function fromCharacter(bytes: Buffer): Buffer {
  let from = 0;
  while (from < 3 && ((bytes[from] ?? 0) & 0xc0) === 0x80) from += 1;
  return bytes.subarray(from);
}
