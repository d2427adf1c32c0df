/**
 * A connection to an agent, open and untouched: nothing of the request has been sent, so that whoever asked may try again.
 */
import { connect, type Socket } from 'node:net';
import { CONNECT_TIMEOUT_MS, SETTLE_MS } from './limits.ts';

/**
 * Rejects when nothing takes the connection at `at` (`host:port`), or when the signal aborts. `young`: nor if it is dropped
 * at once, as docker-proxy does while the agent behind it does not listen yet.
 */
export async function connectTo(at: string, young: boolean, signal: AbortSignal): Promise<Socket> {
  const socket = await connected(at, signal);
  if (!young || !(await droppedAtOnce(socket))) return socket;
  socket.destroy();
  throw new Error(`${at} took the connection and dropped it at once`);
}

function connected(at: string, signal: AbortSignal): Promise<Socket> {
  const colon = at.lastIndexOf(':');
  const host = at.slice(0, colon).replace(/^\[|\]$/g, '');
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const socket = connect({ host, port: Number(at.slice(colon + 1)), noDelay: true });
    const fail = (error: Error): void => {
      signal.removeEventListener('abort', onAbort);
      socket.destroy();
      reject(error);
    };
    const onAbort = (): void => fail(new Error('called off'));
    const onTimeout = (): void => fail(new Error(`no connection to ${at} within ${CONNECT_TIMEOUT_MS} ms`));
    signal.addEventListener('abort', onAbort, { once: true });
    socket.setTimeout(CONNECT_TIMEOUT_MS, onTimeout);
    // Stays: an error between two owners of the socket must not be nobody's.
    socket.on('error', fail);
    socket.once('connect', () => {
      signal.removeEventListener('abort', onAbort);
      socket.setTimeout(0, onTimeout);
      resolve(socket);
    });
  });
}

function droppedAtOnce(socket: Socket): Promise<boolean> {
  return new Promise((resolve) => {
    const end = (dropped: boolean): void => {
      clearTimeout(timer);
      socket.off('readable', onReadable).off('close', onClose);
      resolve(dropped);
    };
    // An agent that speaks first has taken it; what it said stays in the socket.
    const onReadable = (): void => end(socket.readableLength === 0);
    const onClose = (): void => end(true);
    const timer = setTimeout(() => end(socket.destroyed), SETTLE_MS);
    socket.on('readable', onReadable).on('close', onClose);
  });
}
