/** How long anybody is interested in a request: until its client is gone; while it waits, until the proxy closes, too. */
import type { IncomingMessage } from 'node:http';
import type { Writable } from 'node:stream';

export interface Life {
  /** The client went away: nobody would read an answer. */
  readonly gone: AbortSignal;
  /** That, or the proxy is closing. */
  readonly waiting: AbortSignal;
  /** Its answer is through. */
  release(): void;
}

export function openLife(incoming: IncomingMessage, answer: Writable, closing: AbortSignal): Life {
  const { socket } = incoming;
  const gone = new AbortController();
  const waiting = new AbortController();
  const onClosing = (): void => waiting.abort();
  const onGone = (): void => {
    gone.abort();
    waiting.abort();
  };
  // The connection, too: an answer that is still in line behind another one is not told of its end.
  for (const one of [answer, socket]) one.once('close', onGone);
  closing.addEventListener('abort', onClosing, { once: true });
  if (socket.destroyed) onGone();
  if (closing.aborted) onClosing();
  return {
    gone: gone.signal,
    waiting: waiting.signal,
    release() {
      for (const one of [answer, socket]) one.off('close', onGone);
      closing.removeEventListener('abort', onClosing);
    },
  };
}

/** What a refused client still sends is read and dropped for a while, or the answer would be lost with the connection. */
export function drain(incoming: IncomingMessage, forMs: number): void {
  if (incoming.complete || incoming.socket.destroyed) {
    incoming.resume();
    return;
  }
  const { socket } = incoming;
  const late = setTimeout(() => socket.destroy(), forMs);
  const done = (): void => {
    clearTimeout(late);
    socket.off('close', done);
  };
  // The connection, too: once it is answered, a request is not told of its end.
  socket.once('close', done);
  incoming.once('end', done).once('close', done);
  incoming.unpipe();
  incoming.resume();
}
