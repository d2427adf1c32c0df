/** A server that runs commands must be safe from the browser next to it. */
import assert from 'node:assert/strict';
import { createConnection } from 'node:net';
import { describe, test } from 'node:test';
import { EVERY_ROUTE, pathOf, titleOf } from './every-route.ts';
import { problem, start } from './server-under-test.ts';

/** Sends bytes as they are and returns everything that comes back. */
function raw(port: number, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = createConnection({ host: '127.0.0.1', port });
    let answer = '';
    socket.on('data', (chunk: Buffer) => (answer += chunk.toString('utf8')));
    socket.on('close', () => resolve(answer));
    socket.on('error', reject);
    socket.write(text);
  });
}

describe('names (DNS rebinding)', () => {
  test('loopback names with the listening port are served', async (t) => {
    const { ask, listening } = await start(t);
    for (const host of ['localhost', '127.0.0.1', '[::1]', 'LOCALHOST']) {
      const { status } = await ask('GET', '/v1/fleets', { headers: { host: `${host}:${listening.port}` } });
      assert.equal(status, 200, host);
    }
  });

  test('any other name is refused with 421, even though it reached us, and even on open routes', async (t) => {
    const { ask, listening, control } = await start(t);
    const port = listening.port;
    const foreign = [
      'evil.example',
      `evil.example:${port}`,
      'localhost',
      `localhost:${port + 1}`,
      `localhost.evil.example:${port}`,
    ];
    for (const host of [...foreign, `evil.example@localhost:${port}`, `127.0.0.2:${port}`, `0.0.0.0:${port}`]) {
      for (const path of ['/healthz', '/v1/fleets']) {
        const answer = await ask('GET', path, { headers: { host } });
        assert.ok([400, 421].includes(answer.status), `${host}: ${answer.status}`);
        problem(answer, answer.status);
      }
    }
    assert.deepEqual(control.calls, []);
  });

  test('names in allowedHosts are served: with their port, or for any port', async (t) => {
    const { ask } = await start(t, { allowedHosts: ['Fleet.example', 'box.example:8443'] });
    const statusOf = async (host: string): Promise<number> =>
      (await ask('GET', '/v1/fleets', { headers: { host } })).status;
    assert.equal(await statusOf('fleet.example'), 200);
    assert.equal(await statusOf('fleet.example:444'), 200);
    assert.equal(await statusOf('box.example:8443'), 200);
    assert.equal(await statusOf('box.example:8444'), 421);
    assert.equal(await statusOf('other.example'), 421);
  });

  test('an absolute request target does not override the name', async (t) => {
    const { listening } = await start(t);
    const answer = await raw(
      listening.port,
      `GET http://evil.example/healthz HTTP/1.1\r\nHost: localhost:${listening.port}\r\nConnection: close\r\n\r\n`,
    );
    assert.match(answer, /^HTTP\/1.1 421 /);
  });

  test('a request without a Host is refused with a problem', async (t) => {
    const { listening } = await start(t);
    const answer = await raw(listening.port, 'GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n');
    assert.match(answer, /^HTTP\/1.1 400 [^]*application\/problem\+json/);
  });
});

describe('origins (CSRF)', () => {
  test('a page of another origin is refused on every route, token or not', async (t) => {
    const { ask, control } = await start(t);
    for (const route of EVERY_ROUTE) {
      for (const origin of ['https://evil.example', 'null', 'http://localhost']) {
        const answer = await ask(route.method, pathOf(route), {
          headers: { origin },
          ...(route.body === undefined ? {} : { body: route.body }),
        });
        assert.equal(answer.status, 403, `${titleOf(route)} for ${origin}`);
      }
    }
    assert.deepEqual(control.calls, []);
  });

  test('a page of our own origin may ask', async (t) => {
    const { ask, listening } = await start(t);
    const headers = { origin: listening.url, 'sec-fetch-site': 'same-origin' };
    assert.equal((await ask('POST', '/v1/fleets/alpha/instances/one/stop', { headers })).status, 202);
  });

  test('what a browser says is cross-site is refused, with or without an Origin', async (t) => {
    const { ask } = await start(t);
    problem(await ask('GET', '/v1/fleets', { headers: { 'sec-fetch-site': 'cross-site' } }), 403);
    assert.equal((await ask('GET', '/v1/fleets', { headers: { 'sec-fetch-site': 'none' } })).status, 200);
  });

  test('L75 a page that an agent serves on another port of this host can neither ask nor read', async (t) => {
    const { ask, control } = await start(t);
    const page = { origin: 'http://127.0.0.1:7718' };
    problem(await ask('POST', '/v1/fleets/alpha/instances/one/stop', { headers: page }), 403);
    problem(await ask('GET', '/v1/fleets', { headers: { 'sec-fetch-site': 'same-site' } }), 403);
    const preflight = await ask('OPTIONS', '/v1/fleets/alpha', {
      headers: { ...page, 'access-control-request-method': 'PUT', 'access-control-request-headers': 'authorization' },
    });
    problem(preflight, 403);
    assert.deepEqual(control.calls, []);
  });

  test('no answer has CORS headers or a cookie, and all have the security headers', async (t) => {
    const { ask, listening } = await start(t);
    const answers = [
      await ask('GET', '/healthz'),
      await ask('GET', '/v1/fleets', { headers: { origin: listening.url } }),
      await ask('GET', '/v1/fleets', { token: null }),
      await ask('GET', '/nowhere'),
      await ask('POST', '/v1/fleets'),
      await ask('GET', '/v1/fleets', { headers: { host: 'evil.example' } }),
      await ask('GET', '/v1/fleets/alpha/instances/one/logs'),
      await ask('DELETE', '/v1/fleets/empty'),
    ];
    for (const { headers, status } of answers) {
      const names = Object.keys(headers).filter((name) => name.startsWith('access-control') || name === 'set-cookie');
      assert.deepEqual(names, [], `with status ${status}`);
      assert.equal(headers['x-content-type-options'], 'nosniff');
      assert.equal(headers['cache-control'], 'no-store');
      assert.equal(headers['x-frame-options'], 'DENY');
      assert.match(String(headers['content-security-policy']), /^default-src 'none'/);
    }
  });
});

describe('what is no HTTP', () => {
  test('bytes that are no request are answered with a problem', async (t) => {
    const { listening } = await start(t);
    assert.match(
      await raw(listening.port, 'EHLO there\r\n\r\n'),
      /^HTTP\/1.1 400 [^]*urn:holdfast:problem:bad-request/,
    );
  });

  test('headers beyond their bound are answered with 431', async (t) => {
    const { listening } = await start(t);
    const answer = await raw(
      listening.port,
      `GET / HTTP/1.1\r\nHost: localhost\r\nX-Big: ${'x'.repeat(40_000)}\r\n\r\n`,
    );
    assert.match(answer, /^HTTP\/1.1 431 [^]*urn:holdfast:problem:headers-too-large/);
  });
});
