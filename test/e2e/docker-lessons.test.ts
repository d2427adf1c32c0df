/**
 * Field failures where they would really occur: containers of a real engine under a real server, with a man in the middle of
 * the engine's socket who can lie and fall silent.
 */
import assert from 'node:assert/strict';
import { createServer, type AddressInfo } from 'node:net';
import { after, before, describe, test } from 'node:test';
import type { Json } from '../../src/core/model.ts';
import type { Orphan, Volume } from '../../src/runtime/api.ts';
import { endSharedEngine, IMAGE, sharedEngine, type TestEngine } from '../support/docker.ts';
import { engineProxy, type EngineProxy } from '../support/docker-proxy.ts';
import {
  decidedFor,
  flapsOf,
  inContainer,
  LIVES,
  openDockerPlane,
  serves,
  type DockerPlane,
} from '../support/docker-plane.ts';
import { dataOf, ofType, until, type Fleet, type ProblemBody } from '../support/e2e.ts';
import { realComponent } from '../support/require.ts';

const PATIENCE_MS = 60_000;
const LIST = /^GET \/containers\/json/;
const DATA = { volumes: { data: '/data' } };

const engine: TestEngine | null = await sharedEngine().catch(() => null);

if (engine === null) test('docker, lessons', async (t) => void (await realComponent(t, 'Docker', sharedEngine)));
else suite(engine);

function suite({ docker, host }: TestEngine): void {
  describe('containers, lessons', { timeout: 8 * 60_000 }, () => {
    let at: DockerPlane;
    let proxy: EngineProxy;
    let other: EngineProxy;

    before(async () => {
      [proxy, other] = await Promise.all([engineProxy(host), engineProxy(host)]);
      at = await openDockerPlane({ docker: { docker, host: proxy.host }, box2: { docker, host: other.host } });
      await at.up();
    });
    after(async () => {
      await at.close();
      await Promise.all([proxy.close(), other.close()]);
      await endSharedEngine();
    });

    const declare = async (name: string, instances: { readonly [name: string]: Json }): Promise<Fleet> => {
      const fleet = at.plane().fleet(name);
      await fleet.declare({ instances });
      return fleet;
    };
    const phase = (fleet: Fleet, name: string, wanted: string) =>
      fleet.until(name, wanted, (view) => view.phase === wanted, PATIENCE_MS);
    const error = (fleet: Fleet, name: string, code: string) =>
      fleet.until(name, code, ({ lastError }) => lastError?.code === code, PATIENCE_MS);
    /** A look at once, since the event stream is opened again. */
    const lookNow = (through: EngineProxy): void => through.cut();

    test('L51 L45 an engine that lists nothing has nothing deleted, and nothing made twice', async () => {
      const names = Array.from({ length: 8 }, (_, i) => `bot-${i}`);
      const fleet = await declare('lied-to', Object.fromEntries(names.map((name) => [name, inContainer(LIVES)])));
      await Promise.all(names.map((name) => phase(fleet, name, 'RUNNING')));
      const ids = async (): Promise<readonly string[]> =>
        Promise.all(
          names.map(async (name) => {
            const { Id, State } = await at.container('lied-to', name);
            assert.ok(State.Running);
            return Id;
          }),
        );
      const stood = await ids();
      proxy.forge(LIST);
      lookNow(proxy);
      await until(
        'the rest is held',
        async () => (await fleet.all()).some(({ hold }) => hold?.reason === 'blast-radius'),
        PATIENCE_MS,
      );
      proxy.forge(null);
      lookNow(proxy);
      await until(
        'all run again, as they always did',
        async () => (await fleet.all()).every(({ phase: now }) => now === 'RUNNING'),
        PATIENCE_MS,
      );
      assert.deepEqual(await ids(), stood);
      const events = await fleet.events();
      const acted = names.flatMap((name) => decidedFor(events, name)).filter((one) => one !== 'create: provision');
      assert.ok(acted.length <= 5 && acted.every((one) => one === 'missing: provision'), acted.join());
    });

    test('L10 an engine is not asked about what runs on another one', async () => {
      const fleet = await declare('apart', {
        here: inContainer(LIVES),
        there: { ...inContainer(LIVES), target: 'box2' },
      });
      await Promise.all([phase(fleet, 'here', 'RUNNING'), phase(fleet, 'there', 'RUNNING')]);
      const before = await at.container('apart', 'there', 'box2');
      other.hold(/./);
      lookNow(other);
      // Looked through more often than absence needs to be proved.
      for (let looks = 0; looks < 4; looks += 1) {
        const asked = proxy.asked.filter((line) => LIST.test(line)).length;
        lookNow(proxy);
        await until(
          'docker is listed once more',
          () => proxy.asked.filter((line) => LIST.test(line)).length > asked,
          PATIENCE_MS,
        );
      }
      const events = await fleet.events();
      assert.deepEqual(decidedFor(events, 'there'), ['create: provision']);
      assert.deepEqual(flapsOf(events, 'there'), []);
      assert.equal((await at.container('apart', 'here')).State.Running, true);
      other.hold(null);
      lookNow(other);
      await phase(fleet, 'there', 'RUNNING');
      assert.equal((await at.container('apart', 'there', 'box2')).State.StartedAt, before.State.StartedAt);
    });

    test('L52 L53 L54 what is forgotten is listed and alerted, and goes only by its number and on record', async () => {
      const fleet = await declare('orphans', {
        a: inContainer(LIVES),
        b: inContainer(LIVES),
        lost: inContainer(LIVES, DATA),
      });
      await Promise.all(['a', 'b', 'lost'].map((name) => phase(fleet, name, 'RUNNING')));
      const { Id, Config, Mounts } = await at.container('orphans', 'lost');
      const foreign = await docker.createContainer({
        Image: IMAGE,
        Cmd: ['sh', '-c', LIVES],
        Labels: { ...Config.Labels, 'holdfast.deployment': 'another' },
      });
      try {
        // As after a restored database, or a deletion that was given up.
        proxy.hold(/^(POST|DELETE) \/containers\//);
        const deleted = await at.plane().ask('DELETE', '/v1/fleets/orphans/instances/lost?forget=true');
        assert.equal(deleted.status, 202, deleted.text);
        await until('it is forgotten', async () => (await fleet.all()).length === 2, PATIENCE_MS);
        proxy.hold(null);
        lookNow(proxy);
        const listed = await until(
          'it is listed',
          async () => {
            const { body } = await at.plane().ask<{ items: readonly Orphan[] }>('GET', '/v1/fleets/orphans/orphans');
            return body.items.length > 0 && body.items;
          },
          PATIENCE_MS,
        );
        assert.deepEqual(
          listed.map(({ target, instance, state }) => [target, instance, state]),
          [['docker', 'lost', 'running']],
        );
        const { text } = await at.plane().ask('GET', '/metrics');
        assert.match(text, /holdfast_orphans\{[^}]*fleet="orphans"[^}]*\} 1\b/);
        const wrong = await fleet.post<ProblemBody>('orphans/prune', { expected: 2 });
        assert.deepEqual([wrong.status, wrong.body.rule], [409, 'orphan-count'], wrong.text);
        assert.equal((await docker.getContainer(Id).inspect()).State.Running, true);
        const pruned = await fleet.post('orphans/prune', { expected: 1, reason: 'nobody knows it' });
        assert.equal(pruned.status, 200, pruned.text);
        await assert.rejects(docker.getContainer(Id).inspect());
        await docker.getVolume(Mounts[0]!.Name!).inspect();
        assert.equal((await foreign.inspect()).State.Status, 'created');
        const [event] = ofType(await fleet.events(), 'orphan.removed');
        assert.deepEqual(
          [dataOf(event)['instance'], event?.by?.token, event?.by?.reason],
          ['lost', 'admin', 'nobody knows it'],
        );
        const events = await fleet.events();
        assert.deepEqual([flapsOf(events, 'a'), flapsOf(events, 'b')], [[], []]);
      } finally {
        await foreign.remove({ force: true });
      }
    });

    test('L80 a new customer under an old name is refused the old one’s data, and gets it only if told so', async () => {
      const acme = inContainer(LIVES, DATA);
      const fleet = await declare('data', { acme });
      await phase(fleet, 'acme', 'RUNNING');
      await at.exec('data', 'acme', 'echo private > /data/note');
      const volume = (await at.container('data', 'acme')).Mounts[0]!.Name!;
      await at.plane().ask('DELETE', '/v1/fleets/data/instances/acme?wait=60s');
      await until('it is gone', async () => (await fleet.all()).length === 0, PATIENCE_MS);
      const text = `version: 1\nfleet: data\ninstances:\n  acme: ${JSON.stringify(acme)}\n`;
      const refused = await at.plane().ask<ProblemBody>('PUT', '/v1/fleets/data', {
        body: Buffer.from(text),
        headers: { 'content-type': 'application/yaml' },
      });
      assert.deepEqual([refused.status, refused.body.rule], [409, 'retained-data'], refused.text);
      assert.deepEqual(
        refused.body.errors.map(({ path, line }) => [path, line]),
        [['instances.acme', 4]],
      );
      assert.ok(refused.body.detail.includes(volume) && refused.body.detail.includes('reuseData'), refused.text);
      assert.deepEqual(await fleet.all(), []);
      const kept = await at
        .plane()
        .json<{ items: readonly Volume[] } | readonly Volume[]>('volumes', '--fleet', 'data');
      assert.match(JSON.stringify(kept), new RegExp(volume));

      await declare('data', { acme: { ...acme, reuseData: true } });
      await phase(fleet, 'acme', 'RUNNING');
      assert.match(await at.exec('data', 'acme', 'cat /data/note'), /private/);
      assert.equal((await at.container('data', 'acme')).Mounts[0]!.Name, volume);
      // What somebody has is no retained data, though the label is the predecessor's.
      const none = await at.plane().ask<{ items: readonly Volume[] }>('GET', '/v1/fleets/data/volumes');
      assert.deepEqual(none.body.items, []);
    });

    test('L80 retained data is deleted by its name only, and that is on record', async () => {
      const fleet = await declare('retained', { old: inContainer(LIVES, DATA, { lifecycle: 'lazy' }) });
      await phase(fleet, 'old', 'SLEEPING');
      const volume = (await at.container('retained', 'old')).Mounts[0]!.Name!;
      await at.plane().ask('DELETE', '/v1/fleets/retained/instances/old?wait=60s');
      const gone = await at.plane().cli('volumes', 'rm', volume, '--fleet', 'retained');
      assert.equal(gone.code, 0, gone.err + gone.out);
      await assert.rejects(docker.getVolume(volume).inspect());
      const [event] = ofType(await fleet.events(), 'volume.removed');
      assert.deepEqual([dataOf(event)['volume'], event?.by?.token], [volume, 'admin']);
    });

    test('L39 L72 a container that was removed with its volume is not made anew on an empty one', async () => {
      const fleet = await declare('loss', { bot: inContainer(LIVES, DATA) });
      await phase(fleet, 'bot', 'RUNNING');
      const { Id, Mounts } = await at.container('loss', 'bot');
      await docker.getContainer(Id).remove({ force: true });
      await docker
        .getVolume(Mounts[0]!.Name!)
        .remove()
        .catch(() => undefined);
      const view = await fleet.until(
        'bot',
        'made anew or in error',
        ({ phase: now, lastError }) => now === 'ERROR' || (now === 'RUNNING' && lastError?.code === 'data_missing'),
        PATIENCE_MS,
      );
      assert.equal(view.lastError?.code, 'data_missing', JSON.stringify(view));
      assert.deepEqual(await at.containersOf('loss', 'bot'), []);
      await assert.rejects(docker.getVolume(Mounts[0]!.Name!).inspect());
    });

    test('what cannot be is an error in words: no image, a taken name, a taken port; and passes with its cause', async () => {
      const socket = createServer().listen(0, '127.0.0.1');
      const port = await until('a port is taken', () => (socket.address() as AddressInfo | null)?.port);
      const fleet = await declare('faults', {
        fine: inContainer(LIVES, {}, { lifecycle: 'lazy' }),
        imageless: inContainer(LIVES, { image: 'holdfast-test/none:1', pull: 'never' }),
        portless: inContainer(LIVES, { ports: [`${port}:8080`] }),
      });
      try {
        await Promise.all([error(fleet, 'imageless', 'image-missing'), error(fleet, 'portless', 'port-taken')]);
        assert.equal((await fleet.get('imageless')).phase, 'ERROR');
        await phase(fleet, 'fine', 'SLEEPING');
      } finally {
        socket.close();
      }
      await fleet.post('instances/portless/reconcile');
      await phase(fleet, 'portless', 'RUNNING');
      const name = (await at.container('faults', 'fine')).Name.replace(/fine$/, 'named');
      const stranger = await docker.createContainer({ name: name.slice(1), Image: IMAGE, Cmd: ['sh', '-c', LIVES] });
      try {
        await stranger.start();
        await fleet.declare({ instances: { named: inContainer(LIVES) } });
        const view = await error(fleet, 'named', 'name-taken');
        assert.equal(view.phase, 'ERROR');
        assert.ok(view.lastError?.message.includes(stranger.id.slice(0, 12)), view.lastError?.message);
        assert.equal((await stranger.inspect()).State.Running, true);
      } finally {
        await stranger.remove({ force: true });
      }
      await fleet.post('instances/named/reconcile');
      await phase(fleet, 'named', 'RUNNING');
    });

    test('L61 ten requests through the proxy start a sleeping container once, and all are answered', async () => {
      const fleet = await declare('waking', {
        web: inContainer(
          serves('echo hello > /tmp/www/index.html;'),
          { ports: [8080] },
          { lifecycle: 'lazy', idleAfter: '2s' },
        ),
      });
      await phase(fleet, 'web', 'SLEEPING');
      const door = /proxy\s+(http:\S+?)\/i\//.exec(at.plane().said())?.[1];
      assert.ok(door !== undefined, at.plane().said());
      const headers = { authorization: `Bearer ${at.plane().token}` };
      const answers = await Promise.all(
        Array.from({ length: 10 }, async () => {
          const answer = await fetch(`${door}/i/waking/web/`, { headers, signal: AbortSignal.timeout(PATIENCE_MS) });
          return `${answer.status} ${await answer.text()}`;
        }),
      );
      assert.deepEqual(
        answers,
        Array.from({ length: 10 }, () => '200 hello\n'),
      );
      assert.deepEqual(decidedFor(await fleet.events(), 'web').slice(0, 2), [
        'create: provision unstarted',
        'start: start',
      ]);
      await phase(fleet, 'web', 'SLEEPING');
      assert.deepEqual(decidedFor(await fleet.events(), 'web').filter((one) => one === 'start: start').length, 1);
      assert.deepEqual(flapsOf(await fleet.events(), 'web'), []);
    });
  });
}
