/** What goes on until Ctrl-C, and the real executable: signals, pipes, exit codes. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { readFrames, type Frame } from '../../src/cli/sse.ts';
import { Interrupted } from '../../src/cli/failure.ts';
import { cli, ended, startCli } from './support/cli.ts';
import { EVENTS, fakeApi, instanceView, problem, WRITTEN, type Answer } from './support/fake-api.ts';

function frame(seq: number): string {
  return `id: ${seq}\nevent: agent.reported\ndata: ${JSON.stringify({ ...EVENTS[2], seq })}\n\n`;
}

test('a watch that the server cuts is opened again where it broke off: nothing is missed, nothing comes twice', async () => {
  const starts: unknown[] = [];
  const watch: Answer = ({ headers }, response) => {
    starts.push(headers['last-event-id']);
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    if (starts.length === 1) {
      response.write(frame(21));
      // Cut in the middle of an event.
      response.write(frame(22).slice(0, 30), () => response.destroy());
    } else if (starts.length === 2) {
      response.end(frame(21) + frame(22));
    } else {
      response.write(frame(23));
    }
    return WRITTEN;
  };
  await using api = await fakeApi({ 'GET /v1/fleets/demo/watch': watch });
  const stop = new AbortController();
  const { code, out, err } = await cli('events -f --after 20', {
    api,
    signal: stop.signal,
    onOut: (all) => {
      if (all.includes('#23')) stop.abort(new Interrupted('enough'));
    },
  });
  assert.equal(code, 0);
  assert.deepEqual(starts, ['20', '21', '22']);
  assert.deepEqual(out.match(/#\d+/g), ['#21', '#22', '#23']);
  assert.match(err, /connection was lost/);
});

test('a watch that the server refuses ends with its reason', async () => {
  await using api = await fakeApi({
    'GET /v1/fleets/demo/watch': () => problem(410, 'events before #500 are no longer kept'),
  });
  const { code, err } = await cli('events -f --after 20', { api });
  assert.equal(code, 2);
  assert.match(err, /no longer kept/);
});

test('frames are the same however the stream is cut into chunks', async () => {
  const text =
    ': hello\r\n\r\nid: 1\r\ndata: {"a":\r\ndata: "é"}\r\n\r\nevent: problem\ndata: x\n\n\nid: 2\ndata:y\n\n';
  const bytes = new TextEncoder().encode(text);
  const read = async (size: number): Promise<Frame[]> => {
    const frames: Frame[] = [];
    const chunks = async function* (): AsyncGenerator<Uint8Array> {
      for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
    };
    for await (const each of readFrames(chunks())) frames.push(each);
    return frames;
  };
  const whole = await read(bytes.length);
  assert.deepEqual(whole, [
    { id: '1', event: 'message', data: '{"a":\n"é"}' },
    { id: '1', event: 'problem', data: 'x' },
    { id: '2', event: 'message', data: 'y' },
  ]);
  for (const size of [1, 2, 3, 7]) assert.deepEqual(await read(size), whole);
});

test('Ctrl-C ends the logs that the real executable follows, quietly and with 0', async () => {
  await using api = await fakeApi({
    'GET /v1/fleets/demo/instances/scribe/logs': (_asked, response) => {
      response.writeHead(200, { 'content-type': 'text/plain' });
      response.write('working\n');
      return WRITTEN;
    },
  });
  const child = startCli(['logs', 'scribe', '-f'], { api });
  const end = ended(child);
  assert.ok(child.stdout);
  await once(child.stdout, 'data');
  child.kill('SIGINT');
  assert.deepEqual(await end, { code: 0, out: 'working\n', err: '' });
});

test('Ctrl-C ends a wait with 130', async () => {
  await using api = await fakeApi({ 'POST /v1/fleets/demo/instances/scribe/restart': () => WRITTEN });
  const child = startCli(['restart', 'scribe', '--wait'], { api });
  const end = ended(child);
  while (!api.asked.some(({ method }) => method === 'POST')) await new Promise((resolve) => setImmediate(resolve));
  child.kill('SIGINT');
  assert.equal((await end).code, 130);
});

test('a reader that goes away (| head) ends the real executable quietly', async () => {
  const items = Array.from({ length: 20_000 }, (_, i) => instanceView({ name: `bot-${i}` }));
  await using api = await fakeApi({ 'GET /v1/fleets/demo/instances': () => ({ items, next: null }) });
  const child = startCli(['get'], { api });
  const end = ended(child);
  assert.ok(child.stdout);
  await once(child.stdout, 'data');
  child.stdout.destroy();
  const { code, err } = await end;
  assert.deepEqual({ code, err }, { code: 0, err: '' });
});

test('the real executable says what it found, without a colour in a pipe, and exits as documented', async () => {
  await using api = await fakeApi();
  const [good, bad, json] = await Promise.all([
    ended(startCli(['get'], { api, env: { FORCE_COLOR: '1' } })),
    ended(startCli(['get'], { env: { HOLDFAST_URL: 'http://127.0.0.1:1', HOLDFAST_TOKEN: 'x' } })),
    ended(startCli(['get', '-o', 'json'], { api })),
  ]);
  assert.equal(good.code, 0);
  assert.match(good.out, /^NAME +PHASE/);
  assert.ok(!good.out.includes('\u001b['));
  assert.equal(bad.code, 2);
  assert.match(bad.err, /^Nothing answers at http:\/\/127\.0\.0\.1:1;/);
  assert.equal((JSON.parse(json.out) as { items: unknown[] }).items.length, 1);
});
