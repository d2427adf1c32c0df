/** What an agent learns of us and of the client, and what its answer may do to others. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { mirror, mirrored, parrot, startSubject, TOKEN } from './proxy-under-test.ts';

const HOOK = { port: 8080, path: '/', auth: 'none' } as const;

for (const [where, headers] of [
  ['as a bearer', { authorization: `Bearer ${TOKEN}` }],
  ['as a bearer in other letters', { authorization: `bEaReR   ${TOKEN}` }],
  ['as a bearer with more behind it', { authorization: `Bearer ${TOKEN}, Basic x` }],
  ['as a password', { authorization: `Basic ${Buffer.from(`ops:${TOKEN}`).toString('base64')}` }],
  ['in its own header', { 'holdfast-token': TOKEN }],
  ['in a header that some servers read as ours', { holdfast_token: TOKEN }],
  ['in a header of anybody', { 'x-api-key': `key ${TOKEN}` }],
  ['in a subprotocol', { 'sec-websocket-protocol': `chat, ${TOKEN}` }],
  ['in the page before', { referer: `http://localhost/?token=${TOKEN}` }],
  ['in a cookie of another name', { cookie: `a=1; b=${TOKEN}` }],
] as const) {
  test(`our token never reaches an agent: ${where}`, async (t) => {
    const subject = await startSubject(t, mirror(), { exposed: [HOOK] });
    const answer = await subject.ask('/i/demo/bot/', { token: null, headers });
    assert.ok(!JSON.stringify(mirrored(answer)).includes(TOKEN.slice(3)), answer.text);
    assert.ok(!answer.text.includes(Buffer.from(TOKEN).toString('base64').slice(4, 40)), answer.text);
  });
}

test('cookies of ours stay here, those of the agent pass', async (t) => {
  const subject = await startSubject(t, mirror());
  const cookie = 'theme=dark; holdfast=1; Holdfast_session=2; __Host-holdfast=3; __Secure-holdfast-x=4; sid=abc';
  const { headers } = mirrored(await subject.ask('/i/demo/bot/', { headers: { cookie } }));
  assert.equal(headers.cookie, 'theme=dark; sid=abc');
  const none = mirrored(await subject.ask('/i/demo/bot/', { headers: { cookie: 'holdfast=1' } }));
  assert.equal(none.headers.cookie, undefined);
});

test('credentials of others pass as they are', async (t) => {
  const subject = await startSubject(t, mirror(), { exposed: [HOOK] });
  for (const authorization of ['Bearer sk-123', 'Basic dXNlcjpwYXNz', 'Digest a="b"', 'hmac xyz']) {
    const answer = await subject.ask('/i/demo/bot/', { token: null, headers: { authorization } });
    assert.equal(mirrored(answer).headers.authorization, authorization);
  }
});

test('the agent is told who asked, for which name, and under which prefix', async (t) => {
  const subject = await startSubject(t, mirror());
  const { headers } = mirrored(await subject.ask('/i/demo/bot/x'));
  assert.equal(headers.host, subject.at);
  assert.equal(headers['x-forwarded-for'], '127.0.0.1');
  assert.equal(headers['x-forwarded-host'], `127.0.0.1:${subject.port}`);
  assert.equal(headers['x-forwarded-proto'], 'http');
  assert.equal(headers['x-forwarded-prefix'], '/i/demo/bot');
});

test('a client cannot make up its prefix, and what a proxy beside us says is kept and added to', async (t) => {
  const subject = await startSubject(t, mirror());
  const { headers } = mirrored(
    await subject.ask('/i/demo/bot/', {
      headers: {
        'x-forwarded-for': '203.0.113.9',
        'x-forwarded-proto': 'https',
        'x-forwarded-host': 'bots.example',
        'x-forwarded-prefix': '/evil',
        x_forwarded_for: '6.6.6.6',
        forwarded: 'for=6.6.6.6',
      },
    }),
  );
  assert.equal(headers['x-forwarded-for'], '203.0.113.9, 127.0.0.1');
  assert.equal(headers['x-forwarded-proto'], 'https');
  assert.equal(headers['x-forwarded-host'], 'bots.example');
  assert.equal(headers['x-forwarded-prefix'], '/i/demo/bot');
  assert.equal(headers['forwarded'], undefined);
  assert.equal(headers['x_forwarded_for'], undefined);
});

test('L75 an agent sets no cookie of ours, and none for its neighbours or the API', async (t) => {
  const cookies = [
    'holdfast_session=evil; Path=/',
    '__Host-holdfast=evil; Path=/; Secure',
    'sid=1; Path=/; HttpOnly',
    'deep=1; path=/app; Domain=localhost; SameSite=Lax',
    'own=1; Path=/i/demo/bot/app',
    'bare=1',
  ];
  const subject = await startSubject(t, mirror([], { 'set-cookie': cookies }));
  const answer = await subject.ask('/i/demo/bot/');
  assert.deepEqual(answer.headers['set-cookie'], [
    'sid=1; HttpOnly; Path=/i/demo/bot/',
    'deep=1; SameSite=Lax; Path=/i/demo/bot/app',
    'own=1; Path=/i/demo/bot/app',
    'bare=1; Path=/i/demo/bot/',
  ]);
});

test('L75 an agent takes no hold of the origin that it shares with others', async (t) => {
  const hold = {
    'service-worker-allowed': '/',
    'clear-site-data': '"cookies"',
    'alt-svc': 'h2="evil:443"',
    'strict-transport-security': 'max-age=1',
  };
  const subject = await startSubject(t, mirror([], { ...hold, 'x-frame-options': 'DENY' }));
  const answer = await subject.ask('/i/demo/bot/');
  for (const name of Object.keys(hold)) assert.equal(answer.headers[name], undefined, name);
  assert.equal(answer.headers['x-frame-options'], 'DENY');
});

for (const [what, words] of [
  ['a control character in its reason', 'HTTP/1.1 200 O\x01K\r\nContent-Length: 0\r\n\r\n'],
  ['a status of 42', 'HTTP/1.1 042 Odd\r\nContent-Length: 0\r\n\r\n'],
  ['a status of 999', 'HTTP/1.1 9999 Odd\r\nContent-Length: 0\r\n\r\n'],
  [
    'a switch that nobody asked for',
    'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n',
  ],
  ['two lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx'],
  ['a coding that we do not know', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n'],
  ['a split header', 'HTTP/1.1 200 OK\r\nX: a\rSet-Cookie: holdfast=1\r\nContent-Length: 0\r\n\r\n'],
  ['headers without end', `HTTP/1.1 200 OK\r\nX: ${'x'.repeat(100_000)}`],
  ['no HTTP at all', 'SSH-2.0-OpenSSH_9.9\r\n'],
] as const) {
  test(`an agent that answers with ${what} breaks nothing: 502, and the next request is served`, async (t) => {
    const subject = await startSubject(t, parrot(words));
    for (let i = 0; i < 2; i += 1) {
      const answer = await subject.ask('/i/demo/bot/');
      assert.equal(answer.status, 502, answer.text);
      assert.equal(answer.headers['set-cookie'], undefined);
      assert.match(answer.text, /no HTTP/);
    }
    await subject.settled();
  });
}
