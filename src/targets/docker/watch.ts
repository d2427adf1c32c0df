/**
 * The engine's event stream, kept open. For speed only: whoever missed an event is told to look again, at once when the stream
 * breaks and at once when it is open again, since nothing tells what happened between.
 */
import type { IncomingMessage } from 'node:http';
import type { Readable } from 'node:stream';
import { wordsOf } from '../../core/error-words.ts';
import { pause } from '../wait.ts';
import type { Engine } from './engine.ts';
import { ownerIn, scopeFilter, type Labels, type Owner, type Scope } from './labels.ts';
import { KEEP_ALIVE_MS, REOPEN_MAX_MS, REOPEN_MIN_MS } from './limits.ts';
import { linesOf } from './lines.ts';

/** What matters. `kill`, `stop` and `oom` say no more than the `die` that comes with them, or are not the end of anything. */
const ACTIONS = ['start', 'die', 'pause', 'unpause', 'rename', 'destroy', 'health_status'] as const;
type Action = (typeof ACTIONS)[number];

export interface EngineEvent {
  readonly action: Action;
  readonly id: string;
  readonly owner: Owner;
  /** When, in the engine's seconds. */
  readonly at: string;
  /** Of a `die`. */
  readonly exitCode: number | null;
}

interface Message {
  readonly time?: number;
  /** Nanoseconds: too large for a number to be exact, which does not matter here. */
  readonly timeNano?: number;
  readonly Action?: string;
  readonly Actor?: { readonly ID?: string; readonly Attributes?: Labels };
}

/** Runs until the signal aborts. */
export async function followEvents(
  engine: Engine,
  scope: Scope,
  tell: { event(event: EngineEvent): void; lookAgain(reason: string): void },
  signal: AbortSignal,
): Promise<void> {
  let waitMs = REOPEN_MIN_MS;
  const filters = JSON.stringify({ type: ['container'], event: ACTIONS, label: scopeFilter(scope) });
  while (!signal.aborted) {
    try {
      const stream = await engine.stream(
        { method: 'GET', path: '/events', query: { filters }, doing: 'follow its events' },
        signal,
      );
      keepAlive(stream);
      waitMs = REOPEN_MIN_MS;
      tell.lookAgain('the event stream is open');
      for await (const line of linesOf(stream)) {
        const event = eventIn(JSON.parse(line) as Message, scope);
        if (event) tell.event(event);
      }
      if (!signal.aborted) tell.lookAgain('the engine closed the event stream');
    } catch (error) {
      // Said once per break, not with each try to open it again: the engine may be away for long.
      if (!signal.aborted && waitMs === REOPEN_MIN_MS) tell.lookAgain(`the event stream broke: ${wordsOf(error)}`);
    }
    await pause(waitMs, signal).catch(() => undefined); // Aborted: the loop sees it.
    waitMs = Math.min(REOPEN_MAX_MS, waitMs * 2);
  }
}

function eventIn({ Action, Actor, time = 0, timeNano = 0 }: Message, scope: Scope): EngineEvent | null {
  // "health_status: healthy"
  const action = ACTIONS.find((one) => one === Action?.split(':')[0]);
  const owner = ownerIn(Actor?.Attributes, scope);
  if (action === undefined || owner === null || Actor?.ID === undefined) return null;
  const code = Actor.Attributes?.['exitCode'];
  const at = `${time}.${String(timeNano % 1e9).padStart(9, '0')}`;
  return { action, id: Actor.ID, owner, at, exitCode: code === undefined ? null : Number(code) };
}

/** A connection that died without a word (a host that vanished) ends the stream within minutes instead of never. */
function keepAlive(stream: Readable): void {
  if ('socket' in stream) (stream as IncomingMessage).socket.setKeepAlive(true, KEEP_ALIVE_MS);
}
