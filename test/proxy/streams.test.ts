/** Bodies stream both ways as they come, in bounded memory; whatever ends a request ends it on both sides, and closes its visit. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage, request as httpRequest, type ServerResponse } from 'node:http';
import { createServer as createTcp, type Socket } from 'node:net';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { until } from '../support/e2e.ts';
import {
  mirror,
  mirrored,
  parrot,
  readSlowly,
  said,
  type Seen,
  startSubject,
  type Subject,
  TOKEN,
} from './proxy-under-test.ts';

const MIB = 1024 * 1024;
const AUTH = `Host: localhost\r\nAuthorization: Bearer ${TOKEN}\r\n`;
const headers = { authorization: `Bearer ${TOKEN}` };

/** A request under way, both sides in the test's hands. */
interface Under {
  readonly client: ReturnType<typeof httpRequest>;
  /** The client's end of the answer. */
  readonly answer: () => Promise<IncomingMessage>;
}

function begin(
  subject: Subject,
  path: string,
  options: { method?: string; more?: { [name: string]: string } } = {},
): Under {
  const client = httpRequest({
    host: '127.0.0.1',
    port: subject.port,
    path: `/i/demo/bot${path}`,
    method: options.method ?? 'GET',
    agent: false,
    headers: { ...headers, ...options.more },
  });
  client.on('error', () => undefined);
  if (options.method === undefined) client.end();
  const response = once(client, 'response') as Promise<[IncomingMessage]>;
  response.catch(() => undefined);
  return { client, answer: async () => (await response)[0] };
}

/** Closed, with an error or without. */
const over = (stream: IncomingMessage): Promise<void> => new Promise((resolve) => void stream.once('close', resolve));

/** An agent that hands each request to the test. */
function handed(): { server: ReturnType<typeof createServer>; next: () => Promise<[IncomingMessage, ServerResponse]> } {
  const server = createServer();
  server.on('request', (incoming) => incoming.on('error', () => undefined));
  return { server, next: () => once(server, 'request') as Promise<[IncomingMessage, ServerResponse]> };
}

test('both bodies stream as they come, at the same time', async (t) => {
  const agent = createServer((incoming, outgoing) => void incoming.pipe(outgoing));
  const subject = await startSubject(t, agent);
  const { client, answer } = begin(subject, '/', { method: 'POST' });
  client.write('one');
  const response = await answer();
  const heard: string[] = [];
  response.setEncoding('utf8').on('data', (text: string) => heard.push(text));
  await until('the first word is back', () => heard.join('') === 'one');
  client.write('two');
  await until('the second word is back, too', () => heard.join('') === 'onetwo');
  assert.equal(subject.visits.closed, 0);
  client.end('three');
  await once(response, 'end');
  assert.equal(heard.join(''), 'onetwothree');
  await subject.settled();
});

test('server-sent events arrive one by one, and the stream lasts until somebody ends it', async (t) => {
  const { server, next } = handed();
  const subject = await startSubject(t, server);
  const { client, answer } = begin(subject, '/events');
  const [, outgoing] = await next();
  outgoing.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders();
  const response = await answer();
  assert.equal(response.headers['content-type'], 'text/event-stream');
  const heard: string[] = [];
  response.setEncoding('utf8').on('data', (text: string) => heard.push(text));
  response.on('error', () => undefined);
  for (let i = 1; i <= 3; i += 1) {
    outgoing.write(`data: ${i}\n\n`);
    await until(`event ${i} is there`, () => heard.length === i);
  }
  assert.equal(subject.visits.closed, 0);
  client.destroy();
  await once(outgoing, 'close');
  await subject.settled();
});

test('a reader that stops is waited for: what it does not read is left with the agent, not in our memory', async (t) => {
  const block = Buffer.alloc(64 * 1024, 'x');
  let sent = 0;
  const agent = createServer((_incoming, outgoing) => {
    const blocks = (function* () {
      for (let i = 0; i < 4_096; i += 1) {
        sent += block.length;
        yield block;
      }
    })();
    Readable.from(blocks, { highWaterMark: 1 }).pipe(outgoing);
  });
  const subject = await startSubject(t, agent);
  const { answer } = begin(subject, '/big');
  const response = await answer();
  let before = -1;
  await until('the agent is held back', () => {
    const still = sent === before && sent > 0;
    before = sent;
    return still;
  });
  assert.ok(sent < 64 * MIB, `${sent} of 256 MiB were taken from the agent although nobody reads`);
  let read = 0;
  response.on('data', (more: Buffer) => (read += more.length));
  await once(response, 'end');
  assert.equal(read, 256 * MIB);
  await subject.settled();
});

test('a client that reads slowly gets all of it, though the agent has closed long before', async (t) => {
  const head = 'HTTP/1.1 200 OK\r\nContent-Length: 33554432\r\nConnection: close\r\n\r\n';
  const subject = await startSubject(
    t,
    parrot((socket) => void (socket.write(head), socket.end(Buffer.alloc(32 * MIB)))),
  );
  const socket = subject.dial();
  socket.write(`GET /i/demo/bot/ HTTP/1.1\r\n${AUTH}Connection: close\r\n\r\n`);
  assert.ok((await readSlowly(socket)) > 32 * MIB);
  await subject.settled();
});

test('an agent that stops reading is waited for: what it does not read stays with the client', async (t) => {
  const { server, next } = handed();
  const subject = await startSubject(t, server);
  const { client } = begin(subject, '/upload', { method: 'PUT' });
  const block = Buffer.alloc(64 * 1024, 'x');
  client.write(block);
  const [incoming, outgoing] = await next();
  incoming.pause();
  let written = block.length;
  let stalled = false;
  while (!stalled && written < 256 * MIB) {
    written += block.length;
    if (!client.write(block))
      stalled = await Promise.race([
        once(client, 'drain').then(() => false),
        until('it stays full', fullFor(client)).then(() => true),
      ]);
  }
  assert.ok(written < 64 * MIB, `${written} bytes were taken from the client although nobody reads`);
  let read = 0;
  incoming.on('data', (more: Buffer) => (read += more.length)).resume();
  incoming.on('end', () => outgoing.end('done'));
  client.end();
  await until('all of it has arrived', () => read === written);
  await subject.settled();
});

/** True once the same bytes have been waiting at many looks in a row. */
function fullFor(client: Under['client']): () => boolean {
  let looks = 0;
  return () => (looks = client.writableNeedDrain ? looks + 1 : 0) > 20;
}

test('a client that leaves in the middle of its answer ends the request at the agent', async (t) => {
  const { server, next } = handed();
  const subject = await startSubject(t, server);
  const { client, answer } = begin(subject, '/');
  const [, outgoing] = await next();
  outgoing.write('begun');
  (await answer()).on('error', () => undefined);
  client.destroy();
  await once(outgoing, 'close');
  assert.ok(!outgoing.writableFinished);
  await subject.settled();
});

test('a client that leaves in the middle of its body ends the request at the agent, which never sees a whole one', async (t) => {
  const { server, next } = handed();
  const subject = await startSubject(t, server);
  const { client } = begin(subject, '/', { method: 'POST' });
  client.write('half of');
  const [incoming] = await next();
  incoming.resume();
  client.destroy();
  await over(incoming);
  assert.equal(incoming.complete, false);
  await subject.settled();
});

test('a client that leaves while its instance wakes up is not waited for', async (t) => {
  let called = false;
  const subject = await startSubject(t, mirror(), {
    ready: (signal) =>
      new Promise((_, reject) => signal.addEventListener('abort', () => ((called = true), reject(new Error('gone'))))),
  });
  const { client } = begin(subject, '/');
  await until('it waits', () => subject.visits.opened === 1);
  client.destroy();
  await subject.settled();
  assert.ok(called);
});

test('the next request in line behind one that lasts is let go with its connection', async (t) => {
  const subject = await startSubject(
    t,
    parrot(() => undefined),
  );
  const socket = subject.dial();
  socket.write(`GET /i/demo/bot/a HTTP/1.1\r\n${AUTH}\r\nGET /i/demo/bot/b HTTP/1.1\r\n${AUTH}\r\n`);
  await until('both are open', () => subject.visits.opened === 2);
  socket.destroy();
  await subject.settled();
});

test('an agent that dies in the middle of its answer: the client sees that it is not whole', async (t) => {
  for (const words of [
    'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nbegun',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nbegun\r\n',
  ]) {
    const subject = await startSubject(
      t,
      parrot((socket) => void socket.write(words, () => socket.destroySoon())),
    );
    await assert.rejects(subject.ask('/i/demo/bot/'), /aborted|socket hang up/);
    await subject.settled();
  }
});

test('an agent that dies before it answers is 502, and its POST is not sent twice', async (t) => {
  const heard: string[] = [];
  const subject = await startSubject(
    t,
    parrot((socket) => void socket.destroy(), heard),
  );
  const answer = await subject.ask('/i/demo/bot/', { method: 'POST', body: 'once' });
  assert.equal(answer.status, 502);
  assert.equal(answer.headers['retry-after'], '5');
  assert.equal(heard.length, 1);
  await subject.settled();
});

test('an agent that answers without reading the body is heard, though the client still sends', async (t) => {
  const agent = createTcp((socket) => {
    socket.on('error', () => undefined);
    socket.once('data', () =>
      socket.end('HTTP/1.1 413 Too Large\r\nContent-Length: 9\r\nConnection: close\r\n\r\ntoo large'),
    );
  });
  const subject = await startSubject(t, agent, { limits: { drainMs: 60_000 } });
  const { client, answer } = begin(subject, '/', { method: 'POST', more: { 'content-length': String(8 * MIB) } });
  client.write(Buffer.alloc(MIB));
  const response = await answer();
  assert.equal(response.statusCode, 413);
  const body = await new Response(Readable.toWeb(response) as ReadableStream).text();
  assert.equal(body, 'too large');
  client.destroy();
  await subject.settled();
});

test('a refused client that goes on sending reads its refusal, and is cut off after a while', async (t) => {
  const subject = await startSubject(t, mirror(), { limits: { drainMs: 50 } });
  const socket = subject.dial();
  const sending = setInterval(() => socket.write('1\r\nx\r\n'), 5);
  t.after(() => clearInterval(sending));
  const answer = await said(
    socket,
    'POST /i/demo/bot/ HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n',
  );
  assert.match(answer, /^HTTP\/1\.1 401 /);
});

test('a client that asks first keeps its body until there is somebody to read it', async (t) => {
  const wake = Promise.withResolvers<void>();
  const seen: Seen[] = [];
  const subject = await startSubject(t, mirror(seen), { ready: () => wake.promise });
  const { client, answer } = begin(subject, '/', {
    method: 'POST',
    more: { expect: '100-continue', 'content-length': '4' },
  });
  let asked = false;
  client.on('continue', () => {
    asked = true;
    client.end('body');
  });
  client.flushHeaders();
  await until('it waits', () => subject.visits.opened === 1);
  assert.ok(!asked);
  wake.resolve();
  assert.equal((await answer()).statusCode, 200);
  assert.ok(asked);
  assert.equal(seen[0]?.body, 'body');
  assert.equal(seen[0]?.headers.expect, undefined);
});

test('a client that asks first is refused without its body', async (t) => {
  const subject = await startSubject(t, mirror());
  const answer = await subject.raw(
    'POST /i/demo/bot/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n',
    (text) => text.includes('not passed on'),
  );
  assert.match(answer, /^HTTP\/1\.1 401 /);
});

test('interim answers of an agent do not end the request', async (t) => {
  const subject = await startSubject(
    t,
    parrot('HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'),
  );
  const answer = await subject.ask('/i/demo/bot/');
  assert.deepEqual([answer.status, answer.text], [200, 'ok']);
});

for (const [method, status, words] of [
  ['HEAD', 200, 'HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n'],
  ['GET', 204, 'HTTP/1.1 204 No Content\r\n\r\n'],
  ['GET', 304, 'HTTP/1.1 304 Not Modified\r\nContent-Length: 1000\r\n\r\n'],
] as const) {
  test(`${method} answered with ${status} has no body, and is whole`, async (t) => {
    const subject = await startSubject(t, parrot(words));
    const answer = await subject.ask('/i/demo/bot/', { method });
    assert.equal(answer.status, status);
    assert.equal(answer.text, '');
    await subject.settled();
  });
}

test('an answer that ends with its connection is whole, of a server that speaks HTTP/1.0', async (t) => {
  const subject = await startSubject(
    t,
    parrot((socket) => void socket.end('HTTP/1.0 200 OK\r\n\r\nold but whole')),
  );
  const answer = await subject.ask('/i/demo/bot/');
  assert.deepEqual([answer.status, answer.text], [200, 'old but whole']);
});

test('a client may keep its connection, and ask again on it after an answer', async (t) => {
  const subject = await startSubject(t, mirror());
  let answers = 0;
  const socket = subject.dial();
  const get = `GET /i/demo/bot/ HTTP/1.1\r\n${AUTH}\r\n`;
  socket.on('data', (more: Buffer) => {
    answers += more.toString().split('HTTP/1.1 200 OK').length - 1;
  });
  for (let i = 1; i <= 3; i += 1) {
    socket.write(get);
    await until(`answer ${i}`, () => answers === i);
  }
});

test('a request on which nothing moves is ended, whoever stands still', async (t) => {
  const subject = await startSubject(
    t,
    parrot(() => undefined),
    { limits: { idleMs: 100 } },
  );
  const silent = await subject.ask('/i/demo/bot/');
  assert.equal(silent.status, 504);
  const answer = await subject.raw(`POST /i/demo/bot/ HTTP/1.1\r\n${AUTH}Content-Length: 100\r\n\r\nhalf`, (text) =>
    text.includes('\r\n\r\n'),
  );
  assert.match(answer, /^HTTP\/1\.1 504 /);
  await subject.settled();
});

test('a closing proxy tells those who wait to come again, lets the rest finish for a while, and then ends', async (t) => {
  const { server, next } = handed();
  let first = true;
  const subject = await startSubject(t, server, {
    ready: (signal) => {
      if (first) {
        first = false;
        return Promise.resolve();
      }
      return new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error('closing'))));
    },
  });
  const { answer } = begin(subject, '/lasts');
  const [, outgoing] = await next();
  outgoing.write('begun');
  const lasting = await answer();
  const cut = over(lasting.resume());
  lasting.on('error', () => undefined);
  const waiting = subject.ask('/i/demo/bot/waits');
  await until('it waits', () => subject.visits.opened === 2);
  const closed = subject.close();
  const refused = await waiting;
  assert.deepEqual([refused.status, refused.headers['retry-after']], [503, '5']);
  await closed;
  await cut;
  await subject.settled();
});

test('a thousand requests through one agent leave nothing open', async (t) => {
  const subject = await startSubject(t, mirror());
  for (let i = 0; i < 10; i += 1) {
    const answers = await Promise.all(
      Array.from({ length: 100 }, () => subject.ask('/i/demo/bot/', { method: 'POST', body: 'x' })),
    );
    for (const answer of answers) assert.equal(mirrored(answer).body, 'x');
  }
  await subject.settled();
  assert.equal(subject.visits.closed, 1_000);
});

test('a client that closes only its own side gets no answer, but does not stay open either', async (t) => {
  const agents: Socket[] = [];
  const subject = await startSubject(
    t,
    parrot((socket) => void agents.push(socket)),
  );
  const socket = subject.dial();
  socket.write(`GET /i/demo/bot/ HTTP/1.1\r\n${AUTH}\r\n`);
  await until('the agent is asked', () => agents.length === 1);
  socket.end();
  await subject.settled();
  await until('its connections are gone', () => agents.every((one) => one.destroyed || one.readableEnded));
});
