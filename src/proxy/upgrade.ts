/**
 * WebSockets through the proxy. Only once the agent has agreed (101) are the two connections joined; until then nothing of the
 * client's goes to the agent but its request, and an agent that does not agree is answered for like any other. Joined before
 * that, a client could go on with requests of its own choice, past every check, to an agent that never meant to switch.
 */
import { type ClientRequest, type IncomingMessage, ServerResponse, validateHeaderValue } from 'node:http';
import type { Socket } from 'node:net';
import type { Visit } from '../runtime/wake.ts';
import { admit } from './admit.ts';
import { Answer, refuse } from './answer.ts';
import { deliver, linkTo, requestOn } from './exchange.ts';
import { hasBody, towardsClient } from './headers.ts';
import { openLife } from './life.ts';
import type { ProxyLimits } from './limits.ts';
import { ENDING, type Passing } from './pass.ts';

/** Any other protocol is not switched to: its request is answered as plain HTTP, as RFC 9110 §7.8 allows. */
export function isWebSocket({ method, headers }: IncomingMessage): boolean {
  return method === 'GET' && headers.upgrade?.toLowerCase() === 'websocket' && !hasBody(headers);
}

/** Resolves when it is over, however it ends; never rejects. `head`: what the client sent after its request. */
export async function upgrade(
  passing: Passing,
  incoming: IncomingMessage,
  client: Socket,
  head: Buffer,
): Promise<void> {
  const { wake, log, limits, closing } = passing;
  const outgoing = new ServerResponse(incoming);
  outgoing.shouldKeepAlive = false;
  outgoing.assignSocket(client);
  outgoing.once('finish', () => client.destroySoon());
  const hangUp = (): void => void client.destroy();
  // A client that ends its side before there is an answer has gone.
  client.on('error', hangUp).once('end', hangUp);
  const life = openLife(incoming, outgoing, closing);
  let visit: Visit | null = null;
  let where = {};
  try {
    if (!isWebSocket(incoming)) throw new Answer(400, 'of protocols to switch to, only "websocket" is known here');
    const { address, port } = await admit(passing, incoming);
    where = { fleet: address.fleet, instance: address.instance };
    visit = wake.visit(address.fleet, address.instance, port);
    const link = await visit.reach(linkTo, life.waiting);
    try {
      const request = requestOn(link, incoming, address, { connection: 'Upgrade', upgrade: 'websocket' });
      const answer = await answered(request, limits.idleMs, life.gone);
      if (answer.kind === 'agreed') {
        const headers = towardsClient(answer.response.headers, address.prefix);
        client.off('end', hangUp);
        outgoing.detachSocket(client);
        client.write(switching(headers));
        client.write(answer.head);
        link.socket.write(head);
        await joined(client, link.socket, limits);
      } else if (answer.kind === 'declined') await deliver(answer.response, outgoing, address);
    } finally {
      link.socket.destroy();
    }
  } catch (error) {
    if (!life.gone.aborted) refuse(log, outgoing, where, closing.aborted ? ENDING : error);
  } finally {
    visit?.close();
    life.release();
  }
}

type Answered =
  | { readonly kind: 'agreed'; readonly response: IncomingMessage; readonly head: Buffer }
  | { readonly kind: 'declined'; readonly response: IncomingMessage }
  | { readonly kind: 'gone' };

function answered(request: ClientRequest, idleMs: number, gone: AbortSignal): Promise<Answered> {
  return new Promise((resolve, reject) => {
    request.on('upgrade', (response, _socket, head) =>
      response.headers.upgrade?.toLowerCase() === 'websocket'
        ? resolve({ kind: 'agreed', response, head })
        : reject(new Error('switched to another protocol than was asked for')),
    );
    request.on('response', (response) => resolve({ kind: 'declined', response }));
    request.on('error', reject);
    request.on('close', () => reject(new Error('closed before it answered')));
    request.setTimeout(idleMs, () => reject(new Answer(504, 'nothing moved for too long', null)));
    gone.addEventListener('abort', () => resolve({ kind: 'gone' }), { once: true });
    if (gone.aborted) resolve({ kind: 'gone' });
    request.end();
  });
}

function switching(headers: ReturnType<typeof towardsClient>): string {
  const lines = ['HTTP/1.1 101 Switching Protocols', 'Connection: Upgrade', 'Upgrade: websocket'];
  for (const [name, values] of Object.entries(headers)) {
    for (const value of [values ?? []].flat().map(String)) {
      validateHeaderValue(name, value);
      lines.push(`${name}: ${value}`);
    }
  }
  return `${lines.join('\r\n')}\r\n\r\n`;
}

/**
 * Two connections as one, each as fast as the other reads, until both have closed. What one said last still reaches the other;
 * one that has heard the end and does not end itself is cut off after a while, for nobody is there any more.
 */
function joined(client: Socket, agent: Socket, { idleMs, drainMs }: ProxyLimits): Promise<void> {
  return new Promise((resolve) => {
    const sides = [
      [client, agent],
      [agent, client],
    ] as const;
    const late: NodeJS.Timeout[] = [];
    const cut = (): void => sides.forEach(([side]) => side.destroy());
    const closed = (): void => {
      if (!client.destroyed || !agent.destroyed) return;
      for (const timer of late) clearTimeout(timer);
      resolve();
    };
    for (const [from, to] of sides) {
      from.setTimeout(idleMs, cut);
      from.on('error', () => from.destroy());
      from.once('finish', () => late.push(setTimeout(cut, drainMs)));
      from.once('close', () => {
        to.destroySoon();
        closed();
      });
      from.pipe(to);
    }
    // One may have closed between its agreement and now.
    for (const [from, to] of sides) if (from.destroyed) to.destroySoon();
    closed();
  });
}
