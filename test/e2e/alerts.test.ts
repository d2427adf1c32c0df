/** A real Prometheus scrapes a running Holdfast, with the rules as shipped: an alert fires, and clears. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { TestContext } from 'node:test';
import { metricsOf, queries, rules } from '../support/deploy.ts';
import { openWorld, until, type Plane, type World } from '../support/e2e.ts';
import { findPrometheus, openPrometheus, type Prometheus } from '../support/prometheus.ts';
import { realComponent } from '../support/require.ts';

const DEADLINE_MS = 90_000;

/** What a rule compares and combines, without the comparing: each must have a value at any time. */
const sidesOf = (expr: string): readonly string[] =>
  expr
    .split(/\s+(?:and|unless|or|>|<|==)\s+/)
    .map((side) => side.trim())
    .filter((side) => !/^[\d.]+$/.test(side) && !side.startsWith('absent('));

describe('Prometheus', () => {
  let world: World;
  let plane: Plane;
  let opened: Promise<Prometheus> | null = null;

  before(async () => {
    world = await openWorld();
    plane = await world.up();
  });
  after(() => world.close());

  /** Scrapes with a token that may do nothing else. */
  async function prometheus(t: TestContext): Promise<Prometheus | null> {
    const found = await realComponent(t, 'prometheus', () => {
      findPrometheus();
      return true;
    });
    if (found === null) return null;
    opened ??= plane
      .json<{ token: string }>('token', 'create', 'prometheus', '--scope', 'read')
      .then(({ token }) => openPrometheus(world, plane, token));
    return opened;
  }

  test('tells of an agent in ERROR, and that it is well again', async (t) => {
    const fleet = plane.fleet('alerted');
    await fleet.declare({
      instances: {
        bot: { target: 'process', run: { command: ['/nowhere/agent'] } },
        fine: { target: 'process', run: { command: [...world.agent()] } },
      },
    });
    await fleet.until('bot', 'is in ERROR', ({ phase }) => phase === 'ERROR');
    const server = await prometheus(t);
    if (server === null) return;
    const fires = async (): Promise<boolean> => (await server.firing()).includes('HoldfastInstancesInError');
    await until('the alert fires', fires, DEADLINE_MS);
    assert.deepEqual(await server.ask('up{job="holdfast"} == 1').then((found) => found.length), 1);
    const [told] = await server.ask('ALERTS{alertname="HoldfastInstancesInError", alertstate="firing"}');
    assert.equal(told?.metric['fleet'], 'alerted');

    await fleet.declare({
      instances: {
        bot: { target: 'process', run: { command: [...world.agent()] } },
        fine: { target: 'process', run: { command: [...world.agent()] } },
      },
    });
    await fleet.until('bot', 'runs', ({ phase }) => phase === 'RUNNING');
    await until('the alert clears', async () => !(await fires()), DEADLINE_MS);
  });

  test('answers every question of the dashboard', async (t) => {
    const server = await prometheus(t);
    if (server === null) return;
    const fleet = plane.fleet('watched');
    await fleet.declare({ instances: { bot: { target: 'process', run: { command: [...world.agent()] } } } });
    process.kill(await fleet.running('bot'), 'SIGKILL');
    await until(
      'the heal is scraped',
      async () => (await server.ask('holdfast_heal_seconds_count{fleet="watched"} >= 1')).length > 0,
      DEADLINE_MS,
    );
    const empty: string[] = [];
    for (const expr of queries()) if ((await server.ask(expr)).length === 0) empty.push(expr);
    assert.deepEqual(empty, []);
    assert.ok(queries().every((expr) => metricsOf(expr).length > 0));
  });

  test('has what every alert rule compares: none is quiet because it asks for what is not there', async (t) => {
    const server = await prometheus(t);
    if (server === null) return;
    // One of two, so that a share can be computed for the rules that ask for one.
    await until(
      'rates have two scrapes to go by',
      async () => (await server.ask('count_over_time(holdfast_build_info[5m]) > 3')).length > 0,
      DEADLINE_MS,
    );
    const empty: string[] = [];
    for (const { alert, expr } of rules()) {
      const sides = sidesOf(expr);
      assert.ok(sides.length > 0 && sides.every((side) => side !== expr.trim()), `${alert} compares nothing: ${expr}`);
      for (const side of sides) if ((await server.ask(side)).length === 0) empty.push(`${alert}: ${side}`);
    }
    assert.deepEqual(empty, []);
  });
});
