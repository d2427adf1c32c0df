/** Every edge of the range of a replay, over HTTP: what is answered is whole and clear, or refused with what can be asked. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { iso } from '../../src/core/time.ts';
import { createApp, listen, type Listening } from '../../src/http/server.ts';
import { FLEET, Stage } from './stage.ts';

interface Answer {
  readonly status: number;
  readonly body: {
    readonly detail?: string;
    readonly rule?: string;
    readonly events?: number;
    readonly fromSeq?: number;
    readonly toSeq?: number;
    readonly differences?: readonly unknown[];
    readonly phases?: { readonly [phase: string]: number };
  };
}

let stage: Stage;
let server: Listening;
let token: string;

before(async () => {
  stage = new Stage();
  await stage.runtime.start();
  await stage.up(['a', 'b']);
  for (const name of ['a', 'b', 'a']) {
    stage.target.exits(name);
    await stage.pass(60_000);
  }
  server = await listen(createApp(stage.control), { host: '127.0.0.1', port: 0 });
  const made = { name: 'reader', scope: 'read', fleets: null, expiresInMs: null } as const;
  token = (await stage.control.createToken(made)).token;
});
after(() => server.close(0));

async function replay(range: { readonly from?: number | string; readonly to?: number | string }): Promise<Answer> {
  const answer = await fetch(`${server.url}/v1/fleets/${FLEET}/debug/replay-events`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify(range),
  });
  return { status: answer.status, body: (await answer.json()) as Answer['body'] };
}

const now = (): number => stage.fleet.loop.time();
const head = (): number => stage.fleet.loop.state.seq;

test('whole: from its beginning to its end, without a difference', async () => {
  const { status, body } = await replay({});
  assert.deepEqual([status, body.fromSeq, body.toSeq, body.events], [200, 1, head(), head()]);
  assert.deepEqual([body.differences, body.phases], [[], { RUNNING: 2 }]);
});

test('empty: between two events, it stands as the fleet stood then', async () => {
  const { status, body } = await replay({ from: iso(now() - 20_000), to: iso(now() - 10_000) });
  assert.deepEqual([status, body.events, body.differences, body.phases], [200, 0, [], { RUNNING: 2 }]);
});

test('inside one tick: an end between it and its flap is moved behind the flap', async () => {
  const events = await stage.store.read(FLEET, { after: 0, limit: 1_000 });
  const flap = events.findLast(({ type }) => type === 'flap.observed');
  assert.ok(flap !== undefined);
  const { status, body } = await replay({ from: flap.seq - 1, to: flap.seq - 1 });
  assert.deepEqual([status, body.toSeq, body.events, body.differences], [200, flap.seq, 2, []]);
});

test('reversed, by seq and by time: refused, naming both ends', async () => {
  for (const range of [
    { from: 9, to: 3 },
    { from: iso(now()), to: iso(now() - 60_000) },
  ]) {
    const { status, body } = await replay(range);
    assert.deepEqual([status, body.rule], [422, 'range']);
    assert.match(body.detail ?? '', /the range is reversed: it begins at .+ and ends at .+/);
  }
});

test('in the future, by seq and by time: refused, saying where the log ends and what time it is', async () => {
  for (const range of [{ from: head() + 5 }, { to: head() + 5 }, { from: iso(now() + 3_600_000) }]) {
    const { status, body } = await replay(range);
    assert.deepEqual([status, body.rule], [422, 'range']);
    assert.match(body.detail ?? '', /lies ahead: the log's last is event \d+, and for the fleet it is \d{4}-/);
  }
  // An end that has not come yet is now.
  const { status, body } = await replay({ to: iso(now() + 3_600_000) });
  assert.deepEqual([status, body.toSeq], [200, head()]);
});

test('before retention: refused with the earliest that can be reached, and from there it is whole', async () => {
  await stage.fleet.loop.saveSnapshot();
  const kept = head();
  stage.target.exits('b');
  await stage.pass(20_000);
  await stage.store.retain(FLEET, { sinceAt: Number.MAX_SAFE_INTEGER, events: 0 });
  for (const from of [1, iso(0)]) {
    const { status, body } = await replay({ from });
    assert.deepEqual([status, body.rule], [410, 'retention']);
    assert.match(body.detail ?? '', new RegExp(`the earliest that can be reached is event ${kept + 1}, at \\d{4}-`));
  }
  const { status, body } = await replay({ from: kept + 1 });
  assert.deepEqual([status, body.fromSeq, body.toSeq, body.differences], [200, kept + 1, head(), []]);
});
