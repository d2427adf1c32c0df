/** What an operator reads: agents' output, the log page by page, and both as they are written, over a restart of the server. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { EventView, Page } from '../../src/runtime/api.ts';
import {
  openWorld,
  pidOf,
  send,
  until,
  type Fleet,
  type Lines,
  type Plane,
  type ProblemBody,
  type World,
} from '../support/e2e.ts';

describe('reading', () => {
  let world: World;
  let plane: Plane;
  let fleet: Fleet;

  before(async () => {
    world = await openWorld();
    plane = await world.up();
    fleet = plane.fleet('demo');
    const run = { command: world.agent() };
    await fleet.declare({
      instances: {
        one: { target: 'process', run },
        two: { target: 'process', run },
        idle: { target: 'process', lifecycle: 'lazy', run },
      },
    });
    for (const name of ['one', 'two']) await fleet.running(name);
  });
  after(() => world.close());

  describe('the output of an agent', () => {
    test('the last lines, those of the life before, and nothing of one that never ran', async () => {
      const first = await fleet.running('one');
      send(first, 'SIGHUP');
      await fleet.until('one', 'another process', (view) => view.phase === 'RUNNING' && pidOf(view) !== first);
      const second = await fleet.running('one');
      assert.equal(await fleet.logs('one'), `one is up, pid ${second}\n`);
      assert.equal(await fleet.logs('one', '?previous=true'), `one is up, pid ${first}\nsomething broke in one\n`);
      assert.equal(await fleet.logs('one', '?previous=true&tail=1'), 'something broke in one\n');
      assert.equal(await fleet.logs('idle'), '');
      const cli = await plane.cli('logs', 'one', '--previous');
      assert.equal(cli.out, `one is up, pid ${first}\nsomething broke in one\n`);
    });

    test('followed, it goes on into the next life', async () => {
      const first = await fleet.running('two');
      const lines = await plane.lines('/v1/fleets/demo/instances/two/logs?follow=true');
      await until('what was written before', () => lines.seen.includes(`two is up, pid ${first}`));
      await fleet.post('instances/two/restart?wait=20s');
      const second = await fleet.running('two');
      await until('the next life', () => lines.seen.includes(`two is up, pid ${second}`));
      assert.deepEqual(lines.seen, [
        `two is up, pid ${first}`,
        `two was asked to stop, pid ${first}`,
        `two is up, pid ${second}`,
      ]);
      assert.ok(!lines.ended());
      lines.close();
    });
  });

  describe('the log', () => {
    test('page by page it has no hole and no event twice, and ends', async () => {
      const { head } = await fleet.view();
      const pages: EventView[][] = [];
      for (let next: string | null = '0'; next !== null;) {
        const page: Page<EventView> = (
          await plane.ask<Page<EventView>>('GET', `/v1/fleets/demo/events?after=${next}&limit=7&to=${head}`)
        ).body;
        pages.push([...page.items]);
        next = page.next;
      }
      assert.ok(pages.length > 3);
      assert.ok(pages.every(({ length }) => length <= 7));
      assert.deepEqual(
        pages.flat().map(({ seq }) => seq),
        Array.from({ length: head }, (_, at) => at + 1),
      );
      const times = pages.flat().map(({ at }) => at);
      assert.deepEqual(times, [...times].sort());
    });

    test('of one instance, and between two times', async () => {
      const all = await fleet.events();
      const one = (await plane.ask<Page<EventView>>('GET', '/v1/fleets/demo/events?instance=one&limit=1000')).body
        .items;
      // Its own, and the ticks that decided something of it.
      const concerns = ({ type, instance, data }: EventView): boolean =>
        instance === 'one' || (type === 'tick.decided' && JSON.stringify(data).includes('"instance":"one"'));
      assert.deepEqual(
        one.map(({ seq }) => seq),
        all.filter(concerns).map(({ seq }) => seq),
      );
      const from = all[Math.floor(all.length / 2)]!.at;
      const since = (await plane.ask<Page<EventView>>('GET', `/v1/fleets/demo/events?from=${from}&limit=1000`)).body
        .items;
      assert.deepEqual(
        since.map(({ seq }) => seq),
        all.filter(({ at }) => at >= from).map(({ seq }) => seq),
      );
    });

    test('the command line tells the history of one instance in words', async () => {
      const { out } = await plane.cli('history', 'one', '--since', '1h');
      assert.match(out, /declared +generation 1 on process/);
      assert.match(out, /flap +process_exited, exit 3: something broke in one/);
    });
  });

  describe('the log as it is written', () => {
    const WATCH = '/v1/fleets/demo/watch';

    interface Frame {
      readonly id: number;
      readonly type: string;
      readonly event: EventView;
    }

    const framesOf = ({ seen }: Lines): readonly Frame[] => {
      const frames: Frame[] = [];
      for (const [at, line] of seen.entries()) {
        if (!line.startsWith('id: ')) continue;
        const data = seen[at + 2];
        // Its last line may still be on its way.
        if (data === undefined) break;
        frames.push({
          id: Number(line.slice(4)),
          type: seen[at + 1]!.slice('event: '.length),
          event: JSON.parse(data.slice('data: '.length)) as EventView,
        });
      }
      return frames;
    };

    test('over a kill of the server, who comes back with Last-Event-ID misses nothing and sees nothing twice', async () => {
      const before = await plane.lines(WATCH);
      await fleet.post('instances/one/stop?wait=20s');
      const { head } = await fleet.view();
      await until('all of it arrived', () => framesOf(before).some(({ id }) => id === head));
      const first = framesOf(before);
      const { port } = plane;
      await plane.kill();
      await until('the stream has ended', () => before.ended());

      plane = await world.up({ port });
      fleet = plane.fleet('demo');
      const last = first.at(-1)!.id;
      const again = await plane.lines(WATCH, { 'last-event-id': String(last) });
      await fleet.post('instances/one/resume?wait=20s');
      const end = (await fleet.view()).head;
      await until('all of it arrived', () => framesOf(again).some(({ id }) => id === end));
      const heard = [...first, ...framesOf(again)].map(({ event }) => event);
      assert.deepEqual(heard, (await fleet.events(heard[0]!.seq - 1)).slice(0, heard.length));
      assert.ok(
        framesOf(again).some(({ type }) => type === 'owner.started'),
        'what happened meanwhile is among it',
      );
      again.close();
    });

    test('from the beginning if asked, and a place that is no place is refused', async () => {
      const lines = await plane.lines(`${WATCH}?after=0`);
      const { head } = await fleet.view();
      await until('all of it arrived', () => framesOf(lines).some(({ id }) => id === head));
      assert.deepEqual(
        framesOf(lines)
          .slice(0, head)
          .map(({ id }) => id),
        Array.from({ length: head }, (_, at) => at + 1),
      );
      lines.close();
      const wrong = await plane.ask<ProblemBody>('GET', WATCH, { headers: { 'last-event-id': 'yesterday' } });
      assert.equal(wrong.status, 400);
    });

    test('an end in good order ends the streams, and does not wait for their readers', async () => {
      const lines = await plane.lines(WATCH);
      const logs = await plane.lines('/v1/fleets/demo/instances/two/logs?follow=true');
      const { code } = await plane.end();
      assert.equal(code, 0);
      await until('both have ended', () => lines.ended() && logs.ended());
    });
  });
});
