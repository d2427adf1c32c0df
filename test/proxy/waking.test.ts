/**
 * The whole thing: `holdfast up`, agents that are real processes with a port, and requests through the real proxy. What is
 * asserted is what the log says was done, and what clients were answered.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { type IncomingMessage, request as httpRequest } from 'node:http';
import { type AddressInfo, createServer as createTcp } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { WebSocket } from 'ws';
import type { Json, JsonObject } from '../../src/core/model.ts';
import type { EventView } from '../../src/runtime/api.ts';
import {
  type Answer,
  dataOf,
  type Fleet,
  ofType,
  openWorld,
  pidOf,
  type Plane,
  type ProblemBody,
  until,
  type World,
} from '../support/e2e.ts';

/**
 * Answers with its pid and what it was sent. `/slow?ms=` answers late, `/lines?ms=` speaks all the while. Asked to stop, it takes
 * STOP_MS, during which it still listens; it listens only READY_MS after its start.
 */
const AGENT = `
import { createServer } from 'node:http';
import { createHash } from 'node:crypto';
const number = (name) => Number(process.env[name] ?? 0);
let stopping = false;
let late = 0;
const server = createServer((incoming, outgoing) => {
  const url = new URL(incoming.url, 'http://agent');
  const ms = Number(url.searchParams.get('ms') ?? 0);
  let body = '';
  incoming.on('data', (text) => (body += text));
  incoming.on('end', () => {
    if (url.pathname === '/lines') {
      const lines = setInterval(() => outgoing.write('line of ' + process.pid + '\\n'), 20);
      setTimeout(() => (clearInterval(lines), outgoing.end('done\\n')), ms);
      outgoing.on('close', () => clearInterval(lines));
    } else {
      if (ms > 0) late += 1;
      setTimeout(() => outgoing.end(JSON.stringify({ pid: process.pid, url: incoming.url, headers: incoming.headers, body, stopping, late })), ms);
    }
  });
});
server.on('upgrade', (incoming, socket) => {
  const accept = createHash('sha1').update(incoming.headers['sec-websocket-key'] + '258EAFA5-E914-47DA-95CA-C5AB0DC85B11').digest('base64');
  socket.on('error', () => undefined);
  socket.write('HTTP/1.1 101 Switching Protocols\\r\\nConnection: Upgrade\\r\\nUpgrade: websocket\\r\\nSec-WebSocket-Accept: ' + accept + '\\r\\n\\r\\n');
  socket.write(Buffer.from([0x81, 2, 0x68, 0x69]));
});
process.on('SIGTERM', () => ((stopping = true), setTimeout(() => process.exit(0), number('STOP_MS'))));
setTimeout(() => server.listen(number('PORT'), '127.0.0.1'), number('READY_MS'));
`;

const PATIENCE_MS = 20_000;

let world: World;
let plane: Plane;
let proxy: string;

before(async () => {
  world = await openWorld();
  writeFileSync(join(world.folder, 'http-agent.mjs'), AGENT);
  plane = await world.up();
  proxy = proxyOf(plane);
});

after(() => world.close());

function proxyOf(one: Plane): string {
  const url = /proxy\s+(http:\S+?)\/i\//.exec(one.said())?.[1];
  assert.ok(url !== undefined, one.said());
  return url;
}

async function freePort(): Promise<number> {
  const server = createTcp();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

interface BotOptions {
  readonly env?: { readonly [name: string]: string };
  readonly more?: JsonObject;
}

async function bot({ env = {}, more = {} }: BotOptions = {}): Promise<Json> {
  const port = await freePort();
  const command = [process.execPath, join(world.folder, 'http-agent.mjs')];
  return {
    target: 'process',
    lifecycle: 'lazy',
    idleAfter: '10m',
    run: { command, env: { PORT: String(port), ...env }, ports: [port], stopTimeout: '5s' },
    ...more,
  };
}

/** One lazy bot in a fleet of its own, asleep. */
async function sleeper(fleetName: string, options: BotOptions = {}): Promise<Fleet> {
  const fleet = plane.fleet(fleetName);
  await fleet.declare({ instances: { bot: await bot(options) } });
  await asleep(fleet);
  return fleet;
}

const asleep = (fleet: Fleet, deadlineMs = PATIENCE_MS): Promise<unknown> =>
  fleet.until('bot', 'asleep', ({ phase }) => phase === 'SLEEPING', deadlineMs);

interface Said {
  readonly pid: number;
  readonly url: string;
  readonly headers: { readonly [name: string]: string };
  readonly body: string;
  readonly stopping: boolean;
  /** Requests that it answers late, so far. */
  readonly late: number;
}

function through(
  fleet: string,
  path: string,
  headers: { readonly [name: string]: string } = {},
  body?: string,
  token: string | null = plane.token,
): Promise<Answer<Said>> {
  const { promise, resolve, reject } = Promise.withResolvers<Answer<Said>>();
  const request = httpRequest(
    `${proxy}/i/${fleet}/bot${path}`,
    {
      agent: false,
      method: body === undefined ? 'GET' : 'POST',
      headers: { ...(token === null ? {} : { authorization: `Bearer ${token}` }), ...headers },
    },
    (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (more: string) => (text += more));
      response.on('error', reject);
      response.on('end', () =>
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          text,
          get body() {
            return JSON.parse(text) as Said;
          },
        }),
      );
    },
  );
  request.on('error', reject);
  request.setTimeout(2 * PATIENCE_MS, () => request.destroy(new Error(`${path} was not answered`)));
  request.end(body);
  return promise;
}

const actions = (events: readonly EventView[], type: string): number =>
  ofType(events, 'tick.decided')
    .flatMap((event) => dataOf(event)['actions'] as unknown as { type: string }[])
    .filter((action) => action.type === type).length;

const edges = (events: readonly EventView[]): string[] =>
  events.map(({ type }) => type).filter((type) => type.startsWith('work.'));

describe('waking through the proxy', () => {
  test('a request to a sleeper is held, the sleeper started, and the request answered, body and all', async () => {
    const fleet = await sleeper('hold', { env: { READY_MS: '300' } });
    const answer = await through('hold', '/a/b?c=d', { 'x-mine': 'yes' }, 'the body');
    assert.equal(answer.status, 200, answer.text);
    assert.equal(answer.body.url, '/a/b?c=d');
    assert.equal(answer.body.body, 'the body');
    assert.equal(answer.body.headers['x-mine'], 'yes');
    assert.ok(!answer.text.includes(plane.token), 'our token was shown to the agent');
    assert.equal(answer.body.pid, pidOf(await fleet.get('bot')));
  });

  test('L61 ten requests to a sleeper start it once, and are all answered by that life', async () => {
    const fleet = await sleeper('ten', { env: { READY_MS: '200' } });
    const answers = await Promise.all(Array.from({ length: 10 }, (_, i) => through('ten', `/${i}`)));
    assert.deepEqual(
      answers.map(({ status }) => status),
      answers.map(() => 200),
    );
    assert.equal(new Set(answers.map(({ body }) => body.pid)).size, 1);
    assert.equal(actions(await fleet.events(), 'start'), 1);
  });

  test('L61 five hundred requests at once start it once; those that find no room are told when to try again', async () => {
    const fleet = await sleeper('crowd', { env: { READY_MS: '1000' } });
    const answers = await Promise.all(Array.from({ length: 500 }, (_, i) => through('crowd', `/${i}`)));
    const served = answers.filter(({ status }) => status === 200);
    const refused = answers.filter(({ status }) => status === 503);
    assert.equal(served.length + refused.length, 500);
    assert.ok(served.length >= 200, `only ${served.length} were served`);
    assert.ok(refused.length > 0, 'there was room for all of them: the queue has no bound');
    for (const { headers } of refused) assert.ok(Number(headers['retry-after']) > 0);
    assert.equal(actions(await fleet.events(), 'start'), 1);
    // Awake, it takes them all.
    const again = await Promise.all(Array.from({ length: 500 }, (_, i) => through('crowd', `/${i}`)));
    assert.ok(again.every(({ status }) => status === 200));
  });

  test('a thousand quick requests write a handful of events', async () => {
    const fleet = await sleeper('quick');
    await through('quick', '/');
    const before = (await fleet.view()).head;
    for (let i = 0; i < 50; i += 1) await Promise.all(Array.from({ length: 20 }, () => through('quick', '/')));
    await until('the work has ended in the log', async () => edges(await fleet.events()).at(-1) === 'work.ended');
    const events = await fleet.events(before);
    assert.ok(events.length <= 10, JSON.stringify(events.map(({ type }) => type)));
  });

  test('one that is stopped, in ERROR or not there is said to be so at once, and stays as it is', async () => {
    const fleet = plane.fleet('refusing');
    const lazy = (await bot()) as JsonObject;
    const { run } = lazy as { run: JsonObject };
    await fleet.declare({
      policy: { giveUpAfter: 1 },
      instances: { bot: lazy, broken: { ...lazy, run: { ...run, command: [join(world.folder, 'no-such-command')] } } },
    });
    await asleep(fleet);
    assert.equal((await fleet.post('instances/bot/stop')).status, 202);
    await fleet.until('bot', 'stopped', ({ phase }) => phase === 'STOPPED');
    const stopped = await through('refusing', '/');
    assert.equal(stopped.status, 503);
    assert.match((JSON.parse(stopped.text) as ProblemBody).detail, /stopped; an operator must resume it/);
    assert.equal(stopped.headers['retry-after'], undefined);
    const ask = (name: string): Promise<Response> =>
      fetch(`${proxy}/i/refusing/${name}/`, { headers: { authorization: `Bearer ${plane.token}` } });
    // The first one waits until it is given up, the second is told at once.
    for (let i = 0; i < 2; i += 1) {
      const broken = await ask('broken');
      assert.equal(broken.status, 503, await broken.text());
    }
    await fleet.until('broken', 'given up', ({ phase }) => phase === 'ERROR');
    assert.equal((await ask('nobody')).status, 404);
    assert.equal((await fleet.get('bot')).phase, 'STOPPED');
  });

  test('an agent that crashes under a request is started again, and the next request answered by that life', async () => {
    await sleeper('crash');
    const first = (await through('crash', '/')).body.pid;
    const lost = through('crash', '/slow?ms=60000');
    await until('it is asked', async () => (await through('crash', '/')).body.late > 0);
    process.kill(first, 'SIGKILL');
    const answer = await lost;
    assert.equal(answer.status, 502);
    assert.doesNotMatch(answer.text, /ECONN|127\.0/);
    const second = await through('crash', '/');
    assert.equal(second.status, 200);
    assert.notEqual(second.body.pid, first);
  });

  test('a WebSocket wakes a sleeper, and keeps it awake as long as it is open', async () => {
    const fleet = await sleeper('socket', { env: { READY_MS: '200' }, more: { idleAfter: '1s' } });
    const socket = new WebSocket(`${proxy.replace('http', 'ws')}/i/socket/bot/`, {
      headers: { authorization: `Bearer ${plane.token}` },
    });
    const [data] = (await once(socket, 'message')) as [Buffer];
    assert.equal(data.toString(), 'hi');
    const pid = pidOf(await fleet.get('bot'));
    // Awake well beyond its idle time: other requests mark the time that passes.
    const until3s = performance.now() + 3_000;
    while (performance.now() < until3s) assert.equal((await through('socket', '/slow?ms=100')).body.pid, pid);
    assert.equal(actions(await fleet.events(), 'sleep'), 0);
    socket.terminate();
    await asleep(fleet);
  });
});

describe('falling asleep', () => {
  test('L57 the idle timer never ends a request, however long it lasts, quiet or not', async () => {
    const fleet = await sleeper('long', { more: { idleAfter: '500ms' } });
    for (const path of ['/slow?ms=3000', '/lines?ms=3000']) {
      const answer = await through('long', path);
      assert.equal(answer.status, 200);
      assert.match(answer.text, path.startsWith('/slow') ? /"pid"/ : /done\n$/);
    }
    assert.equal(actions(await fleet.events(), 'start'), 1, 'it was put to sleep in the middle of a request');
    await asleep(fleet);
    const events = await fleet.events();
    const ended = ofType(events, 'work.ended').at(-1);
    const sleep = ofType(events, 'tick.decided').find((event) =>
      (dataOf(event)['actions'] as unknown as { type: string }[]).some(({ type }) => type === 'sleep'),
    );
    assert.ok(ended !== undefined && sleep !== undefined);
    assert.ok(Date.parse(sleep.at) - Date.parse(ended.at) >= 500, 'it was not idle for its idle time');
    assert.equal(ofType(events, 'flap.observed').length, 0);
  });

  test('L58 a request that arrives while its agent takes its time to stop is answered by the next life', async () => {
    const fleet = await sleeper('race', { env: { STOP_MS: '1000' }, more: { idleAfter: '200ms' } });
    const first = (await through('race', '/')).body.pid;
    await until('it is being put to sleep', async () => actions(await fleet.events(), 'sleep') === 1);
    const answers = await Promise.all([through('race', '/'), through('race', '/', {}, 'work')]);
    for (const { status, body } of answers) {
      assert.equal(status, 200);
      assert.notEqual(body.pid, first, 'the life that was ending was given new work');
      assert.equal(body.stopping, false);
    }
    const events = await fleet.events();
    assert.equal(actions(events, 'start'), 2);
    assert.equal(ofType(events, 'flap.observed').length, 0);
  });

  test('L59 looking at it, by whatever road, keeps nobody awake', async () => {
    const fleet = await sleeper('looked-at', { more: { idleAfter: '1s', health: { http: { port: 1, path: '/' } } } });
    const watching = await plane.lines('/v1/fleets/looked-at/watch');
    const following = await plane.lines('/v1/fleets/looked-at/instances/bot/logs?follow=true');
    assert.equal((await fleet.post('instances/bot/wake')).status, 202);
    await fleet.until('bot', 'awake', ({ resource }) => resource?.state === 'running');
    await until('it falls asleep though it is looked at all the time', async () => {
      const views = await Promise.all([
        fleet.get('bot'),
        fleet.view(),
        fleet.all(),
        fleet.why('bot'),
        fleet.logs('bot'),
        fleet.events(),
        plane.ask('GET', '/metrics'),
        plane.ask('GET', '/readyz'),
      ]);
      return views[0].resource?.state === 'stopped';
    });
    watching.close();
    following.close();
    assert.deepEqual(edges(await fleet.events()), []);
  });

  test('a request that is refused is no work, and wakes nobody', async () => {
    const fleet = await sleeper('refused');
    for (const [path, headers, token] of [
      ['/', {}, null],
      ['/', {}, 'hf_wrong'],
      ['/', { host: 'evil.example' }, plane.token],
      [':1/', {}, plane.token],
      [`/?t=${plane.token}`, {}, plane.token],
    ] as const) {
      const { status } = await through('refused', path, headers, undefined, token);
      assert.ok(status >= 400 && status !== 503, `${path}: ${status}`);
    }
    assert.equal((await fleet.get('bot')).phase, 'SLEEPING');
    assert.deepEqual(edges(await fleet.events()), []);
  });

  test('a client that leaves at once does not keep it awake', async () => {
    const fleet = await sleeper('left', { more: { idleAfter: '300ms' } });
    const leaving = httpRequest(`${proxy}/i/left/bot/lines?ms=60000`, {
      agent: false,
      headers: { authorization: `Bearer ${plane.token}` },
    });
    leaving.on('error', () => undefined).end();
    const [response] = (await once(leaving, 'response')) as [IncomingMessage];
    response.on('error', () => undefined);
    await once(response, 'data');
    leaving.destroy();
    await asleep(fleet);
  });
});

describe('who may', () => {
  test('tokens: "operate" for its fleet passes, "read" and another fleet do not', async () => {
    await sleeper('scopes');
    const make = async (name: string, scope: string, fleets?: string[]): Promise<string> => {
      const answer = await plane.ask<{ token: string }>('POST', '/v1/tokens', {
        body: { name, scope, ...(fleets === undefined ? {} : { fleets }) },
      });
      assert.ok(answer.status < 300, answer.text);
      return answer.body.token;
    };
    const ask = async (token: string): Promise<number> => (await through('scopes', '/', {}, undefined, token)).status;
    assert.equal(await ask(await make('reader', 'read')), 403);
    assert.equal(await ask(await make('elsewhere', 'operate', ['other'])), 403);
    const operator = await make('operator', 'operate', ['scopes']);
    assert.equal(await ask(operator), 200);
    await plane.ask('DELETE', '/v1/tokens/operator');
    assert.equal(await ask(operator), 401);
  });

  test('a path exposed without a token wakes it for anybody; every other path wants one', async () => {
    const port = await freePort();
    const fleet = plane.fleet('exposed');
    const declared = (await bot({ env: { PORT: String(port) } })) as JsonObject;
    const { run } = declared as { run: JsonObject };
    await fleet.declare({
      instances: {
        bot: { ...declared, run: { ...run, ports: [port] }, expose: [{ port, path: '/hook', auth: 'none' }] },
      },
    });
    await asleep(fleet);
    for (const path of ['/', '/hooks', '/hook/../', '/hook/%2e%2e/x', `:${port}/`])
      assert.equal((await through('exposed', path, {}, undefined, null)).status, 401, path);
    assert.equal((await fleet.get('bot')).phase, 'SLEEPING');
    const answer = await through('exposed', '/hook/x', { cookie: 'holdfast_session=1; a=b' }, '{"update":1}', null);
    assert.equal(answer.status, 200);
    assert.equal(answer.body.body, '{"update":1}');
    assert.equal(answer.body.headers['cookie'], 'a=b');
  });

  test('a process that exposes a port is reached there, published or not', async () => {
    const port = await freePort();
    const declared = (await bot({ env: { PORT: String(port) } })) as JsonObject;
    const { ports: _, ...run } = (declared as { run: JsonObject }).run;
    await plane
      .fleet('unpublished')
      .declare({ instances: { bot: { ...declared, run, expose: [{ port, path: '/hook', auth: 'none' }] } } });
    await asleep(plane.fleet('unpublished'));
    assert.equal((await through('unpublished', '/hook', {}, undefined, null)).status, 200);
  });

  test('L75 a page that an agent serves is of another origin: the API does nothing that it asks', async () => {
    await sleeper('page');
    assert.equal((await through('page', '/')).status, 200);
    assert.notEqual(new URL(proxy).origin, new URL(plane.url).origin);
    for (const headers of [
      { origin: proxy },
      { origin: proxy.replace('127.0.0.1', 'localhost') },
      { 'sec-fetch-site': 'same-site' },
    ] as const) {
      for (const [method, path] of [
        ['POST', '/v1/fleets/page/instances/bot/stop'],
        ['GET', '/v1/fleets/page'],
        ['POST', '/v1/tokens'],
      ] as const) {
        const answer = await plane.ask<ProblemBody>(method, path, { headers: { ...headers } });
        assert.equal(answer.status, 403, `${method} ${path}: ${answer.text}`);
        assert.match(answer.body.type, /foreign-origin/);
        assert.equal(answer.headers['access-control-allow-origin'], undefined);
      }
    }
    // And the proxy has no API.
    assert.equal(
      (await fetch(`${proxy}/v1/fleets`, { headers: { authorization: `Bearer ${plane.token}` } })).status,
      404,
    );
  });
});

test('a server that ends lets go of open streams and sockets, and its successor puts idle agents to sleep', async () => {
  const own = await world.up({ data: join(world.folder, 'other') });
  const fleet = own.fleet('successor');
  await fleet.declare({ instances: { bot: await bot({ more: { idleAfter: '500ms' } }) } });
  await asleep(fleet);
  const socket = new WebSocket(`${proxyOf(own).replace('http', 'ws')}/i/successor/bot/`, {
    headers: { authorization: `Bearer ${own.token}` },
  });
  await once(socket, 'message');
  const closed = once(socket, 'close');
  const began = performance.now();
  const { code } = await own.end();
  assert.equal(code, 0);
  assert.ok(performance.now() - began < 10_000, 'it waited for an open WebSocket');
  await closed;
  const next = await world.up({ data: join(world.folder, 'other') });
  await asleep(next.fleet('successor'));
});
