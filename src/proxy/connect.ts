/**
 * A connection to an agent. One that has just been started may not listen yet: it is tried again for a while, before a byte
 * of the request is sent, so that nothing is ever sent twice.
 */
import { connect, type Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { CONNECT_FOR_MS, CONNECT_RETRY_MS, CONNECT_TIMEOUT_MS } from './limits.ts';

/** Rejects when nothing listens at `at` (`host:port`) for `CONNECT_FOR_MS`, or when the signal aborts. */
export async function connectTo(at: string, signal: AbortSignal): Promise<Socket> {
  const giveUp = performance.now() + CONNECT_FOR_MS;
  for (;;) {
    try {
      return await connectOnce(at, signal);
    } catch (error) {
      if (signal.aborted || performance.now() >= giveUp) throw error;
      await pause(CONNECT_RETRY_MS, undefined, { signal });
    }
  }
}

function connectOnce(at: string, signal: AbortSignal): Promise<Socket> {
  const colon = at.lastIndexOf(':');
  const host = at.slice(0, colon).replace(/^\[|\]$/g, '');
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port: Number(at.slice(colon + 1)), noDelay: true });
    const fail = (error: Error): void => {
      signal.removeEventListener('abort', onAbort);
      socket.destroy();
      reject(error);
    };
    const onAbort = (): void => fail(new Error('the client went away'));
    signal.addEventListener('abort', onAbort, { once: true });
    socket.setTimeout(CONNECT_TIMEOUT_MS, () =>
      fail(new Error(`no connection to ${at} within ${CONNECT_TIMEOUT_MS} ms`)),
    );
    socket.once('error', fail);
    socket.once('connect', () => {
      signal.removeEventListener('abort', onAbort);
      socket.removeListener('error', fail);
      socket.setTimeout(0);
      resolve(socket);
    });
  });
}
