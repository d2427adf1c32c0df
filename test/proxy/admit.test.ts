/** Who is let through, and to what: names, addresses, tokens, exposed paths; and what a refused one learns. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ExposeSpec } from '../../src/core/model.ts';
import { addressOf } from '../../src/proxy/address.ts';
import { exposureOf } from '../../src/proxy/exposure.ts';
import { createAllowance } from '../../src/proxy/rates.ts';
import { ELSEWHERE, mirror, mirrored, parrot, READER, type Seen, startSubject, TOKEN } from './proxy-under-test.ts';

const HOOK: ExposeSpec = { port: 8787, path: '/hook', auth: 'none' };

test('a token with the scope "operate" for this fleet passes, and nothing less', async (t) => {
  const seen: Seen[] = [];
  const subject = await startSubject(t, mirror(seen));
  for (const [token, status] of [
    [null, 401],
    ['hf_wrong', 401],
    [`hf_${'x'.repeat(5_000)}`, 401],
    [READER, 403],
    [ELSEWHERE, 403],
  ] as const) {
    const answer = await subject.ask('/i/demo/bot/', { token });
    assert.equal(answer.status, status, String(token).slice(0, 20));
    assert.equal(answer.headers['content-type'], 'application/problem+json');
    if (status === 401) assert.match(answer.headers['www-authenticate'] ?? '', /^Bearer/);
  }
  assert.deepEqual(seen, []);
  assert.equal(subject.visits.opened, 0);
  mirrored(await subject.ask('/i/demo/bot/'));
});

test('a cookie or a password is never a token (L75: no page acts with what a browser sends by itself)', async (t) => {
  const subject = await startSubject(t, mirror());
  for (const headers of [
    { cookie: `holdfast=${TOKEN}; holdfast_session=${TOKEN}` },
    { authorization: `Basic ${Buffer.from(`ops:${TOKEN}`).toString('base64')}` },
    { 'proxy-authorization': `Bearer ${TOKEN}` },
  ]) {
    assert.equal((await subject.ask('/i/demo/bot/', { token: null, headers })).status, 401);
  }
});

test('the agent may have Authorization for itself: our token then travels as Holdfast-Token', async (t) => {
  const subject = await startSubject(t, mirror());
  const headers = { authorization: 'Bearer the-agents-own', 'holdfast-token': TOKEN };
  const { headers: seen } = mirrored(await subject.ask('/i/demo/bot/', { token: null, headers }));
  assert.equal(seen.authorization, 'Bearer the-agents-own');
  assert.equal(seen['holdfast-token'], undefined);
});

test('L71 a store that fails, or does not answer, refuses everybody without a word about itself', async (t) => {
  const seen: Seen[] = [];
  const subject = await startSubject(t, mirror(seen), {
    exposed: [HOOK],
    identify: () => Promise.reject(new Error('SQLITE_IOERR at /var/lib/secret/holdfast.db')),
  });
  const answer = await subject.ask('/i/demo/bot/');
  assert.equal(answer.status, 503);
  assert.equal(answer.headers['retry-after'], '5');
  assert.doesNotMatch(answer.text, /SQLITE|secret/);
  assert.match(JSON.stringify(subject.logged), /SQLITE_IOERR/);
  assert.deepEqual(seen, []);
  // What needs no token needs no store.
  assert.equal((await subject.ask('/i/demo/bot/hook', { token: null })).status, 200);
});

test('wrong tokens are answered more and more slowly, right ones never', async (t) => {
  const subject = await startSubject(t, mirror(), { limits: { wrongTokens: { burst: 3, perSecond: 0.001 } } });
  const tries = [];
  for (let i = 0; i < 5; i += 1) tries.push(await subject.ask('/i/demo/bot/', { token: `hf_${i}` }));
  assert.deepEqual(
    tries.map(({ status }) => status),
    [401, 401, 401, 429, 429],
  );
  assert.ok(Number(tries[4]?.headers['retry-after']) > 0);
  assert.equal((await subject.ask('/i/demo/bot/')).status, 200);
});

test('the allowance comes back with time, and forgets who was unseen for longest', () => {
  let now = 0;
  const take = createAllowance({ burst: 1, perSecond: 1 }, () => now);
  assert.equal(take('a'), null);
  assert.equal(take('a'), 1);
  now = 1_000;
  assert.equal(take('a'), null);
  for (let i = 0; i < 10_001; i += 1) take(`other-${i}`);
  assert.equal(take('a'), null);
});

test('a token in the URL is refused, however it is written, and reaches no agent', async (t) => {
  const seen: Seen[] = [];
  const subject = await startSubject(t, mirror(seen), { exposed: [HOOK] });
  for (const path of [
    `/i/demo/bot/hook?token=${TOKEN}`,
    `/i/demo/bot/hook?t=${TOKEN.replace('hf_', '%68%66%5f')}`,
    `/i/demo/bot/hook/${TOKEN}`,
  ]) {
    const answer = await subject.ask(path);
    assert.equal(answer.status, 400, path);
    assert.ok(!answer.text.includes(TOKEN));
  }
  assert.deepEqual(seen, []);
  // A token of the agent's own is the agent's business.
  assert.equal(mirrored(await subject.ask('/i/demo/bot/?token=abc')).url, '/?token=abc');
});

test('only names of ours are served: another one may be somebody who merely resolves to us', async (t) => {
  const subject = await startSubject(t, mirror(), { allowedHosts: ['Bots.Example'] });
  for (const [host, status] of [
    ['localhost', 200],
    ['LOCALHOST:1234', 200],
    ['127.0.0.1:7718', 200],
    ['[::1]:7718', 200],
    ['bots.example', 200],
    ['bots.example:443', 200],
    ['evil.example', 421],
    ['localhost.evil.example', 421],
    ['evil.example:127.0.0.1', 421],
    ['localhost@evil.example', 421],
  ] as const) {
    assert.equal((await subject.ask('/i/demo/bot/', { headers: { host } })).status, status, host);
  }
  const nameless = await subject.raw(`GET /i/demo/bot/ HTTP/1.0\r\nAuthorization: Bearer ${TOKEN}\r\n\r\n`);
  assert.match(nameless, /^HTTP\/1\.1 421 /);
});

test('an absolute request target is an address like any other, and its name counts as well', async (t) => {
  const seen: Seen[] = [];
  const subject = await startSubject(t, mirror(seen));
  const get = (target: string): Promise<string> =>
    subject.raw(
      `GET ${target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer ${TOKEN}\r\n\r\n`,
    );
  assert.match(await get(`http://localhost:${subject.port}/i/demo/bot/a?b`), /^HTTP\/1\.1 200 /);
  assert.equal(seen[0]?.url, '/a?b');
  assert.match(await get('http://evil.example/i/demo/bot/a'), /^HTTP\/1\.1 421 /);
  assert.match(await get('http://localhost@evil.example/i/demo/bot/a'), /^HTTP\/1\.1 421 /);
  assert.equal(seen.length, 1);
});

test('what is no address of an agent is 404, and a hint', async (t) => {
  const subject = await startSubject(t, mirror());
  for (const path of [
    '/',
    '/i/demo',
    '/i/demo/',
    '/I/demo/bot/',
    '/i/demo/Bot/',
    '/i/demo/%62ot/',
    '/i/demo/bot:/',
    '/i/../i/demo/bot',
    '/i/demo/bot/a#b',
    '/i/demo/bot/a?b#c',
    '//i/demo/bot/',
  ]) {
    const answer = await subject.raw(`GET ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`);
    assert.match(answer, /^HTTP\/1\.1 404 .*agents are at/s, path);
  }
  assert.match(
    await subject.raw('OPTIONS * HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n'),
    /^HTTP\/1\.1 404 /,
  );
  assert.equal(await subject.raw('CONNECT localhost:22 HTTP/1.1\r\nHost: localhost\r\n\r\n'), '');
});

test('an address is cut where the agent begins, and what is behind it is not touched', () => {
  const rest = (url: string): string | undefined => addressOf(url)?.rest;
  assert.equal(rest('/i/demo/bot'), '/');
  assert.equal(rest('/i/demo/bot?x=1'), '/?x=1');
  assert.equal(rest('/i/demo/bot/a%2fb/../c//d;e?f=%00'), '/a%2fb/../c//d;e?f=%00');
  assert.equal(addressOf('/i/demo/bot:8080/x')?.port, 8080);
  assert.equal(addressOf('/i/demo/bot:8080/x')?.prefix, '/i/demo/bot:8080');
});

// ── exposed paths ───────────────────────────────────────────────────────────────────────────────────────────────────

const covers = (path: string, exposed: readonly ExposeSpec[] = [HOOK]): boolean => {
  const address = addressOf(`/i/demo/bot${path}`);
  return address !== null && exposureOf(exposed, address) !== null;
};

test('an exposed path covers itself and what is below it', () => {
  for (const path of [
    '/hook',
    '/hook?x=/../admin',
    '/hook/',
    '/hook/a/b',
    '/hook/a%20b',
    '/hook/%C3%A9',
    '/hook/a.b/..c',
    '/hook/~x:1@(2)+,=&$',
  ])
    assert.ok(covers(path), path);
  for (const path of ['/', '/hookx', '/Hook', '/HOOK', '/admin', '/admin?/hook', '/%68ook', '/x/hook'])
    assert.ok(!covers(path), path);
  assert.ok(covers('/anything', [{ ...HOOK, path: '/' }]));
});

test('no spelling of a private path passes for an exposed one', () => {
  for (const path of [
    '/hook/../admin',
    '/hook/..',
    '/hook/./admin',
    '/hook/%2e%2e/admin',
    '/hook/%2E%2E/admin',
    '/hook/.%2e/admin',
    '/hook/..%2fadmin',
    '/hook%2f..%2fadmin',
    '/hook/..%5cadmin',
    '/hook/..\\admin',
    '/hook\\..\\admin',
    '/hook/..;/admin',
    '/hook/..;x=1/admin',
    '/hook;/../admin',
    '/hook/%3b/admin',
    '/hook/%252e%252e/admin',
    '/hook/%25%32%65/admin',
    '/hook/%c0%ae%c0%ae/admin',
    '/hook/%e0%80%ae/admin',
    '/hook/%u002e%u002e/admin',
    '/hook/%EF%BC%8E%EF%BC%8E/admin',
    '/hook/%EF%BC%8Fadmin',
    '/hook/%E2%80%A5/admin',
    '/hook/%00/admin',
    '/hook/%0a/admin',
    '/hook/%0d%0aHost:%20x',
    '/hook/%3f',
    '/hook/%23',
    '/hook/%',
    '/hook/%zz',
    '/hook//admin',
    '//hook/',
    '/hook/a#/../../admin',
    '/hook/\u00e9',
  ])
    assert.ok(!covers(path), path);
});

test('the longest exposed path decides, so a part of what is exposed can be kept', () => {
  const exposed: readonly ExposeSpec[] = [HOOK, { port: 8787, path: '/hook/private', auth: 'token' }];
  const auth = (path: string): string | undefined => exposureOf(exposed, addressOf(`/i/demo/bot${path}`)!)?.auth;
  assert.equal(auth('/hook/x'), 'none');
  assert.equal(auth('/hook/private'), 'token');
  assert.equal(auth('/hook/private/x'), 'token');
  assert.equal(auth('/hook/privateer'), 'none');
});

test('an exposed path needs no token on its own port, and one on any other', async (t) => {
  const subject = await startSubject(t, mirror(), { exposed: [HOOK] });
  const status = async (path: string): Promise<number> => (await subject.ask(path, { token: null })).status;
  assert.equal(await status('/i/demo/bot/hook'), 200);
  assert.equal(await status('/i/demo/bot:8787/hook/x'), 200);
  assert.equal(await status('/i/demo/bot:9999/hook'), 401);
  assert.equal(await status('/i/demo/bot/other'), 401);
  assert.deepEqual(subject.visits.ports, [8787, 8787]);
});

test('an agent that cannot be reached is 502, without a word about where it is', async (t) => {
  const agent = parrot('');
  const subject = await startSubject(t, agent);
  await new Promise((resolve) => agent.close(resolve));
  const answer = await subject.ask('/i/demo/bot/');
  assert.equal(answer.status, 502);
  assert.doesNotMatch(answer.text, /ECONN|127\.0|\d{4,}/);
  await subject.settled();
});
