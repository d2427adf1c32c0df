/** One request through the proxy: admitted, held until its instance is ready, forwarded, answered. */
import type { ClientRequest, IncomingMessage, ServerResponse } from 'node:http';
import type { Log } from '../runtime/log.ts';
import type { Visit } from '../runtime/wake.ts';
import type { Address } from './address.ts';
import { admit, type Gate } from './admit.ts';
import { Answer, refuse } from './answer.ts';
import { deliver, linkTo, requestOn } from './exchange.ts';
import { hasBody } from './headers.ts';
import { drain, openLife } from './life.ts';
import type { ProxyLimits } from './limits.ts';

/** What all requests share. */
export interface Passing extends Gate {
  readonly wake: { visit(fleet: string, instance: string, port: number | null): Visit };
  readonly log: Log;
  readonly limits: ProxyLimits;
  /** Aborts when the proxy closes. */
  readonly closing: AbortSignal;
}

export const ENDING = new Answer(503, 'Holdfast is ending', 5);

/** Resolves when it is over, however it ends; never rejects. */
export async function pass(passing: Passing, incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
  const { wake, log, limits, closing } = passing;
  const life = openLife(incoming, outgoing, closing);
  // An aborted upload is told by its connection.
  incoming.on('error', () => undefined);
  let visit: Visit | null = null;
  let where = {};
  try {
    const { address, port } = await admit(passing, incoming);
    where = { fleet: address.fleet, instance: address.instance };
    visit = wake.visit(address.fleet, address.instance, port);
    const link = await visit.reach(linkTo, life.waiting);
    const request = requestOn(link, incoming, address);
    try {
      await forwarded(incoming, outgoing, request, address, limits.idleMs, life.gone);
    } finally {
      incoming.unpipe(request);
      link.socket.destroy();
    }
  } catch (error) {
    if (!life.gone.aborted) refuse(log, outgoing, where, closing.aborted && !outgoing.headersSent ? ENDING : error);
  } finally {
    visit?.close();
    life.release();
    drain(incoming, limits.drainMs);
  }
}

/** Resolves when the answer is through, or its client gone. */
function forwarded(
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  request: ClientRequest,
  address: Address,
  idleMs: number,
  gone: AbortSignal,
): Promise<void> {
  return new Promise((resolve, reject) => {
    let answering = false;
    // Once it answers, the answer tells how it ends: an agent need not read a body that it refuses.
    const failed = (error: Error): void => (answering ? undefined : reject(error));
    request.on('error', failed);
    request.on('close', () => failed(new Error('closed before it answered')));
    request.on('upgrade', (_response, socket) => {
      socket.destroy();
      failed(new Error('switched protocols, though nobody asked'));
    });
    request.setTimeout(idleMs, () => reject(new Answer(504, 'nothing moved for too long', null)));
    request.on('response', (response) => {
      answering = true;
      deliver(response, outgoing, address).then(resolve, reject);
    });
    gone.addEventListener('abort', () => resolve(), { once: true });
    if (gone.aborted) return resolve();
    if (!hasBody(incoming.headers)) request.end();
    else {
      // Only now: a client that asks first keeps its body until there is somebody to read it.
      if (incoming.headers.expect !== undefined) outgoing.writeContinue();
      incoming.pipe(request);
    }
  });
}
