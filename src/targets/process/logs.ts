/**
 * Output of agents, in files. One file per life, the one before kept beside it; the agent itself writes, through
 * descriptors in append mode, so nothing is lost while the control plane is away.
 *
 * Promises: a start moves the log of the life before aside; a log grown beyond `LOG_MAX_BYTES` is cut to its newest part
 * (lines written in that very moment may be lost); reading holds one chunk in memory, whatever the size.
 */
import {
  closeSync,
  constants,
  fstatSync,
  ftruncateSync,
  openSync,
  readSync,
  renameSync,
  statSync,
  writeSync,
} from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { EXIT_OUTPUT_BYTES } from '../../core/limits.ts';
import { errnoOf, hostWork } from './failure.ts';
import { LOG_CHUNK_BYTES, LOG_FOLLOW_POLL_MS, LOG_KEEP_BYTES, LOG_MAX_BYTES, TAIL_MAX_BYTES } from './limits.ts';
import type { RecordFiles } from './records.ts';
import { pause } from '../wait.ts';

const NEWLINE = 0x0a;

export interface NewLog {
  readonly descriptor: number;
  /** The life does not begin after all: what was moved aside is moved back, with the last words of the life before. */
  undo(): void;
}

/** Opens the log for a new life; what the life before wrote, if anything, becomes the previous log. */
export function openLog(files: RecordFiles): NewLog {
  return hostWork(`open the log ${files.log}`, () => {
    const moved = logSize(files.log) > 0;
    if (moved) renameSync(files.log, files.previousLog);
    const descriptor = openSync(files.log, constants.O_WRONLY | constants.O_CREAT | constants.O_APPEND, 0o600);
    const undo = (): void => {
      if (moved) hostWork(`move the log ${files.previousLog} back`, () => renameSync(files.previousLog, files.log));
    };
    return { descriptor, undo };
  });
}

/** How much is written by now, bytes; 0 when there is no log. */
export function logSize(log: string): number {
  return statSync(log, { throwIfNoEntry: false })?.size ?? 0;
}

/** The last `EXIT_OUTPUT_BYTES` before `end` as text; null when there is nothing or it cannot be read. */
export function outputBefore(log: string, end: number): string | null {
  let file: number;
  try {
    file = openSync(log, 'r');
  } catch {
    return null; // An exit is told with or without its output.
  }
  try {
    const bytes = readBefore(file, end, EXIT_OUTPUT_BYTES);
    return bytes.length === 0 ? null : endOfText(bytes);
  } catch {
    return null;
  } finally {
    closeSync(file);
  }
}

/** Bytes as text of at most `EXIT_OUTPUT_BYTES`: what is no UTF-8 grows when it is replaced, and is cut again. */
function endOfText(bytes: Buffer): string {
  const whole = Buffer.from(bytes.subarray(characterStart(bytes, 0)).toString('utf8'));
  return whole.subarray(characterStart(whole, Math.max(0, whole.length - EXIT_OUTPUT_BYTES))).toString('utf8');
}

/** The first position from `at` on that is not within a character. */
function characterStart(bytes: Buffer, at: number): number {
  let from = at;
  while (from < at + 3 && ((bytes[from] ?? 0) & 0xc0) === 0x80) from += 1;
  return from;
}

/** Cuts a log that has grown too large. Descriptors in append mode go on at its new end. */
export function cutLog(log: string): void {
  const size = logSize(log);
  if (size <= LOG_MAX_BYTES) return;
  hostWork(`cut the log ${log}`, () => {
    const file = openSync(log, constants.O_RDWR | constants.O_APPEND);
    try {
      const newest = readBefore(file, fstatSync(file).size, LOG_KEEP_BYTES);
      ftruncateSync(file, 0);
      writeSync(file, `[holdfast: log cut at ${size} bytes, what is older was dropped]\n`);
      writeSync(file, newest.subarray(newest.indexOf(NEWLINE) + 1));
    } finally {
      closeSync(file);
    }
  });
}

function readBefore(file: number, end: number, most: number): Buffer {
  const bytes = Buffer.allocUnsafe(Math.min(end, most));
  const read = readSync(file, bytes, 0, bytes.length, end - bytes.length);
  return bytes.subarray(0, read);
}

/**
 * The last `tail` lines of one file, then, with `follow`, whatever is appended, through cuts and into the log of the next
 * life. Ends quietly when the signal aborts.
 */
export async function* readLog(
  path: string,
  ask: { readonly follow: boolean; readonly tail: number },
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  let file = await openIfThere(path);
  try {
    let at = file ? await tailStart(file, ask.tail) : 0;
    while (!signal.aborted) {
      if (file) {
        const chunk = Buffer.allocUnsafe(LOG_CHUNK_BYTES);
        const { bytesRead } = await file.read(chunk, 0, chunk.length, at);
        if (bytesRead > 0) {
          at += bytesRead;
          yield chunk.subarray(0, bytesRead);
          continue;
        }
      }
      if (!ask.follow) return;
      const next = await followed(path, file, at);
      if (next === 'same') await pauseQuietly(signal);
      else if (next === 'cut') at = 0;
      else {
        await file?.close();
        file = next;
        at = 0;
      }
    }
  } finally {
    await file?.close();
  }
}

/** Whether the path still names the open file; if not, the file of the next life. */
async function followed(path: string, file: FileHandle | null, at: number): Promise<FileHandle | 'same' | 'cut'> {
  const now = statSync(path, { throwIfNoEntry: false });
  if (now === undefined) return 'same';
  if (file === null) return (await openIfThere(path)) ?? 'same';
  const mine = await file.stat();
  if (mine.ino !== now.ino) {
    // What was written between our last read and the move is read first.
    return mine.size > at ? 'same' : ((await openIfThere(path)) ?? 'same');
  }
  return mine.size < at ? 'cut' : 'same';
}

async function openIfThere(path: string): Promise<FileHandle | null> {
  try {
    return await open(path, 'r');
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return null;
    throw error;
  }
}

/** Where the last `lines` lines begin, looking back no further than `TAIL_MAX_BYTES`. */
async function tailStart(file: FileHandle, lines: number): Promise<number> {
  const { size } = await file.stat();
  if (lines <= 0) return size;
  const floor = Math.max(0, size - TAIL_MAX_BYTES);
  const chunk = Buffer.allocUnsafe(LOG_CHUNK_BYTES);
  let found = 0;
  for (let end = size; end > floor;) {
    const from = Math.max(floor, end - chunk.length);
    const { bytesRead } = await file.read(chunk, 0, end - from, from);
    for (let i = bytesRead - 1; i >= 0; i -= 1) {
      // The newline at the very end closes the last line, it does not begin another.
      if (chunk[i] !== NEWLINE || from + i === size - 1) continue;
      found += 1;
      if (found === lines) return from + i + 1;
    }
    end = from;
  }
  return floor;
}

async function pauseQuietly(signal: AbortSignal): Promise<void> {
  try {
    await pause(LOG_FOLLOW_POLL_MS, signal);
  } catch {
    // Aborted: the loop sees it.
  }
}
