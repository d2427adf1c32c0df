/** A connection is an agent's only when somebody stays on it: what stands in front of a young one takes it, and drops it. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { test, type TestContext } from 'node:test';
import { connectTo } from '../../src/proxy/connect.ts';

const NEVER = new AbortController().signal;

async function listening(t: TestContext, react: (socket: Socket) => void): Promise<{ at: string; server: Server }> {
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    sockets.push(socket);
    socket.on('error', () => undefined);
    react(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { at: `127.0.0.1:${(server.address() as AddressInfo).port}`, server };
}

test('a young agent that is not behind its forwarder yet is not taken for one that listens', async (t) => {
  for (const drop of [
    (socket: Socket): unknown => socket.destroy(),
    (socket: Socket): unknown => socket.end(),
    (socket: Socket): unknown => socket.resetAndDestroy(),
  ]) {
    const { at } = await listening(t, (socket) => void drop(socket));
    await assert.rejects(connectTo(at, true, NEVER), /dropped|ECONNRESET/);
  }
});

test('a young agent that waits to be spoken to is taken, and so is one that speaks first, whose words are kept', async (t) => {
  const silent = await listening(t, () => undefined);
  const first = await connectTo(silent.at, true, NEVER);
  assert.ok(!first.destroyed);
  first.destroy();
  const speaking = await listening(t, (socket) => void socket.write('welcome'));
  const second = await connectTo(speaking.at, true, NEVER);
  const [words] = (await once(second, 'data')) as [Buffer];
  assert.equal(words.toString(), 'welcome');
  second.destroy();
});

test('where nothing listens it is refused at once, and a call that is off makes none', async (t) => {
  const { at, server } = await listening(t, () => assert.fail('it was called'));
  await assert.rejects(connectTo(at, false, AbortSignal.abort()));
  server.close();
  await once(server, 'close');
  await assert.rejects(connectTo(at, false, NEVER), /ECONNREFUSED/);
});
