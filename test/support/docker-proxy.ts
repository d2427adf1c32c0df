/**
 * A man in the middle of an engine's socket: tells what was asked, and can leave questions unanswered or cut connections.
 */
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, request } from 'node:http';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, type Engine } from '../../src/targets/docker/engine.ts';
import { engineAddress } from '../../src/targets/docker/settings.ts';

export interface EngineProxy {
  readonly host: string;
  readonly engine: Engine;
  /** "GET /containers/json?…" of everything asked so far. */
  readonly asked: string[];
  /** From now on, what matches is passed on to nobody and never answered; null: everything is passed on again. */
  hold(what: RegExp | null): void;
  /** From now on, what matches is answered with that, as a lying engine would; null: with the truth. */
  forge(what: RegExp | null, answer?: string): void;
  /** Ends every connection at once. */
  cut(): void;
  close(): Promise<void>;
}

export async function engineProxy(host: string): Promise<EngineProxy> {
  const upstream = new URL(host);
  const to =
    upstream.protocol === 'unix:'
      ? { socketPath: upstream.pathname }
      : { host: upstream.hostname, port: upstream.port };
  const folder = mkdtempSync(join(tmpdir(), 'hf-proxy-'));
  const socket = join(folder, 'S');
  const asked: string[] = [];
  const connections = new Set<Socket>();
  let held: RegExp | null = null;
  let lie: { readonly what: RegExp; readonly answer: string } | null = null;

  const server = createServer((incoming, answer) => {
    const line = `${incoming.method} ${incoming.url}`;
    asked.push(line);
    if (held?.test(line)) return;
    if (lie?.what.test(line)) {
      answer.setHeader('content-type', 'application/json');
      return void answer.end(lie.answer);
    }
    const outgoing = request(
      { ...to, method: incoming.method, path: incoming.url, headers: incoming.headers },
      (reply) => {
        answer.writeHead(reply.statusCode ?? 502, reply.headers);
        answer.flushHeaders();
        reply.pipe(answer);
      },
    );
    outgoing.on('error', () => answer.destroy());
    answer.on('close', () => outgoing.destroy());
    incoming.pipe(outgoing);
  });
  server.on('connection', (connection) => {
    connections.add(connection);
    connection.on('close', () => connections.delete(connection));
  });
  server.listen(socket);
  await once(server, 'listening');
  const cut = (): void => connections.forEach((connection) => connection.destroy());
  return {
    host: `unix://${socket}`,
    engine: connect(engineAddress({ host: `unix://${socket}` }, 'proxy')),
    asked,
    hold: (what) => void (held = what),
    forge: (what, text = '[]') => void (lie = what === null ? null : { what, answer: text }),
    cut,
    async close() {
      server.close();
      cut();
      await once(server, 'close');
      rmSync(folder, { recursive: true });
    },
  };
}
