/** Who may do what: every route, every scope. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { StoreError } from '../../src/ports/store.ts';
import { createApp, listen } from '../../src/http/server.ts';
import { createFakeControl, TOKENS } from '../support/fake-control.ts';
import { EVERY_ROUTE, OPERATOR_ROUTES, pathOf, type RouteCase, titleOf } from './every-route.ts';
import { problem, send, start, type Subject } from './server-under-test.ts';

const SCOPES = ['read', 'operate', 'admin'] as const;

/** Streams never end by themselves; only their head matters here. */
async function statusOf(subject: Subject, route: RouteCase, token: string | null): Promise<number> {
  const body = route.body === undefined ? {} : { body: route.body };
  const message = await send(subject.listening.port, route.method, pathOf(route), { token, ...body });
  message.destroy();
  return message.statusCode ?? 0;
}

test('the table of this test has every route of the app, and no other', async (t) => {
  const { app } = await start(t);
  const served = app.routes.map((route) => `${route.method.toUpperCase()} ${route.path}`);
  assert.deepEqual(EVERY_ROUTE.map(titleOf).sort(), served.sort());
});

describe('each route', () => {
  for (const route of OPERATOR_ROUTES) {
    test(`${titleOf(route)} is granted to the scope ${route.scope} and to nobody below`, async (t) => {
      const subject = await start(t);
      const granted = route.status ?? 200;
      const path = pathOf(route);
      const body = route.body === undefined ? {} : { body: route.body };
      if (route.scope === 'open') {
        assert.equal(await statusOf(subject, route, null), granted);
        return;
      }
      for (const token of [null, 'wrong-token', `${TOKENS.admin}x`]) {
        const answer = await subject.ask(route.method, path, { token, ...body });
        problem(answer, 401);
        assert.match(String(answer.headers['www-authenticate']), /^Bearer /);
      }
      const enough = SCOPES.indexOf(route.scope);
      for (const [rank, scope] of SCOPES.entries()) {
        if (rank < enough) {
          const answer = await subject.ask(route.method, path, { token: TOKENS[scope], ...body });
          assert.match(String(problem(answer, 403)['detail']), new RegExp(`needs the scope "${route.scope}"`));
        }
      }
      assert.deepEqual(
        subject.control.calls.filter((call) => call.verb !== 'identify'),
        [],
        'a refused request reached the runtime',
      );
      assert.equal(await statusOf(subject, route, TOKENS[route.scope]), granted);
    });
  }

  for (const route of EVERY_ROUTE.filter(({ path, allFleets }) => path.includes('{fleet}') || allFleets === true)) {
    test(`${titleOf(route)} is refused to a token that is for another fleet`, async (t) => {
      const subject = await start(t);
      const answer = await subject.ask(route.method, pathOf(route), {
        token: TOKENS.beta,
        ...(route.body === undefined ? {} : { body: route.body }),
      });
      const missing = route.allFleets === true ? /only for some/ : /not for the fleet "(alpha|empty)"/;
      assert.match(String(problem(answer, 403)['detail']), missing);
    });
  }
});

describe('tokens for some fleets', () => {
  test('the list of fleets shows only those of the token', async (t) => {
    const { ask } = await start(t);
    const { json } = await ask('GET', '/v1/fleets', { token: TOKENS.beta });
    assert.deepEqual(
      (json['items'] as { fleet: string }[]).map(({ fleet }) => fleet),
      ['beta'],
    );
  });

  test('their own fleet is theirs', async (t) => {
    const { ask } = await start(t);
    assert.equal((await ask('GET', '/v1/fleets/beta/instances', { token: TOKENS.beta })).status, 200);
  });

  test('they do not learn which other fleets exist', async (t) => {
    const { ask } = await start(t);
    const there = await ask('GET', '/v1/fleets/alpha', { token: TOKENS.beta });
    const absent = await ask('GET', '/v1/fleets/nowhere', { token: TOKENS.beta });
    problem(absent, 403);
    assert.equal(there.text.replaceAll('alpha', 'X'), absent.text.replaceAll('nowhere', 'X'));
  });

  test('another spelling of the path does not get around the fleet', async (t) => {
    const { ask } = await start(t);
    for (const path of [
      '/v1/fleets/%61lpha',
      '/v1/fleets/beta%2f..%2falpha',
      '/v1/fleets/beta/../alpha',
      '//v1/fleets/alpha',
      '/v1/fleets/beta%00',
    ]) {
      const { status } = await ask('GET', path, { token: TOKENS.beta });
      assert.ok([400, 403, 404, 422].includes(status), `${path}: ${status}`);
    }
  });
});

describe('field failures', () => {
  test('L64 debug endpoints answer nobody without a token', async (t) => {
    const { ask, control } = await start(t);
    for (const path of ['reconcile-dry-run', 'replay-events']) {
      problem(await ask('POST', `/v1/fleets/alpha/debug/${path}`, { token: null }), 401);
    }
    assert.deepEqual(control.done, []);
  });

  test('L70 a new token is in one answer, and in no list and no log line', async (t) => {
    const { ask, lines } = await start(t);
    const made = await ask('POST', '/v1/tokens', { body: { name: 'ci', scope: 'read', expiresIn: '1h' } });
    const secret = String(made.json['token']);
    assert.ok(secret.length > 8);
    assert.equal((await ask('GET', '/v1/fleets', { token: secret })).status, 200);
    assert.doesNotMatch((await ask('GET', '/v1/tokens')).text, new RegExp(secret));
    const said = JSON.stringify(lines);
    for (const hidden of [secret, TOKENS.admin]) assert.ok(!said.includes(hidden), 'a token was logged');
    assert.ok(said.includes('"token":"root"'), 'who asked is logged by name');
  });

  test('L71 while there is no token at all, nobody is let in', async (t) => {
    const subject = await start(t);
    for (const { name } of await subject.control.tokens()) await subject.control.dropToken(name);
    for (const route of EVERY_ROUTE.filter(({ scope }) => scope !== 'open')) {
      const body = route.body === undefined ? {} : { body: route.body };
      for (const token of [null, '', TOKENS.admin]) {
        problem(await subject.ask(route.method, pathOf(route), { token, ...body }), 401);
      }
      subject.clock.advance(60_000); // the allowance for wrong tokens is another test's matter
    }
  });

  test('L71 a store that cannot tell who asks lets nobody in', async (t) => {
    const subject = await start(t);
    subject.control.fail('identify', new StoreError('unreachable', 'the database does not answer'));
    for (const route of OPERATOR_ROUTES.filter(({ scope }) => scope !== 'open')) {
      const answer = await subject.ask(
        route.method,
        pathOf(route),
        route.body === undefined ? {} : { body: route.body },
      );
      assert.ok(Number(answer.headers['retry-after']) > 0);
      problem(answer, 503);
    }
    assert.deepEqual(subject.control.done, []);
  });
});

describe('wrong tokens', () => {
  test('after a burst of wrong tokens their address gets 429 with Retry-After, but a right one still passes', async (t) => {
    const { ask, clock } = await start(t, { limits: { failedAuth: { burst: 3, perSecond: 1 } } });
    for (let i = 0; i < 3; i++) problem(await ask('GET', '/v1/fleets', { token: 'wrong' }), 401);
    const refused = await ask('GET', '/v1/fleets', { token: 'wrong' });
    problem(refused, 429);
    assert.equal(refused.headers['retry-after'], '1');
    assert.equal((await ask('GET', '/v1/fleets')).status, 200);
    clock.advance(1_000);
    problem(await ask('GET', '/v1/fleets', { token: 'wrong' }), 401);
  });

  test('what is no bearer token, or far too long for one, is not even looked up', async (t) => {
    const { ask, control } = await start(t);
    for (const authorization of ['Basic YTpi', 'Bearer', 'Bearer a b', `Bearer ${'x'.repeat(600)}`, 'Bearer ä']) {
      problem(
        await ask('GET', '/v1/fleets', {
          token: null,
          headers: { authorization: Buffer.from(authorization).toString('latin1') },
        }),
        401,
      );
    }
    assert.deepEqual(control.calls, []);
  });

  test('a token in the URL is refused on every route, open ones too', async (t) => {
    const { ask } = await start(t);
    for (const path of ['/healthz?token=admin-token', '/v1/fleets?access_token=x', '/v1/fleets/alpha/watch?Token=x']) {
      assert.match(String(problem(await ask('GET', path), 400)['detail']), /Authorization: Bearer/);
    }
  });

  test('a token that is dropped is void with the next request', async (t) => {
    const { ask } = await start(t);
    assert.equal((await ask('GET', '/v1/fleets', { token: TOKENS.read })).status, 200);
    assert.equal((await ask('DELETE', '/v1/tokens/reader')).status, 204);
    problem(await ask('GET', '/v1/fleets', { token: TOKENS.read }), 401);
  });
});

test('an app without any option answers on a real clock', async (t) => {
  const listening = await listen(createApp(createFakeControl()), { host: '127.0.0.1', port: 0 });
  t.after(() => listening.close(0));
  const answer = await fetch(`${listening.url}/v1/fleets`, { headers: { authorization: `Bearer ${TOKENS.read}` } });
  assert.equal(answer.status, 200);
});
