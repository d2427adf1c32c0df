/**
 * Containers under a real server and a real engine: rows 8 to 17 of the decision table, each by what was decided, what was
 * shown, and what the engine then has. One server for all; each test has a fleet of its own.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { Json } from '../../src/core/model.ts';
import { endSharedEngine, sharedEngine, type TestEngine } from '../support/docker.ts';
import {
  decidedFor,
  flapsOf,
  inContainer,
  LIVES,
  openDockerPlane,
  phasesOf,
  serves,
  type DockerPlane,
} from '../support/docker-plane.ts';
import { dataOf, ofType, until, wordsOf, type Fleet } from '../support/e2e.ts';
import { realComponent } from '../support/require.ts';

const PATIENCE_MS = 60_000;
const POLICY = { rollout: { healthyFor: '100ms' } };
const DATA = { volumes: { data: '/data' } };

const engine: TestEngine | null = await sharedEngine().catch(() => null);

if (engine === null) test('docker, end to end', async (t) => void (await realComponent(t, 'Docker', sharedEngine)));
else suite(engine);

function suite({ docker, host }: TestEngine): void {
  describe('containers, row by row', { concurrency: true, timeout: 4 * 60_000 }, () => {
    let at: DockerPlane;

    before(async () => {
      at = await openDockerPlane({ docker: { docker, host } });
      await at.up();
    });
    after(async () => {
      await at.close();
      await endSharedEngine();
    });

    const phase = (fleet: Fleet, name: string, wanted: string, deadlineMs = PATIENCE_MS) =>
      fleet.until(name, wanted, (view) => view.phase === wanted, deadlineMs);
    const declare = (name: string, instances: { readonly [name: string]: Json }, policy: Json = POLICY) => {
      const fleet = at.plane().fleet(name);
      return fleet.declare({ policy, instances }).then(() => fleet);
    };
    const health = (silentAfter = '1s') => ({
      http: { port: 8080, path: '/health' },
      every: '200ms',
      silentAfter,
      startGrace: '60s',
    });
    const NEVER = '0001-01-01T00:00:00Z';

    test('row 8, create: a hot one is made and started, a lazy one made and not started', async () => {
      const fleet = await declare('create', {
        hot: inContainer(LIVES),
        lazy: inContainer(LIVES, {}, { lifecycle: 'lazy' }),
      });
      await Promise.all([phase(fleet, 'hot', 'RUNNING'), phase(fleet, 'lazy', 'SLEEPING')]);
      const events = await fleet.events();
      assert.deepEqual(decidedFor(events, 'hot'), ['create: provision']);
      assert.deepEqual(decidedFor(events, 'lazy'), ['create: provision unstarted']);
      assert.equal(phasesOf(events, 'hot').at(-1), 'RUNNING by running');
      assert.equal(phasesOf(events, 'lazy').at(-1), 'SLEEPING by asleep');
      const [hot, lazy] = [await at.container('create', 'hot'), await at.container('create', 'lazy')];
      assert.deepEqual([hot.State.Running, hot.HostConfig.RestartPolicy?.Name], [true, 'unless-stopped']);
      assert.deepEqual([lazy.State.Status, lazy.HostConfig.RestartPolicy?.Name], ['created', 'no']);
      assert.equal(lazy.State.StartedAt, NEVER);
    });

    test('a secret is in the environment of a container, and in no label; a new version makes another one', async () => {
      const put = (value: string) => at.plane().ask('PUT', '/v1/fleets/secret/secrets/key', { body: { value } });
      assert.equal((await put('sk-first-0123456789')).status, 200);
      const fleet = await declare('secret', { one: inContainer(LIVES, { env: { KEY: 'Bearer ${secret:key}' } }) });
      await phase(fleet, 'one', 'RUNNING');
      const first = await at.container('secret', 'one');
      assert.ok(first.Config.Env.includes('KEY=Bearer sk-first-0123456789'));
      assert.ok(!JSON.stringify(first.Config.Labels).includes('sk-first'));
      assert.equal((await put('sk-second-0123456789')).status, 200);
      await fleet.until(
        'one',
        'as declared',
        ({ phase: now, hashes }) => now === 'RUNNING' && hashes.infra.applied === hashes.infra.declared,
        PATIENCE_MS,
      );
      const second = await at.container('secret', 'one');
      assert.notEqual(second.Id, first.Id);
      assert.ok(second.Config.Env.includes('KEY=Bearer sk-second-0123456789'));
      assert.doesNotMatch(JSON.stringify([await fleet.events(), await fleet.get('one')]), /sk-(first|second)/);
    });

    test('L59 what runs is measured and looked into, on record; what sleeps is refused both, and sleeps on', async () => {
      await at.plane().ask('PUT', '/v1/fleets/inside/secrets/key', { body: { value: 'sk-inside-0123456789' } });
      const env = { KEY: '${secret:key}' };
      const fleet = await declare('inside', {
        hot: inContainer(LIVES, { env, memory: '64m' }),
        lazy: inContainer(LIVES, {}, { lifecycle: 'lazy' }),
        pid: { target: 'process', run: { command: ['sleep', '3600'] } },
      });
      await Promise.all([
        phase(fleet, 'hot', 'RUNNING'),
        phase(fleet, 'lazy', 'SLEEPING'),
        phase(fleet, 'pid', 'RUNNING'),
      ]);
      const path = (name: string, verb: string): string => `/v1/fleets/inside/instances/${name}/${verb}`;
      const stats = await at.plane().ask<{ memoryLimitBytes: number }>('GET', path('hot', 'stats'));
      assert.deepEqual([stats.status, stats.body.memoryLimitBytes], [200, 64 * 1024 * 1024]);
      const run = (name: string, command: readonly string[], timeout = '30s') =>
        at.plane().ask<{ [key: string]: Json }>('POST', `${path(name, 'exec')}?timeout=${timeout}`, {
          body: { command, reason: 'to see' },
        });
      const ran = await run('hot', ['sh', '-c', 'echo key $KEY; exit 3']);
      assert.deepEqual([ran.status, ran.body['code'], ran.body['cut']], [200, 3, false]);
      assert.match(JSON.stringify(ran.body['output']), /^"key /);
      assert.doesNotMatch(JSON.stringify(ran.body), /sk-inside/, 'a stored secret is in no answer');
      const late = await run('hot', ['sleep', '60'], '1s');
      assert.deepEqual([late.status, late.body['rule']], [503, 'deadline'], JSON.stringify(late.body));
      const refused: readonly [string, string, string][] = [
        ['lazy', 'not-running', 'not-running'],
        ['pid', 'no-stats', 'no-exec'],
      ];
      for (const [name, noStats, noExec] of refused) {
        const asked = [await at.plane().ask<{ rule: string }>('GET', path(name, 'stats')), await run(name, ['true'])];
        assert.deepEqual(
          asked.map(({ status, body }) => [status, body['rule']]),
          [
            [409, noStats],
            [409, noExec],
          ],
        );
      }
      const events = await fleet.events();
      const asked = ofType(events, 'exec.asked', 'hot');
      assert.deepEqual(
        asked.map((event) => [dataOf(event), event.by?.reason]),
        [
          [{ target: 'docker', program: 'sh' }, 'to see'],
          [{ target: 'docker', program: 'sleep' }, 'to see'],
        ],
      );
      assert.deepEqual(ofType(events, 'exec.asked', 'lazy'), []);
      assert.deepEqual(decidedFor(events, 'lazy'), ['create: provision unstarted']);
      assert.equal((await fleet.get('lazy')).phase, 'SLEEPING');
    });

    test('row 9, missing: L20 L39 what was removed is proved gone and made again with its data, asleep if it slept', async () => {
      const fleet = await declare('missing', {
        hot: inContainer(LIVES, DATA),
        lazy: inContainer(LIVES, DATA, { lifecycle: 'lazy' }),
      });
      await Promise.all([phase(fleet, 'hot', 'RUNNING'), phase(fleet, 'lazy', 'SLEEPING')]);
      await at.exec('missing', 'hot', 'echo precious > /data/note');
      const before = [await at.container('missing', 'hot'), await at.container('missing', 'lazy')];
      await Promise.all(before.map(({ Id }) => docker.getContainer(Id).remove({ force: true })));
      for (const [name, wanted] of [
        ['hot', 'RUNNING'],
        ['lazy', 'SLEEPING'],
      ] as const) {
        await until(`${name} is made again`, async () => flapsOf(await fleet.events(), name).length > 0, PATIENCE_MS);
        await phase(fleet, name, wanted);
      }
      const events = await fleet.events();
      assert.deepEqual(flapsOf(events, 'lazy'), ['container_missing']);
      // The end of the hot one's life was seen before its absence was proved, or with it.
      assert.ok(['container_missing', 'container_stopped'].includes(flapsOf(events, 'hot')[0] ?? ''));
      assert.ok(decidedFor(events, 'hot').includes('missing: provision'), decidedFor(events, 'hot').join());
      assert.deepEqual(decidedFor(events, 'lazy'), ['create: provision unstarted', 'missing: provision unstarted']);
      const [hot, lazy] = [await at.container('missing', 'hot'), await at.container('missing', 'lazy')];
      assert.notEqual(hot.Id, before[0]!.Id);
      assert.deepEqual(
        [hot.Name, hot.Mounts[0]?.Name, lazy.State.StartedAt],
        [before[0]!.Name, before[0]!.Mounts[0]?.Name, NEVER],
      );
      assert.match(await at.exec('missing', 'hot', 'cat /data/note'), /precious/);
    });

    test('row 10, asleep: L21 L83 a sleeper is left alone, and brought up to date without being woken', async () => {
      const fleet = await declare('asleep', { lazy: inContainer(LIVES, DATA, { lifecycle: 'lazy' }) });
      await phase(fleet, 'lazy', 'SLEEPING');
      const before = await at.container('asleep', 'lazy');
      await declare('asleep', { lazy: inContainer(LIVES, { ...DATA, env: { NEW: 'yes' } }, { lifecycle: 'lazy' }) });
      await fleet.until(
        'lazy',
        'up to date',
        ({ phase: now, hashes }) => now === 'SLEEPING' && hashes.infra.applied === hashes.infra.declared,
        PATIENCE_MS,
      );
      const after = await at.container('asleep', 'lazy');
      assert.notEqual(after.Id, before.Id);
      assert.deepEqual([after.State.StartedAt, after.Mounts[0]?.Name], [NEVER, before.Mounts[0]?.Name]);
      assert.ok(after.Config.Env.includes('NEW=yes'));
      const events = await fleet.events();
      assert.deepEqual(decidedFor(events, 'lazy'), ['create: provision unstarted', 'update: update unstarted']);
      assert.deepEqual(flapsOf(events, 'lazy'), []);
      assert.equal((await fleet.why('lazy')).rule, 'asleep');
    });

    test('row 11, changing: L24 while the engine restarts it nobody else does; each end counts, and at last we stop it', async () => {
      const fleet = await declare(
        'changing',
        { looper: inContainer('echo no way; sleep 0.5; exit 3') },
        { giveUpAfter: 6 },
      );
      const view = await fleet.until('looper', 'given up', ({ reason }) => reason.rule === 'gave-up', PATIENCE_MS);
      assert.equal(view.phase, 'ERROR');
      assert.notEqual(view.lastError?.message ?? '', '');
      await until(
        'it is stopped',
        async () => !(await at.container('changing', 'looper')).State.Restarting,
        PATIENCE_MS,
      );
      const events = await fleet.events();
      const phases = phasesOf(events, 'looper');
      assert.ok(phases.includes('RECONCILING by changing'), phases.join());
      const flaps = ofType(events, 'flap.observed', 'looper');
      assert.ok(flaps.length >= 6 && flaps.every((flap) => dataOf(flap)['kind'] === 'container_stopped'));
      const own = events.filter(({ instance }) => instance === 'looper').map((event) => JSON.stringify(event));
      assert.ok(!decidedFor(events, 'looper').includes('start: start'), `the engine did it:\n${own.join('\n')}`);
      const container = await until('it stands still', async () => {
        const now = await at.container('changing', 'looper');
        return now.HostConfig.RestartPolicy?.Name === 'no' && !now.State.Running && !now.State.Restarting && now;
      });
      assert.equal(container.State.ExitCode, 3);
    });

    test('row 12, start: L19 stopped or paused by somebody, and as declared, it is started', async () => {
      const fleet = await declare('start', { stopped: inContainer(LIVES), paused: inContainer(LIVES) });
      await Promise.all([phase(fleet, 'stopped', 'RUNNING'), phase(fleet, 'paused', 'RUNNING')]);
      const [stopped, paused] = [await at.container('start', 'stopped'), await at.container('start', 'paused')];
      await Promise.all([docker.getContainer(stopped.Id).stop(), docker.getContainer(paused.Id).pause()]);
      await until(
        'both run again',
        async () => {
          const now = [await at.container('start', 'stopped'), await at.container('start', 'paused')];
          return (
            now.every(({ State }) => State.Running && !State.Paused) &&
            now[0]!.State.StartedAt !== stopped.State.StartedAt
          );
        },
        PATIENCE_MS,
      );
      await Promise.all([phase(fleet, 'stopped', 'RUNNING'), phase(fleet, 'paused', 'RUNNING')]);
      assert.equal((await at.container('start', 'stopped')).Id, stopped.Id);
      assert.equal((await at.container('start', 'paused')).State.StartedAt, paused.State.StartedAt, 'the same life');
      const events = await fleet.events();
      assert.deepEqual(flapsOf(events, 'stopped'), ['container_stopped']);
      for (const name of ['stopped', 'paused'])
        assert.deepEqual(decidedFor(events, name), ['create: provision', 'start: start']);
      assert.ok(phasesOf(events, 'paused').some((one) => one.endsWith('by start') || one.endsWith('by operating')));
    });

    test('row 13, update: L22 L39 another spec or lifecycle is another container on the same data', async () => {
      const fleet = await declare('update', { bot: inContainer(LIVES, DATA) });
      await phase(fleet, 'bot', 'RUNNING');
      await at.exec('update', 'bot', 'echo precious > /data/note');
      const before = await at.container('update', 'bot');
      const current = async (generation: number, wanted: string) => {
        await fleet.until(
          'bot',
          `generation ${generation}, ${wanted}`,
          (view) =>
            view.generation === generation &&
            view.phase === wanted &&
            view.hashes.infra.applied === view.hashes.infra.declared,
          PATIENCE_MS,
        );
        return at.container('update', 'bot');
      };
      await declare('update', { bot: inContainer(LIVES, { ...DATA, env: { LEVEL: 'debug' } }) });
      const edited = await current(2, 'RUNNING');
      assert.notEqual(edited.Id, before.Id);
      assert.ok(edited.Config.Env.includes('LEVEL=debug'));
      assert.match(await at.exec('update', 'bot', 'cat /data/note'), /precious/);
      await declare('update', { bot: inContainer(LIVES, { ...DATA, env: { LEVEL: 'debug' } }, { lifecycle: 'lazy' }) });
      // It was running: adopted as awake.
      const lazy = await current(3, 'RUNNING');
      assert.deepEqual(
        [lazy.HostConfig.RestartPolicy?.Name, lazy.State.Running, lazy.Mounts[0]?.Name, lazy.Name],
        ['no', true, before.Mounts[0]?.Name, before.Name],
      );
      const events = await fleet.events();
      assert.deepEqual(decidedFor(events, 'bot'), ['create: provision', 'update: update', 'update: update']);
      assert.deepEqual([flapsOf(events, 'bot'), (await fleet.get('bot')).restarts.crashes], [[], 0]);
    });

    test('row 14, restart-asked: L13 L44 the same container, another life, and no crash', async () => {
      const fleet = await declare('restart', { bot: inContainer(LIVES) });
      await phase(fleet, 'bot', 'RUNNING');
      const before = await at.container('restart', 'bot');
      const answer = await fleet.post<{ outcome: string }>('instances/bot/restart?wait=60s', { reason: 'a test' });
      assert.equal(answer.body.outcome, 'succeeded', answer.text);
      const after = await at.container('restart', 'bot');
      assert.equal(after.Id, before.Id);
      assert.notEqual(after.State.StartedAt, before.State.StartedAt);
      assert.deepEqual([after.State.Running, after.HostConfig.RestartPolicy?.Name], [true, 'unless-stopped']);
      const events = await fleet.events();
      assert.deepEqual(decidedFor(events, 'bot'), ['create: provision', 'restart-asked: restart']);
      assert.deepEqual([flapsOf(events, 'bot'), (await fleet.get('bot')).restarts], [[], { crashes: 0, planned: 1 }]);
    });

    test('row 15, starting: L06 it runs and does not answer yet: waited for, not restarted', async () => {
      const bot = inContainer(serves(), { ports: [8080] }, { health: health() });
      const fleet = await declare('starting', { bot });
      const view = await fleet.until('bot', 'starting', ({ reason }) => reason.rule === 'starting', PATIENCE_MS);
      assert.equal(view.phase, 'RECONCILING');
      const before = await at.container('starting', 'bot');
      // Longer silent than one may be who was heard once.
      const live = view.conditions.find(({ type }) => type === 'AgentLive');
      assert.notEqual(live?.status, 'true');
      await at.exec('starting', 'bot', 'echo fine > /tmp/www/health');
      await phase(fleet, 'bot', 'RUNNING');
      const after = await at.container('starting', 'bot');
      assert.deepEqual([after.Id, after.State.StartedAt], [before.Id, before.State.StartedAt]);
      assert.deepEqual(decidedFor(await fleet.events(), 'bot'), ['create: provision']);
    });

    test('row 16, idle: L21 L60 a lazy one without work is put to sleep, which is no flap and is not undone', async () => {
      const lazy = inContainer(LIVES, {}, { lifecycle: 'lazy', idleAfter: '1s' });
      const fleet = await declare('idle', { lazy });
      await phase(fleet, 'lazy', 'SLEEPING');
      const woken = await fleet.post<{ outcome: string }>('instances/lazy/wake?wait=60s');
      assert.equal(woken.body.outcome, 'succeeded', woken.text);
      await until(
        'it sleeps again',
        async () => decidedFor(await fleet.events(), 'lazy').includes('idle: sleep'),
        PATIENCE_MS,
      );
      await phase(fleet, 'lazy', 'SLEEPING');
      const { State, HostConfig } = await at.container('idle', 'lazy');
      assert.deepEqual([State.Running, State.ExitCode, HostConfig.RestartPolicy?.Name], [false, 0, 'no']);
      assert.notEqual(State.StartedAt, NEVER);
      const events = await fleet.events();
      assert.deepEqual(decidedFor(events, 'lazy'), ['create: provision unstarted', 'start: start', 'idle: sleep']);
      assert.deepEqual([flapsOf(events, 'lazy'), (await fleet.get('lazy')).restarts.crashes], [[], 0]);
    });

    test('row 17, silent: L07 L08 it runs and does not do its work: shown, asked once more, restarted', async () => {
      const bot = inContainer(serves('echo fine > /tmp/www/health;'), { ports: [8080] }, { health: health() });
      const fleet = await declare('silent', { bot });
      await phase(fleet, 'bot', 'RUNNING');
      const before = await at.container('silent', 'bot');
      await at.exec('silent', 'bot', 'rm /tmp/www/health');
      await until(
        'it lives anew',
        async () => (await at.container('silent', 'bot')).State.StartedAt !== before.State.StartedAt,
        PATIENCE_MS,
      );
      await phase(fleet, 'bot', 'RUNNING');
      const events = await fleet.events();
      const decided = decidedFor(events, 'bot');
      assert.deepEqual(decided.filter((one) => one === 'silent: restart').length, 1, decided.join());
      assert.ok(phasesOf(events, 'bot').includes('DEGRADED by silent'), phasesOf(events, 'bot').join());
      const after = await at.container('silent', 'bot');
      assert.deepEqual([after.Id, after.State.Running], [before.Id, true]);
      assert.equal((await fleet.get('bot')).restarts.crashes, 0);
    });

    test('row 17, silent: L08 what the engine’s own check finds ill is restarted where it is gone by, else shown', async () => {
      const healthcheck = { command: ['sh', '-c', 'test -e /tmp/well'], every: '1s', retries: 1 };
      const goesBy = { health: { engine: true, every: '200ms', silentAfter: '1s', startGrace: '60s' } };
      const fleet = await declare('engine-health', {
        bot: inContainer(`touch /tmp/well; ${LIVES}`, { healthcheck }, goesBy),
        shown: inContainer(LIVES, { healthcheck }),
      });
      await phase(fleet, 'bot', 'RUNNING');
      const before = await at.container('engine-health', 'bot');
      await at.exec('engine-health', 'bot', 'rm /tmp/well');
      await until(
        'it lives anew',
        async () => (await at.container('engine-health', 'bot')).State.StartedAt !== before.State.StartedAt,
        PATIENCE_MS,
      );
      await phase(fleet, 'bot', 'RUNNING');
      const events = await fleet.events();
      assert.ok(decidedFor(events, 'bot').includes('silent: restart'), decidedFor(events, 'bot').join());
      const answers = ofType(events, 'probe.answered', 'bot').map((event) => wordsOf(event, 'message'));
      assert.ok(
        answers.some((words) => /the engine's health check says unhealthy/.test(words)),
        answers.join('; '),
      );
      await fleet.until(
        'shown',
        'ill in sight',
        ({ phase: now, conditions }) =>
          now === 'RUNNING' &&
          conditions.some(({ message }) => /which nobody declared to go by, says unhealthy/.test(message)),
        PATIENCE_MS,
      );
      assert.deepEqual(decidedFor(await fleet.events(), 'shown'), ['create: provision']);
    });
  });
}
