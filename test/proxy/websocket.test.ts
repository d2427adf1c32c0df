/** WebSockets through the proxy: frames both ways, how they end, and that they begin only when the agent agrees. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { Socket } from 'node:net';
import { test, type TestContext } from 'node:test';
import { type ClientOptions, type RawData, WebSocket, WebSocketServer } from 'ws';
import { until } from '../support/e2e.ts';
import { mirror, parrot, readSlowly, startSubject, type Subject, TOKEN } from './proxy-under-test.ts';

const MIB = 1024 * 1024;
const AGREED = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n';
const ASK = `GET /i/demo/bot/ HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${TOKEN}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n`;

interface Agent {
  readonly subject: Subject;
  readonly sockets: WebSocket[];
  readonly asked: { readonly url: string; readonly headers: { readonly [name: string]: unknown } }[];
}

async function agentWith(t: TestContext, react: (socket: WebSocket) => void, limits = {}): Promise<Agent> {
  const server = createServer();
  const sockets: WebSocket[] = [];
  const asked: Agent['asked'] = [];
  const wss = new WebSocketServer({ server, handleProtocols: (offered) => [...offered][0] ?? false });
  wss.on('connection', (socket, request) => {
    asked.push({ url: request.url ?? '', headers: request.headers });
    sockets.push(socket);
    socket.on('error', () => undefined);
    react(socket);
  });
  t.after(() => sockets.forEach((socket) => socket.terminate()));
  return { subject: await startSubject(t, server, { limits }), sockets, asked };
}

function dial(
  t: TestContext,
  subject: Subject,
  path = '/',
  options: ClientOptions = {},
  protocols: string[] = [],
): WebSocket {
  const socket = new WebSocket(`${subject.url.replace('http', 'ws')}/i/demo/bot${path}`, protocols, {
    headers: { authorization: `Bearer ${TOKEN}` },
    ...options,
  });
  socket.on('error', () => undefined);
  t.after(() => socket.terminate());
  return socket;
}

const text = (data: RawData): string => (data as Buffer).toString();

test('frames go both ways, text and binary, and the visit lasts as long as the connection', async (t) => {
  const { subject, asked } = await agentWith(t, (socket) =>
    socket.on('message', (data, binary) => socket.send(data as Buffer, { binary })),
  );
  const socket = dial(t, subject, '/chat?room=1', {}, ['chat.v1']);
  await once(socket, 'open');
  assert.equal(socket.protocol, 'chat.v1');
  assert.equal(asked[0]?.url, '/chat?room=1');
  assert.equal(asked[0]?.headers['authorization'], undefined);
  socket.send('hello');
  const [data, binary] = (await once(socket, 'message')) as [RawData, boolean];
  assert.deepEqual([text(data), binary], ['hello', false]);
  const big = Buffer.alloc(4 * MIB, 7);
  socket.send(big);
  const [back] = (await once(socket, 'message')) as [RawData];
  assert.ok(big.equals(back as Buffer));
  assert.equal(subject.visits.closed, 0);
  socket.close(4001, 'enough');
  await once(socket, 'close');
  await subject.settled();
});

test('an agent that speaks first, at once, is heard whole', async (t) => {
  const { subject } = await agentWith(t, (socket) => {
    for (let i = 0; i < 100; i += 1) socket.send(`word ${i}`);
  });
  const socket = dial(t, subject);
  const heard: string[] = [];
  socket.on('message', (data) => heard.push(text(data)));
  await until('all is heard', () => heard.length === 100);
  assert.deepEqual([heard[0], heard[99]], ['word 0', 'word 99']);
});

test('a close code of the agent reaches the client, and one of the client the agent', async (t) => {
  const { subject, sockets } = await agentWith(t, (socket) =>
    socket.on('message', () => socket.close(4002, 'go away')),
  );
  const first = dial(t, subject);
  await once(first, 'open');
  first.send('x');
  const [code, reason] = (await once(first, 'close')) as [number, Buffer];
  assert.deepEqual([code, reason.toString()], [4002, 'go away']);
  const second = dial(t, subject);
  await once(second, 'open');
  await until('the agent has it, too', () => sockets.length === 2);
  const told = once(sockets[1]!, 'close') as Promise<[number, Buffer]>;
  second.close(4003, 'bye');
  assert.equal((await told)[0], 4003);
  await subject.settled();
});

test('what an agent said last reaches a client that reads slowly, though the agent has closed', async (t) => {
  const head = `${AGREED}\r\n`;
  const agent = parrot((socket) => {
    socket.write(head);
    socket.end(Buffer.alloc(32 * MIB));
  });
  const subject = await startSubject(t, agent);
  const socket = subject.dial();
  socket.write(ASK);
  const answered = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n'.length;
  assert.equal(await readSlowly(socket), answered + 32 * MIB);
  await subject.settled();
});

test('an agent that dies takes the connection along, and so does a client', async (t) => {
  const { subject, sockets } = await agentWith(t, () => undefined);
  const first = dial(t, subject);
  await once(first, 'open');
  sockets[0]?.terminate();
  assert.equal(((await once(first, 'close')) as [number])[0], 1006);
  const second = dial(t, subject);
  await once(second, 'open');
  await until('the agent has it', () => sockets.length === 2);
  const told = once(sockets[1]!, 'close') as Promise<[number]>;
  second.terminate();
  assert.equal((await told)[0], 1006);
  await subject.settled();
});

test('an agent that does not agree is answered for as over HTTP, body and all', async (t) => {
  const subject = await startSubject(t, mirror());
  const socket = dial(t, subject);
  const [, response] = (await once(socket, 'unexpected-response')) as [
    unknown,
    NodeJS.ReadableStream & { statusCode: number },
  ];
  assert.equal(response.statusCode, 200);
  let body = '';
  for await (const part of response) body += String(part);
  assert.match(body, /"upgrade":"websocket"/);
  await subject.settled();
});

test('a WebSocket without a token is refused before anybody is woken', async (t) => {
  const { subject, asked } = await agentWith(t, () => undefined);
  const socket = dial(t, subject, '/', { headers: {} });
  const [, response] = (await once(socket, 'unexpected-response')) as [unknown, { statusCode: number }];
  assert.equal(response.statusCode, 401);
  assert.deepEqual(asked, []);
  assert.equal(subject.visits.opened, 0);
});

test('an agent that switches to another protocol than was asked for is refused', async (t) => {
  const subject = await startSubject(t, parrot(AGREED.replace('websocket', 'h2c') + '\r\n'));
  assert.match(await subject.raw(ASK), /^HTTP\/1\.1 502 /);
  await subject.settled();
});

test('L75 an agent that agrees sets no cookie of ours with it', async (t) => {
  const agent = parrot(
    `${AGREED}Set-Cookie: holdfast=evil\r\nSet-Cookie: sid=1; Path=/\r\nSec-WebSocket-Accept: x\r\n\r\nrest`,
  );
  const subject = await startSubject(t, agent);
  const answer = await subject.raw(ASK, (said) => said.endsWith('rest'));
  assert.match(answer, /^HTTP\/1\.1 101 /);
  assert.match(answer, /sec-websocket-accept: x/i);
  assert.match(answer, /set-cookie: sid=1; Path=\/i\/demo\/bot\//i);
  assert.ok(!answer.includes('evil'));
});

test('what a client says before the agent has agreed waits, and reaches it after that', async (t) => {
  const agents: Socket[] = [];
  const heard: string[] = [];
  const subject = await startSubject(
    t,
    parrot((socket) => void agents.push(socket), heard),
  );
  const socket = subject.dial();
  socket.write(`${ASK}early`);
  await until('the agent is asked', () => agents.length === 1);
  assert.ok(heard[0]?.endsWith('\r\n\r\n'), heard[0]);
  agents[0]?.write(`${AGREED}\r\n`);
  await until('it hears what was said early', () => heard[0]?.endsWith('early') ?? false);
});

test('a client that leaves while its instance wakes up is not waited for', async (t) => {
  for (const leave of ['destroy', 'end'] as const) {
    const subject = await startSubject(t, mirror(), {
      ready: (signal) => new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error('gone')))),
    });
    const socket = subject.dial();
    socket.write(ASK);
    await until('it waits', () => subject.visits.opened === 1);
    socket[leave]();
    await subject.settled();
  }
});

test('a client that leaves while the agent thinks about it is not waited for', async (t) => {
  const agents: Socket[] = [];
  const subject = await startSubject(
    t,
    parrot((socket) => void agents.push(socket)),
  );
  const socket = subject.dial();
  socket.write(ASK);
  await until('the agent is asked', () => agents.length === 1);
  socket.destroy();
  await subject.settled();
  await until('the agent is let go', () => agents[0]?.destroyed ?? false);
});

test('a connection on which nothing moves is closed', async (t) => {
  const { subject } = await agentWith(t, () => undefined, { idleMs: 100 });
  const socket = dial(t, subject);
  await once(socket, 'open');
  assert.equal(((await once(socket, 'close')) as [number])[0], 1006);
  await subject.settled();
});

test('an agent that does not hear that its client has gone is cut off', async (t) => {
  const agents: Socket[] = [];
  const deaf = parrot((socket) => {
    socket.pause();
    agents.push(socket);
    socket.write(`${AGREED}\r\n`);
  });
  const subject = await startSubject(t, deaf, { limits: { drainMs: 100 } });
  const socket = subject.dial();
  socket.write(ASK);
  await once(socket, 'data');
  socket.end();
  await subject.settled();
  assert.equal(subject.visits.closed, 1);
});

test('a closing proxy does not wait for open WebSockets', async (t) => {
  const { subject } = await agentWith(t, () => undefined, { closeGraceMs: 60_000 });
  const socket = dial(t, subject);
  await once(socket, 'open');
  await subject.close();
  await subject.settled();
});

test('a client that does not read holds its agent back, in bounded memory', async (t) => {
  const block = Buffer.alloc(MIB);
  let sent = 0;
  const { subject } = await agentWith(t, (socket) => {
    const more = (): void => {
      if (sent >= 256 * MIB) return;
      socket.send(block, () => {
        sent += block.length;
        more();
      });
    };
    more();
  });
  const socket = dial(t, subject);
  await once(socket, 'open');
  socket.pause();
  let before = -1;
  let looks = 0;
  await until('the agent is held back', () => {
    looks = sent === before ? looks + 1 : 0;
    before = sent;
    return looks > 10;
  });
  assert.ok(sent < 64 * MIB, `${sent} bytes were taken from the agent although nobody reads`);
});
