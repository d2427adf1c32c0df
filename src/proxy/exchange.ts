/** One request to an agent, and its answer to the client: headers as they may be seen, bodies as they come. */
import { type ClientRequest, type IncomingMessage, request as httpRequest, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { pipeline } from 'node:stream';
import type { Connect } from '../runtime/wake.ts';
import type { Address } from './address.ts';
import { Answer } from './answer.ts';
import { connectTo } from './connect.ts';
import { isPlainlyFramed, towardsAgent, towardsClient } from './headers.ts';
import { HEADER_BYTES } from './limits.ts';

/** An open connection, and where it leads to. */
export interface Link {
  readonly socket: Socket;
  readonly at: string;
}

export const linkTo: Connect<Link> = async (at, young, signal) => ({ socket: await connectTo(at, young, signal), at });

/** Begins the request; the body is the caller's. The socket is gone if that throws. */
export function requestOn(
  { socket, at }: Link,
  incoming: IncomingMessage,
  address: Address,
  more: { readonly [name: string]: string } = {},
): ClientRequest {
  try {
    return httpRequest({
      createConnection: () => socket,
      method: incoming.method ?? 'GET',
      path: address.rest,
      headers: { ...towardsAgent(incoming, address, at), ...more },
      setHost: false,
      maxHeaderSize: HEADER_BYTES,
    });
  } catch (error) {
    socket.destroy();
    throw new Answer(400, 'this request has a header that cannot be passed on', null, error);
  }
}

/** Resolves when the answer is through; rejects when it is not whole, or none that may be passed on. */
export function deliver(response: IncomingMessage, outgoing: ServerResponse, { prefix }: Address): Promise<void> {
  return new Promise((resolve, reject) => {
    if (!isPlainlyFramed(response.headers)) throw new Error(`it came as ${response.headers['transfer-encoding']}`);
    // Throws on what an agent may send and we may not: a control character in its reason phrase, a status like 42.
    outgoing.writeHead(response.statusCode ?? 0, response.statusMessage ?? '', towardsClient(response.headers, prefix));
    outgoing.flushHeaders();
    pipeline(response, outgoing, (error) => (error == null ? resolve() : reject(error)));
  });
}
