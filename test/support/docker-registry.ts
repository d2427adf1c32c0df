/**
 * An image registry that has nothing: it answers as the distribution API asks it to, and knows no manifest. The engine speaks
 * plain HTTP with whatever is at 127.0.0.0/8.
 */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface EmptyRegistry {
  /** "127.0.0.1:12345" */
  readonly address: string;
  /** Answers nothing at all from now on. */
  hang(): void;
  close(): Promise<void>;
}

export async function emptyRegistry(): Promise<EmptyRegistry> {
  let hangs = false;
  const server = createServer((request, answer) => {
    if (hangs) return;
    answer.setHeader('Docker-Distribution-Api-Version', 'registry/2.0');
    answer.setHeader('Content-Type', 'application/json');
    if (request.url === '/v2/') return void answer.end('{}');
    answer.statusCode = 404;
    answer.end(JSON.stringify({ errors: [{ code: 'MANIFEST_UNKNOWN', message: 'manifest unknown' }] }));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    hang: () => void (hangs = true),
    async close() {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}
