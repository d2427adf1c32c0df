/**
 * The process target: the contract, by `/proc` and by `ps`, and what is its own: adoption, marks, groups, exits, claims.
 */
import assert from 'node:assert/strict';
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, test, type TestContext } from 'node:test';
import { infraHash } from '../../src/core/hash.ts';
import type { JsonObject, Look, Spec } from '../../src/core/model.ts';
import type { Subject, Target, TargetNotice } from '../../src/ports/target.ts';
import { claimByFile, claimBySocket, claimHost, ClaimRefused } from '../../src/targets/process/claim.ts';
import { LOG_MAX_BYTES } from '../../src/targets/process/limits.ts';
import { cutLog } from '../../src/targets/process/logs.ts';
import { openProcTable } from '../../src/targets/process/proc-linux.ts';
import { openPsTable } from '../../src/targets/process/proc-ps.ts';
import { openProcessTable, type ProcessTable } from '../../src/targets/process/table.ts';
import { openProcessTarget } from '../../src/targets/process/target.ts';
import { processType } from '../../src/targets/process/type.ts';
import { collect, eventually, failure, targetContract, type Doing, type TargetWorld } from './target.suite.ts';

const OF_THE_HOST = 'a process has the host around it, whose own tools do this by the pid that is shown';
const SKIPS = {
  'what runs is measured; what does not run is a conflict, and stays as it is': OF_THE_HOST,
  'a program is run beside what runs, word by word; nothing is started for it': OF_THE_HOST,
};
const NEVER_HERE = '/no/such/program';
const TARGET_CODE = new URL('../../src/targets/process/', import.meta.url).href;

interface ProcessWorld extends TargetWorld {
  readonly dataDir: string;
  custom(run: JsonObject, name?: string): Subject;
  recordFile(subject: Subject): string;
}

function script(doing: Doing, variant: string): readonly string[] {
  const hello = `echo hello ${variant}`;
  switch (doing.kind) {
    case 'runs':
      return ['/bin/sh', '-c', `${hello}; exec sleep 3600`];
    case 'ends':
      return ['/bin/sh', '-c', `${hello}; echo goodbye; exit ${doing.code}`];
    case 'stubborn':
      return ['/bin/sh', '-c', `trap '' TERM; ${hello}; while :; do sleep 3600; done`];
    case 'impossible':
      return [NEVER_HERE];
  }
}

function freeze(raw: JsonObject): JsonObject {
  const frozen = processType.run(raw);
  assert.ok(frozen.ok, JSON.stringify(frozen));
  return frozen.run;
}

function makeWorld(openTable: () => ProcessTable = openProcessTable, deployment: string = randomUUID()): ProcessWorld {
  const dataDir = fs.mkdtempSync(join(tmpdir(), 'holdfast-process-'));
  const uids = new Map<string, string>();
  const opened: Target[] = [];
  function open(of: string): Target {
    const target = openProcessTarget({ deployment: of, dataDir, name: 'process', table: openTable() });
    opened.push(target);
    return target;
  }
  function custom(raw: JsonObject, name = 'agent'): Subject {
    const uid = uids.get(name) ?? randomUUID();
    uids.set(name, uid);
    const spec: Spec = {
      target: 'process',
      targetType: 'process',
      lifecycle: 'hot',
      labels: {},
      idleAfterMs: null,
      onComplete: 'restart',
      onDelete: 'keep',
      run: freeze(raw),
      health: null,
      heartbeat: null,
      config: null,
      plugins: [],
      expose: [],
      onSilent: null,
      onDegraded: null,
      drift: null,
    };
    const hash = infraHash(processType.infra(spec));
    return { fleet: 'demo', instance: name, uid, generation: 1, spec, infraHash: hash, configHash: null, env: {} };
  }
  const world: ProcessWorld = {
    deployment,
    dataDir,
    target: open(deployment),
    custom,
    subject({ name = 'agent', does, variant = 'one' } = {}) {
      return custom({ command: script(does ?? { kind: 'runs' }, variant), stopTimeout: '1m' }, name);
    },
    recordFile: ({ fleet, instance, uid }) => join(dataDir, 'processes', 'process', fleet, `${instance}.${uid}.json`),
    pluginFile: async (subject, path) => {
      const file = join(world.recordFile(subject).replace(/json$/, 'plugins'), 'current', path);
      return fs.existsSync(file) ? fs.readFileSync(file, 'utf8') : null;
    },
    damage: async (subject, name) =>
      fs.appendFileSync(
        join(world.recordFile(subject).replace(/json$/, 'plugins'), 'current', name, 'plugin.json'),
        ' ',
      ),
    async kill(subject) {
      killGroup(pidOf(await world.target.inspect(subject, soon())));
    },
    async remove(subject) {
      await world.kill(subject);
      await eventually('it is dead', async () => (await world.target.inspect(subject, soon())).state !== 'running');
      fs.rmSync(world.recordFile(subject));
    },
    reopen: () => Promise.resolve(open(deployment)),
    stranger: () => Promise.resolve(open(randomUUID())),
    async cleanup() {
      for (const target of opened) await target.close();
      const table = openProcTable();
      await eventually('nothing is left running', async () => {
        const left = await table.marked(deployment, soon());
        for (const { pid } of left) killQuietly(pid);
        return left.length === 0;
      });
      fs.rmSync(dataDir, { recursive: true });
    },
  };
  return world;
}

const psMissing =
  spawnSync('ps', ['axeww', '-o', 'pid=,command=']).status === 0 ? null : 'ps of procps is not installed';
const noProc = fs.existsSync('/proc/self/stat') ? null : 'there is no /proc on this host';
const noProcSkip = noProc === null ? {} : { skip: noProc };

if (noProc === null)
  targetContract({ name: 'process by /proc', skips: SKIPS, make: () => Promise.resolve(makeWorld(openProcTable)) });
else test('process by /proc', { skip: noProc }, () => undefined);
if (psMissing === null)
  targetContract({
    name: 'process by ps',
    skips: SKIPS,
    make: () => Promise.resolve(makeWorld(openPsTable)),
    many: 8,
  });
else test('process by ps', { skip: psMissing }, () => undefined);

function check(title: string, body: (world: ProcessWorld, t: TestContext) => Promise<void>): void {
  test(title, noProcSkip, async (t) => {
    const world = makeWorld();
    try {
      await body(world, t);
    } finally {
      await world.cleanup();
    }
  });
}

/** What this process itself was given by whoever started it, as seen by a child before we opened anything. */
const INHERITED_FILES: readonly string[] = spawnSync('/bin/sh', ['-c', 'ls -l /proc/$$/fd'], { encoding: 'utf8' })
  .stdout.split('\n')
  .map((line) => line.replace(/^.* (\d+ -> )/, '$1'))
  .filter((link) => !/^[012] -> /.test(link));

const RUN = { unstarted: false } as const;
const soon = (): AbortSignal => AbortSignal.timeout(20_000);

// ── outliving the control plane ─────────────────────────────────────────────────────────────────────────────────────

check('an agent survives kill -9 of its control plane and is adopted by pid and start time', async (world) => {
  const agent = world.subject();
  const plane = controlPlane(world, agent, `say(await target.provision(subject, { unstarted: false }, signal));`);
  const before = await plane.line();
  plane.child.kill('SIGKILL');
  await once(plane.child, 'exit');
  const { items } = await world.target.list(soon());
  assert.deepEqual(
    items.map(({ look }) => look),
    [before],
  );
  assert.equal((await world.target.start(agent, soon())).incarnation, before.incarnation);
  const notices: TargetNotice[] = [];
  world.target.watch?.(world.deployment, (notice) => notices.push(notice));
  process.kill(pidOf(before), 'SIGKILL');
  const told = await eventually('the death of an adopted agent is told', async () => {
    await world.target.list(soon()); // In a container whose init reaps nobody, only the listing sees a zombie.
    return notices.find((notice) => notice.kind === 'changed') ?? null;
  });
  assert.ok(told.kind === 'changed' && told.look.state === 'stopped');
  assert.deepEqual(
    [told.look.incarnation, told.look.exit?.code, told.look.exit?.signal],
    [before.incarnation, null, null],
  );
});

/** Dies by SIGKILL between the spawn and the write of the pid. */
const DIES_BEFORE_THE_RECORD = `
  const rename = fs.renameSync;
  fs.renameSync = (from, to) => {
    const { life } = JSON.parse(fs.readFileSync(from, 'utf8'));
    if (life?.state === 'running') {
      fs.writeSync(1, JSON.stringify(life) + '\\n');
      process.kill(process.pid, 'SIGKILL');
    }
    rename(from, to);
  };
  syncBuiltinESMExports();
  await target.provision(subject, { unstarted: false }, signal);
`;

for (const first of ['list', 'start', 'provision'] as const) {
  check(`L86 a process killed between spawn and record is found and never doubled (${first} first)`, async (world) => {
    const agent = world.subject();
    const plane = controlPlane(world, agent, DIES_BEFORE_THE_RECORD);
    const spawned = (await plane.line()) as unknown as { pid: number };
    await once(plane.child, 'exit');
    const record = JSON.parse(fs.readFileSync(world.recordFile(agent), 'utf8')) as { life: { state: string } };
    assert.equal(record.life.state, 'spawning');
    if (first === 'list') await world.target.list(soon());
    const look =
      first === 'provision'
        ? await world.target.provision(agent, RUN, soon())
        : await world.target.start(agent, soon());
    assert.equal(pidOf(look), spawned.pid);
    assert.equal(pidOf((await world.target.list(soon())).items[0]!.look), spawned.pid);
    assert.deepEqual(await markedPids(world), [spawned.pid]);
    assert.equal((await world.target.destroy(agent, { data: 'delete' }, soon())).state, 'missing');
    assert.deepEqual(await markedPids(world), []);
  });
}

check('L86 a running process whose record was lost is found by its mark and adopted', async (world) => {
  const agent = world.subject();
  const before = await world.target.provision(agent, RUN, soon());
  fs.rmSync(world.recordFile(agent));
  const again: Target = await world.reopen();
  assert.deepEqual((await again.list(soon())).items, [
    { fleet: 'demo', instance: 'agent', uid: agent.uid, look: before },
  ]);
  assert.ok(fs.existsSync(world.recordFile(agent)));
});

check('L53 a record restored from a backup adopts the later life that runs, instead of doubling it', async (world) => {
  const agent = world.subject();
  await world.target.provision(agent, RUN, soon());
  const backup = fs.readFileSync(world.recordFile(agent));
  await world.target.stop(agent, soon());
  const now = await world.target.start(agent, soon());
  fs.writeFileSync(world.recordFile(agent), backup);
  const again = await world.reopen();
  assert.equal((await again.start(agent, soon())).incarnation, now.incarnation);
  assert.deepEqual(await markedPids(world), [pidOf(now)]);
});

check('a pid that now belongs to somebody else is neither adopted nor signalled', async (world) => {
  const agent = world.subject();
  await world.target.provision(agent, RUN, soon());
  await world.target.stop(agent, soon());
  const stranger = spawn('sleep', ['3600'], { detached: true, stdio: 'ignore' });
  try {
    const record = JSON.parse(fs.readFileSync(world.recordFile(agent), 'utf8')) as object;
    const life = { state: 'running', n: 1, pid: stranger.pid, start: '1', boot: openProcTable().boot };
    fs.writeFileSync(world.recordFile(agent), JSON.stringify({ ...record, life }));
    const again = await world.reopen();
    assert.equal((await again.list(soon())).items[0]?.look.state, 'stopped');
    fs.writeFileSync(world.recordFile(agent), JSON.stringify({ ...record, life }));
    assert.equal((await again.stop(agent, soon())).state, 'stopped');
    fs.writeFileSync(world.recordFile(agent), JSON.stringify({ ...record, life }));
    assert.notEqual(pidOf(await again.start(agent, soon())), stranger.pid);
    assert.equal(stranger.exitCode ?? stranger.signalCode, null);
    assert.ok(isAlive(stranger.pid!));
  } finally {
    stranger.kill('SIGKILL');
  }
});

check('L46 a damaged record blocks nobody: what runs is adopted, what does not can be started', async (world) => {
  const [runs, sleeps] = [world.subject({ name: 'runs' }), world.subject({ name: 'sleeps' })];
  const before = await world.target.provision(runs, RUN, soon());
  await world.target.provision(sleeps, { unstarted: true }, soon());
  for (const agent of [runs, sleeps]) fs.writeFileSync(world.recordFile(agent), '{"v":1,');
  const { items } = await (await world.reopen()).list(soon());
  const found = new Map(items.map(({ instance, look }) => [instance, look]));
  assert.deepEqual(found.get('runs'), before);
  assert.deepEqual([found.get('sleeps')?.state, found.get('sleeps')?.infra], ['stopped', null]);
  assert.equal((await world.target.start(sleeps, soon())).state, 'running');
});

check('L72 a data folder that is gone is an error, never an empty listing', async (world) => {
  await world.target.provision(world.subject(), { unstarted: true }, soon());
  fs.renameSync(join(world.dataDir, 'processes'), join(world.dataDir, 'elsewhere'));
  const error = await failure(world.target.list(soon()));
  assert.deepEqual([error.detail.class, error.detail.fault], ['transient', 'target']);
  assert.match(error.detail.message, /processes/);
  await failure(world.target.provision(world.subject(), RUN, soon()));
});

// ── groups, leftovers, ends ─────────────────────────────────────────────────────────────────────────────────────────

check('what a crashed agent leaves in its group is killed, own child and adopted alike', async (world) => {
  const own = world.custom({ command: ['/bin/sh', '-c', 'sleep 3600 & echo child $!; wait'] }, 'own');
  const adopted = world.custom({ command: ['/bin/sh', '-c', 'sleep 3600 & echo child $!; wait'] }, 'adopted');
  const plane = controlPlane(world, adopted, `say(await target.provision(subject, { unstarted: false }, signal));`);
  await plane.line();
  plane.child.kill('SIGKILL');
  await world.target.provision(own, RUN, soon());
  for (const agent of [own, adopted]) {
    const child = await logged(world, agent, /child (\d+)/);
    assert.ok(isAlive(Number(child)));
    process.kill(pidOf(await world.target.inspect(agent, soon())), 'SIGKILL');
    await eventually('the leftover is gone', async () => {
      await world.target.list(soon());
      return !isAlive(Number(child));
    });
  }
});

check(
  'a daemon that an agent leaves behind is not taken for the agent, and ends with the next start',
  async (world) => {
    const agent = world.custom({ command: ['/bin/sh', '-c', 'setsid sleep 3600 & echo daemon $!; exec sleep 3600'] });
    const before = await world.target.provision(agent, RUN, soon());
    await logged(world, agent, /daemon (\d+)/);
    const daemon = await eventually('the daemon leads a session of its own', async () => {
      const found = (await openProcTable().marked(world.deployment, soon())).find(
        ({ pid, leader }) => leader && pid !== pidOf(before),
      );
      return found?.pid ?? null;
    });
    process.kill(pidOf(before), 'SIGKILL');
    await eventually(
      'the agent is stopped',
      async () => (await world.target.inspect(agent, soon())).state === 'stopped',
    );
    assert.ok(isAlive(daemon));
    const again = await world.reopen();
    assert.equal((await again.list(soon())).items[0]?.look.state, 'stopped');
    const after = await again.start(agent, soon());
    assert.ok(!isAlive(daemon));
    assert.ok(isAlive(pidOf(after)));
  },
);

check('an agent that ignores its stop signal is killed after its time-out, children and all', async (world) => {
  const command = ['/bin/sh', '-c', `trap '' TERM; echo ready; while :; do sleep 3600; done`];
  const agent = world.custom({ command, stopTimeout: '150ms' });
  const look = await world.target.provision(agent, RUN, soon());
  await logged(world, agent, /ready/);
  const began = performance.now();
  const stopped = await world.target.stop(agent, soon());
  assert.ok(performance.now() - began >= 149);
  assert.deepEqual(
    [stopped.state, stopped.incarnation, stopped.exit?.signal],
    ['stopped', look.incarnation, 'SIGKILL'],
  );
  assert.deepEqual(await markedPids(world), []);
});

check('the stop settings are those of the spec at the time of the stop', async (world) => {
  const command = [
    '/bin/sh',
    '-c',
    `trap '' TERM; trap 'echo asked; exit 5' INT; echo ready; while :; do sleep 0.05; done`,
  ];
  const agent = world.custom({ command, stopTimeout: '1m' });
  const changed = world.custom({ command, stopTimeout: '1m', stopSignal: 'SIGINT' });
  assert.equal(changed.infraHash, agent.infraHash);
  await world.target.provision(agent, RUN, soon());
  await logged(world, agent, /ready/);
  assert.equal((await world.target.stop(changed, soon())).exit?.code, 5);
});

check('an agent paused by SIGSTOP can be stopped all the same', async (world) => {
  const agent = world.subject();
  const look = await world.target.provision(agent, RUN, soon());
  process.kill(pidOf(look), 'SIGSTOP');
  assert.equal((await world.target.stop(agent, soon())).exit?.signal, 'SIGTERM');
});

check(
  'L70 what an agent printed is in its log alone, and its last words are told until another life begins',
  async (world) => {
    const agent = world.custom({ command: ['/bin/sh', '-c', 'echo hush-hush; exit 3'] }, 'talker');
    await world.target.provision(agent, RUN, soon());
    const lastWords = async (): Promise<string | null> => {
      const { exit } = await world.target.inspect(agent, soon());
      return exit?.code === 3 ? exit.output : null;
    };
    assert.equal(await eventually('it has ended', lastWords), 'hush-hush\n');
    assert.doesNotMatch(fs.readFileSync(world.recordFile(agent), 'utf8'), /hush/);
    // What it left behind writes on, and that is not its own.
    fs.appendFileSync(world.recordFile(agent).replace(/json$/, 'log'), 'too late\n');
    const impossible = { ...agent, spec: world.custom({ command: ['/nowhere/agent'] }, 'talker').spec };
    await assert.rejects(world.target.start(impossible, soon()), /no \/nowhere\/agent/);
    assert.equal(await lastWords(), 'hush-hush\n', 'a life that could not begin takes nothing away');
  },
);

check('exits come raw: codes, signals, and at most the last 2 KiB of output', async (world) => {
  const cases = [
    { name: 'three', command: ['/bin/sh', '-c', 'exit 3'], code: 3, signal: null },
    { name: 'zero', command: ['/bin/true'], code: 0, signal: null },
    { name: 'segv', command: ['/bin/sh', '-c', 'kill -SEGV $$'], code: null, signal: 'SIGSEGV' },
    { name: 'loud', command: ['/bin/sh', '-c', 'yes é | head -c 9001; echo end'], code: 0, signal: null },
  ];
  for (const { name, command, code, signal } of cases) {
    const agent = world.custom({ command }, name);
    const begun = await world.target.provision(agent, RUN, soon());
    assert.equal(begun.state, 'running', 'a quick end is no failed start');
    const { exit } = await stoppedLook(world, agent);
    assert.deepEqual([exit?.code, exit?.signal, exit?.oom], [code, signal, false]);
    if (name !== 'loud') continue;
    assert.match(exit?.output ?? '', /end\n$/);
    assert.ok(Buffer.byteLength(exit?.output ?? '') <= 2048 && !exit?.output?.startsWith('\u{fffd}'));
  }
});

check('the exit of a life is kept across a restart of the control plane', async (world) => {
  const agent = world.custom({ command: ['/bin/sh', '-c', 'exit 78'] });
  await world.target.provision(agent, RUN, soon());
  const before = await stoppedLook(world, agent);
  await world.target.close();
  assert.deepEqual((await (await world.reopen()).list(soon())).items[0]?.look, before);
});

check('no zombie is left, whoever killed it', async (world) => {
  const agents = Array.from({ length: 5 }, (_, i) => world.subject({ name: `agent-${i}` }));
  const looks = await Promise.all(agents.map((agent) => world.target.provision(agent, RUN, soon())));
  for (const look of looks.slice(0, 3)) process.kill(pidOf(look), 'SIGKILL');
  for (const agent of agents.slice(3)) await world.target.stop(agent, soon());
  await eventually('all are reaped', async () => looks.every((look) => !fs.existsSync(`/proc/${pidOf(look)}`)));
});

// ── starting ────────────────────────────────────────────────────────────────────────────────────────────────────────

check('an agent gets a clean environment: the basics, what is declared, and its mark', async (world) => {
  process.env['HOLDFAST_TEST_SECRET'] = 'must not be inherited';
  process.env['SOME_SECRET'] = 'must not be inherited';
  try {
    const agent: Subject = {
      ...world.custom({ command: ['env'], env: { LEVEL: 'info' } }),
      env: { HOLDFAST_URL: 'http://x' },
    };
    await world.target.provision(agent, RUN, soon());
    await stoppedLook(world, agent);
    const env = new Map(
      (await log(world, agent))
        .trim()
        .split('\n')
        .map((line) => line.split('=') as [string, string]),
    );
    const basics = ['PATH', 'HOME', 'USER', 'LOGNAME', 'SHELL', 'LANG', 'LC_ALL', 'LC_CTYPE', 'TZ', 'TMPDIR', 'PWD'];
    const own = [...env].filter(([name]) => !basics.includes(name)).sort(([a], [b]) => (a < b ? -1 : 1));
    assert.deepEqual(own, [
      ['HOLDFAST_DEPLOYMENT', world.deployment],
      ['HOLDFAST_FLEET', 'demo'],
      ['HOLDFAST_INSTANCE', 'agent'],
      ['HOLDFAST_LIFE', `1.1.${agent.infraHash}`],
      ['HOLDFAST_PLUGINS', join(world.recordFile(agent).replace(/json$/, 'plugins'), 'current')],
      ['HOLDFAST_TARGET', 'process'],
      ['HOLDFAST_UID', agent.uid],
      ['HOLDFAST_URL', 'http://x'],
      ['LEVEL', 'info'],
    ]);
  } finally {
    delete process.env['HOLDFAST_TEST_SECRET'];
    delete process.env['SOME_SECRET'];
  }
});

check('an agent leads its own session and holds nothing of ours but its log', async (world) => {
  const agent = world.custom({ command: ['/bin/sh', '-c', 'ls -l /proc/$$/fd; echo done; exec sleep 3600'] });
  const pid = pidOf(await world.target.provision(agent, RUN, soon()));
  await logged(world, agent, /done/);
  const held = (await log(world, agent)).split('\n').filter((line) => / -> /.test(line));
  const links = held
    .map((line) => line.replace(/^.* (\d+ -> )/, '$1'))
    .filter((link) => !INHERITED_FILES.includes(link));
  const others = links.filter((link) => !/^0 -> \/dev\/null$|^[12] -> .*\.log$/.test(link));
  assert.deepEqual(others, []);
  const [entry] = (await openProcTable().look([pid], soon())).values();
  assert.deepEqual([entry?.pgid, entry?.leader], [pid, true]);
});

check('L43 a command that cannot be started is refused for good, with the reason in words', async (world) => {
  const plain = join(world.dataDir, 'plain.txt');
  const orphan = join(world.dataDir, 'orphan.sh');
  fs.writeFileSync(plain, 'x', { mode: 0o644 });
  fs.writeFileSync(orphan, '#!/no/such/interpreter\n', { mode: 0o755 });
  const cases: readonly [JsonObject, string, RegExp][] = [
    [{ command: ['no-such-command-here'] }, 'command-not-found', /no-such-command-here.*PATH/],
    [{ command: [NEVER_HERE] }, 'command-not-found', /no \/no\/such\/program/],
    [{ command: ['./nothing'], cwd: '/tmp' }, 'command-not-found', /\/tmp\/nothing/],
    [{ command: [plain] }, 'command-not-executable', /not executable/],
    [{ command: ['/tmp'] }, 'command-not-executable', /not a file/],
    [{ command: [orphan] }, 'interpreter-missing', /interpreter/],
    [{ command: ['/bin/true'], cwd: '/no/such/folder' }, 'cwd-missing', /\/no\/such\/folder/],
    [{ command: ['/bin/true'], cwd: plain }, 'cwd-not-directory', /plain\.txt/],
    [
      { command: ['/bin/true', ...Array.from({ length: 40 }, () => 'x'.repeat(120_000))] },
      'arguments-too-long',
      /too long/,
    ],
  ];
  for (const [at, [run, code, words]] of cases.entries()) {
    const agent = world.custom(run, `agent-${at}`);
    const error = await failure(world.target.provision(agent, RUN, soon()));
    assert.deepEqual([error.detail.class, error.detail.fault, error.detail.code], ['terminal', 'instance', code]);
    assert.match(error.detail.message, words);
    assert.equal((await world.target.inspect(agent, soon())).state, 'stopped');
  }
});

check('L31 an update to a command that cannot be started leaves the one that runs alone', async (world) => {
  const before = await world.target.provision(world.subject(), RUN, soon());
  const error = await failure(world.target.update(world.custom({ command: [NEVER_HERE] }), RUN, soon()));
  assert.equal(error.detail.class, 'terminal');
  assert.deepEqual(await world.target.inspect(world.subject(), soon()), before);
});

check('L29 two starts at once make one process', async (world) => {
  const agent = world.subject();
  await world.target.provision(agent, { unstarted: true }, soon());
  const looks = await Promise.all([1, 2, 3].map(() => world.target.start(agent, soon())));
  assert.equal(new Set(looks.map(({ incarnation }) => incarnation)).size, 1);
  assert.equal((await markedPids(world)).length, 1);
});

check('L70 a record is private and holds nothing of the environment', async (world) => {
  const agent: Subject = {
    ...world.custom({ command: ['sleep', '3600'], env: { KEY: 'hunter2hunter2' }, ports: [8080] }),
    env: { TOKEN: 'swordfish-swordfish' },
  };
  const look = await world.target.provision(agent, RUN, soon());
  assert.deepEqual(look.attrs['endpoints'], { '8080': '127.0.0.1:8080' });
  const file = world.recordFile(agent);
  assert.equal(fs.statSync(file).mode & 0o777, 0o600);
  assert.equal(fs.statSync(file.replace(/json$/, 'log')).mode & 0o777, 0o600);
  assert.doesNotMatch(fs.readFileSync(file, 'utf8'), /hunter2|swordfish/);
});

// ── logs ────────────────────────────────────────────────────────────────────────────────────────────────────────────

check('a tail gives the asked number of lines, a follower what comes after, into the next life', async (world) => {
  const agent = world.custom({
    command: ['/bin/sh', '-c', 'for i in $(seq 1 20000); do echo line $i; done; exec sleep 3600'],
  });
  await world.target.provision(agent, RUN, soon());
  await logged(world, agent, /line 20000\n/);
  assert.equal(await log(world, agent, 2), 'line 19999\nline 20000\n');
  assert.equal((await log(world, agent, 19_000)).split('\n').length, 19_001);
  const stop = new AbortController();
  let followed = '';
  const follower = (async () => {
    for await (const chunk of world.target.logs!(agent, { follow: true, tail: 1, previous: false }, stop.signal)) {
      followed += Buffer.from(chunk).toString();
    }
  })();
  await eventually('the tail has come', async () => followed === 'line 20000\n');
  await world.target.update(
    world.custom({ command: ['/bin/sh', '-c', 'echo next life; exec sleep 3600'] }),
    RUN,
    soon(),
  );
  await eventually('the next life is followed', async () => followed === 'line 20000\nnext life\n');
  stop.abort();
  await follower;
});

check('a log that grew too large is cut to its newest part, and the agent writes on', async (world) => {
  const agent = world.custom({ command: ['/bin/sh', '-c', 'echo old; while :; do echo tick; sleep 0.02; done'] });
  await world.target.provision(agent, RUN, soon());
  const file = world.recordFile(agent).replace(/json$/, 'log');
  await logged(world, agent, /tick/);
  fs.truncateSync(file, LOG_MAX_BYTES + 1);
  fs.appendFileSync(file, '\nnewest\n');
  cutLog(file);
  assert.ok(fs.statSync(file).size < 2 * 1024 * 1024);
  await eventually('it writes on', async () => /log cut at[^]*newest\n[^]*tick/.test(fs.readFileSync(file, 'utf8')));
  assert.doesNotMatch(fs.readFileSync(file, 'utf8'), /old\n/);
});

check('destroying keeps the logs if asked to, and deletes them if asked to', async (world) => {
  for (const data of ['keep', 'delete'] as const) {
    const agent = world.subject({ name: data });
    await world.target.provision(agent, RUN, soon());
    await world.target.destroy(agent, { data }, soon());
    assert.equal(fs.existsSync(world.recordFile(agent).replace(/json$/, 'log')), data === 'keep');
  }
});

// ── the run section, the claim ──────────────────────────────────────────────────────────────────────────────────────

test('L78 a run section is frozen with every default', () => {
  assert.deepEqual(processType.run({ command: ['node', 'a.js'] }), {
    ok: true,
    run: { command: ['node', 'a.js'], cwd: '/', env: {}, stopSignal: 'SIGTERM', stopTimeoutMs: 30_000, ports: [] },
  });
});

test('every problem of a run section is told with its path', () => {
  const paths = (raw: JsonObject): readonly string[] => {
    const answer = processType.run(raw);
    if (answer.ok) return [];
    for (const { message } of answer.problems) assert.ok(message.length > 10, message);
    return answer.problems.map(({ path }) => path);
  };
  const command = ['x'];
  assert.deepEqual(paths({}), ['command']);
  assert.deepEqual(paths({ command: 'node a.js' }), ['command']);
  assert.deepEqual(paths({ command: ['', 5, 'a\0b'] }), ['command[0]', 'command[1]', 'command[2]']);
  assert.deepEqual(paths({ command, cwd: '.', image: 'x', stopSignal: 'SIGNOTHING' }), ['image', 'cwd', 'stopSignal']);
  assert.deepEqual(paths({ command, stopSignal: 'SIGSTOP' }), ['stopSignal']);
  assert.deepEqual(paths({ command, env: { 'A-B': 'x', HOLDFAST_UID: 'x', N: 1, OK: 'x' } }), [
    'env.A-B',
    'env.HOLDFAST_UID',
    'env.N',
  ]);
  assert.deepEqual(paths({ command, env: ['A=1'] }), ['env']);
  for (const stopTimeout of [30, '30', '-1s', '11m', 'soon'])
    assert.deepEqual(paths({ command, stopTimeout }), ['stopTimeout']);
  assert.deepEqual(paths({ command, ports: [0, 8080, 8080, '80', 1.5] }), [
    'ports[0]',
    'ports[2]',
    'ports[3]',
    'ports[4]',
  ]);
  assert.deepEqual(paths({ command, ports: 80 }), ['ports']);
});

test('L26 no stop can outlast the deadline that the target names for it', async () => {
  const world = makeWorld();
  const { deadlinesMs } = world.target.traits;
  const longest = world.custom({ command: ['x'], stopTimeout: '10m' }).spec.run['stopTimeoutMs'] as number;
  for (const kind of ['stop', 'sleep', 'update', 'restart', 'destroy'] as const)
    assert.ok(deadlinesMs[kind]! > longest + 20_000);
  await world.cleanup();
});

const claims = { socket: claimBySocket, file: claimByFile };
for (const [name, claim] of Object.entries(claims)) {
  test(`L73 a copied data folder beside the original is refused, naming who holds it (${name})`, async () => {
    const deployment = randomUUID();
    const held = await claim(deployment, '/data/original');
    const refused = await claim(deployment, '/data/copy').catch((error: unknown) => error);
    assert.ok(refused instanceof ClaimRefused);
    assert.match(refused.message, new RegExp(`process ${process.pid} .*/data/original.*/data/copy is a copy`));
    await (await claim(randomUUID(), '/data/other')).close();
    await held.close();
    await (await claim(deployment, '/data/copy')).close();
  });

  test(`L73 a claim dies with its process, even by kill -9, and not with its agents (${name})`, async () => {
    const world = makeWorld();
    const agent = world.subject();
    const which = name === 'socket' ? 'claimBySocket' : 'claimByFile';
    try {
      // The collector must not free what only the kernel may.
      const claiming = `await ${which}(deployment, dataDir); global.gc();`;
      const plane = controlPlane(
        world,
        agent,
        `${claiming} say(await target.provision(subject, { unstarted: false }, signal));`,
      );
      const look = await plane.line();
      const refused = await claim(world.deployment, world.dataDir).catch((error: unknown) => error);
      assert.ok(
        refused instanceof ClaimRefused && refused.message.includes(`process ${plane.child.pid}`),
        String(refused),
      );
      plane.child.kill('SIGKILL');
      await once(plane.child, 'exit');
      assert.ok(isAlive(pidOf(look)));
      await (await claim(world.deployment, world.dataDir)).close();
    } finally {
      await world.cleanup();
    }
  });
}

test('L73 claiming this host takes the way that fits it', async () => {
  const deployment = randomUUID();
  const held = await claimHost(deployment, '/data/a');
  await assert.rejects(claimHost(deployment, '/data/b'), ClaimRefused);
  await held.close();
});

// ── details ─────────────────────────────────────────────────────────────────────────────────────────────────────────

const planes = new Set<ChildProcess>();
after(() => {
  for (const child of planes) child.kill('SIGKILL');
});

/** A control plane in a process of its own; `body` sees target, subject, signal, fs, say(value). */
function controlPlane(
  world: ProcessWorld,
  subject: Subject,
  body: string,
): { child: ChildProcess; line(): Promise<Look> } {
  const code = `
    import fs from 'node:fs';
    import { syncBuiltinESMExports } from 'node:module';
    import { openProcessTarget } from '${TARGET_CODE}target.ts';
    import { claimBySocket, claimByFile } from '${TARGET_CODE}claim.ts';
    const { deployment, dataDir, subject } = JSON.parse(process.argv[1]);
    const target = openProcessTarget({ deployment, dataDir, name: 'process' });
    const signal = AbortSignal.timeout(20_000);
    const say = (value) => fs.writeSync(1, JSON.stringify(value) + '\\n');
    void [claimBySocket, claimByFile, syncBuiltinESMExports];
    ${body}
    setInterval(() => undefined, 1000);
  `;
  const told = JSON.stringify({ deployment: world.deployment, dataDir: world.dataDir, subject });
  const args = ['--expose-gc', '--input-type=module', '-e', code, told];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  planes.add(child);
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    child,
    async line() {
      const { value, done } = await lines.next();
      assert.ok(!done, 'the control plane said nothing');
      return JSON.parse(value) as Look;
    },
  };
}

function pidOf(look: Look): number {
  const { pid } = look.attrs;
  assert.ok(typeof pid === 'number', `no pid in ${JSON.stringify(look)}`);
  return pid;
}

async function markedPids(world: ProcessWorld): Promise<readonly number[]> {
  return (await openProcTable().marked(world.deployment, soon())).map(({ pid }) => pid);
}

function stoppedLook(world: ProcessWorld, agent: Subject): Promise<Look> {
  return eventually('it is stopped', async () => {
    const look = await world.target.inspect(agent, soon());
    return look.state === 'stopped' && look;
  });
}

function log(world: ProcessWorld, agent: Subject, tail = 100_000): Promise<string> {
  return collect(world.target.logs!(agent, { follow: false, tail, previous: false }, soon()));
}

/** Waits for the pattern in the log; its first group, or all of it. */
function logged(world: ProcessWorld, agent: Subject, pattern: RegExp): Promise<string> {
  return eventually(`the log has ${pattern}`, async () => {
    const match = pattern.exec(await log(world, agent));
    return match ? (match[1] ?? match[0]) : null;
  });
}

function isAlive(pid: number): boolean {
  try {
    return !/^\d+ \(.*\) [ZX]/s.test(fs.readFileSync(`/proc/${pid}/stat`, 'latin1'));
  } catch {
    return false;
  }
}

function killGroup(pid: number): void {
  process.kill(-pid, 'SIGKILL');
}

function killQuietly(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // Gone already.
  }
}
