/** One request in is one request out: nothing that a client writes into one becomes another, and no check is passed by it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { mirror, parrot, type Seen, startSubject, TOKEN } from './proxy-under-test.ts';

const HOOK = { port: 8080, path: '/hook', auth: 'none' } as const;
const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';
const HIDDEN = 'GET /admin HTTP/1.1\r\nHost: localhost\r\n\r\n';
const chunk = (text: string): string => `${text.length.toString(16)}\r\n${text}\r\n0\r\n\r\n`;

for (const method of ['GET', 'DELETE', 'OPTIONS', 'HEAD', 'POST']) {
  test(`a chunked body of ${method} stays a body, whatever it contains`, async (t) => {
    const seen: Seen[] = [];
    const subject = await startSubject(t, mirror(seen), { exposed: [HOOK] });
    const head = `${method} /i/demo/bot/hook HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n`;
    await subject.raw(`${head}Transfer-Encoding: chunked\r\n\r\n${chunk(HIDDEN)}`);
    assert.deepEqual(
      seen.map(({ url, body }) => [url, body]),
      [['/hook', HIDDEN]],
    );
  });

  test(`a length of ${method} that "Connection" names still says how long the body is`, async (t) => {
    const seen: Seen[] = [];
    const subject = await startSubject(t, mirror(seen), { exposed: [HOOK] });
    const head = `${method} /i/demo/bot/hook HTTP/1.1\r\nHost: localhost\r\nConnection: close, Content-Length\r\n`;
    await subject.raw(`${head}Content-Length: ${HIDDEN.length}\r\n\r\n${HIDDEN}`);
    assert.deepEqual(
      seen.map(({ url, body }) => [url, body]),
      [['/hook', HIDDEN]],
    );
  });
}

for (const [what, headers] of [
  ['two lengths', 'Content-Length: 4\r\nContent-Length: 5\r\n'],
  ['a length and a coding', 'Content-Length: 4\r\nTransfer-Encoding: chunked\r\n'],
  ['an unknown coding', 'Transfer-Encoding: xchunked\r\n'],
  ['a coding on top of chunked', 'Transfer-Encoding: gzip, chunked\r\n'],
  ['a name with a space', 'Transfer-Encoding : chunked\r\n'],
  ['a folded header', 'X-One: a\r\n Transfer-Encoding: chunked\r\n'],
  ['a bare carriage return', 'X-One: a\rTransfer-Encoding: chunked\r\n'],
  ['a NUL', 'X-One: a\0b\r\n'],
] as const) {
  test(`a request with ${what} is refused and reaches nobody`, async (t) => {
    const heard: string[] = [];
    const subject = await startSubject(t, parrot(OK, heard), { exposed: [HOOK] });
    const answer = await subject.raw(
      `POST /i/demo/bot/hook HTTP/1.1\r\nHost: localhost\r\n${headers}\r\n0\r\n\r\n`,
      (text) => /^HTTP\/1.1 (4|5)\d\d.*\r\n\r\n/s.test(text),
    );
    // Cut off, where the body broke while its head was looked at.
    assert.match(answer, /^(HTTP\/1\.1 (400|501) |$)/);
    assert.deepEqual(heard, []);
    await subject.settled();
  });
}

test('what follows a refused switch of protocols is not passed on behind the checks', async (t) => {
  const heard: string[] = [];
  // It knows no WebSocket, answers as HTTP, and would answer whatever came next on that connection.
  const subject = await startSubject(t, parrot(OK, heard), { exposed: [HOOK] });
  const answer = await subject.raw(
    `GET /i/demo/bot/hook HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n${HIDDEN}`,
  );
  assert.match(answer, /^HTTP\/1\.1 200 OK\r\n/);
  assert.match(answer, /connection: close/i);
  assert.equal(heard.length, 1);
  assert.ok(!heard[0]?.includes('/admin'), heard[0]);
  await subject.settled();
});

for (const protocol of ['h2c', 'TLS/1.0', 'websocket, h2c', 'anything']) {
  test(`a switch to "${protocol}" is not asked of the agent: the request is a plain one`, async (t) => {
    const seen: Seen[] = [];
    const subject = await startSubject(t, mirror(seen));
    const answer = await subject.raw(
      `GET /i/demo/bot/x HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${TOKEN}\r\nConnection: Upgrade, HTTP2-Settings, close\r\nUpgrade: ${protocol}\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n`,
    );
    assert.match(answer, /^HTTP\/1\.1 200 OK\r\n/);
    assert.equal(seen[0]?.headers.upgrade, undefined);
    assert.equal(seen[0]?.headers['http2-settings'], undefined);
  });
}

test('headers of one connection stay on it, in both directions', async (t) => {
  const seen: Seen[] = [];
  const agent = mirror(seen, {
    'keep-alive': 'timeout=99',
    'proxy-authenticate': 'Basic',
    'x-agent': 'yes',
    'x-hop': '1',
    connection: 'x-hop',
  });
  const subject = await startSubject(t, agent);
  const answer = await subject.ask('/i/demo/bot/', {
    headers: {
      connection: 'close, X-Private',
      'x-private': '1',
      te: 'trailers',
      'proxy-authorization': 'Basic x',
      'keep-alive': '5',
      'x-public': '1',
    },
  });
  const { headers } = seen[0]!;
  for (const name of ['x-private', 'te', 'proxy-authorization', 'keep-alive'])
    assert.equal(headers[name], undefined, name);
  assert.equal(headers['x-public'], '1');
  assert.equal(answer.headers['x-agent'], 'yes');
  for (const name of ['x-hop', 'proxy-authenticate']) assert.equal(answer.headers[name], undefined, name);
  assert.doesNotMatch(String(answer.headers['keep-alive'] ?? ''), /99/);
});

test('headers larger than 64 KiB are answered with 431', async (t) => {
  const subject = await startSubject(t, mirror());
  const answer = await subject.raw(`GET /i/demo/bot/ HTTP/1.1\r\nHost: localhost\r\nX: ${'x'.repeat(70_000)}\r\n\r\n`);
  assert.match(answer, /^HTTP\/1\.1 431 /);
});

test('more requests at once on one connection than anybody needs end it', async (t) => {
  const subject = await startSubject(
    t,
    parrot(() => undefined),
  );
  const one = `GET /i/demo/bot/ HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${TOKEN}\r\n\r\n`;
  await subject.raw(one.repeat(200));
  await subject.settled();
  assert.ok(subject.visits.opened <= 16, String(subject.visits.opened));
});

test('requests in line on one connection are answered in their order', async (t) => {
  const seen: Seen[] = [];
  const subject = await startSubject(t, mirror(seen));
  const one = (path: string, more = ''): string =>
    `GET /i/demo/bot${path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${TOKEN}\r\n${more}\r\n`;
  const answer = await subject.raw(one('/first') + one('/second', 'Connection: close\r\n'));
  assert.deepEqual(answer.match(/"url":"[^"]*"/g), ['"url":"/first"', '"url":"/second"']);
  await subject.settled();
});
