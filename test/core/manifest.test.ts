/** What a manifest that is accepted means: defaults, templates, references, revision. Refusals: manifest-errors.test.ts. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { declaredConfigHash, hashesAfterRotation, specHashes } from '../../src/core/manifest/hashes.ts';
import { toJson } from '../../src/core/manifest/nodes.ts';
import type { MapNode } from '../../src/core/manifest/nodes.ts';
import { parseText } from '../../src/core/manifest/parse.ts';
import { withAbsolutePaths } from '../../src/core/manifest/paths.ts';
import { readManifest } from '../../src/core/manifest/read.ts';
import { withSecrets } from '../../src/core/manifest/references.ts';
import { manifestJsonSchema } from '../../src/core/manifest/schema.ts';
import { mergeLayers } from '../../src/core/manifest/templates.ts';
import { DEFAULT_POLICY } from '../../src/core/model.ts';
import type { Json, JsonObject } from '../../src/core/model.ts';
import { contextOf, dockerType, readGood, withInstances } from './manifest-context.ts';

const EXAMPLE = `
version: 1
fleet: demo
policy: { giveUpAfter: 10, retryErrorEvery: 30m, maxInFlight: 8, rollout: { maxUnavailable: 10%, healthyFor: 30s, maxFailures: 1, waitIdle: 10m }, onSilent: restart, onDegraded: alert, drift: enforce }
templates:
  bot: { target: docker, lifecycle: lazy, idleAfter: 10m, run: { image: "bot:4", env: { BOT: "\${name}" }, ports: [8080], volumes: { data: /data }, memory: 512m } }
instances:
  acme-1: { from: bot, labels: { customer: acme } }
  scribe:
    target: process
    run: { command: [node, agent.ts], cwd: ., env: { LEVEL: info }, stopSignal: SIGTERM, stopTimeout: 30s }
    health: { http: { port: 8080, path: /readyz } }
    heartbeat: { every: 5s, silentAfter: 15s, startGrace: 30s }
    config: { channel: file, path: config.json, onChange: SIGHUP, value: { greeting: hello, key: "\${secret:llm}" } }
    plugins: ["git+file:///srv/plugins/notes#v1"]
    expose: [{ port: 8787, path: /telegram-webhook, auth: none }]
  laptop: { target: external, heartbeat: { every: 30s, silentAfter: 90s } }
`;

test('the manifest of the design is read as it stands', () => {
  const manifest = readGood(EXAMPLE, contextOf({ allowRelative: true }));
  assert.equal(manifest.fleet, 'demo');
  assert.deepEqual([...manifest.specs.keys()], ['acme-1', 'laptop', 'scribe']);
  assert.deepEqual(manifest.policy, { ...DEFAULT_POLICY, maxInFlight: 8 });
  const { spec, secrets } = manifest.specs.get('scribe')!;
  assert.deepEqual(spec, {
    target: 'process',
    targetType: 'process',
    lifecycle: 'hot',
    labels: {},
    idleAfterMs: null,
    onComplete: 'restart',
    onDelete: 'keep',
    run: { command: ['node', 'agent.ts'], cwd: '.', env: { LEVEL: 'info' }, stopSignal: 'SIGTERM', stopTimeout: '30s' },
    health: { http: { port: 8080, path: '/readyz' }, everyMs: 10_000, silentAfterMs: 90_000, startGraceMs: 60_000 },
    heartbeat: { everyMs: 5_000, silentAfterMs: 15_000, startGraceMs: 30_000 },
    config: {
      channel: 'file',
      settings: { path: 'config.json', onChange: 'SIGHUP' },
      value: { greeting: 'hello', key: '${secret:llm}' },
    },
    plugins: [{ source: 'git+file:///srv/plugins/notes', ref: 'v1', integrity: null, track: false, header: null }],
    expose: [{ port: 8787, path: '/telegram-webhook', auth: 'none' }],
    onSilent: null,
    onDegraded: null,
    drift: null,
  });
  assert.deepEqual(secrets, ['llm']);
  const bot = manifest.specs.get('acme-1')!.spec;
  assert.deepEqual(bot.run['env'], { BOT: 'acme-1' });
  assert.deepEqual(
    [bot.target, bot.lifecycle, bot.idleAfterMs, bot.labels],
    ['docker', 'lazy', 600_000, { customer: 'acme' }],
  );
});

test('the same manifest as JSON has the same revision, specs and hashes', () => {
  const context = contextOf({ allowRelative: true });
  const yaml = readGood(EXAMPLE, context);
  const parsed = parseText(EXAMPLE, 100_000);
  assert.ok(parsed.ok && parsed.root !== null);
  assert.deepEqual(readGood(JSON.stringify(toJson(parsed.root), null, '\t'), context), yaml);
});

test('the revision is the meaning: order, comments, quotes and templates do not change it, an edit does', () => {
  const plain = readGood(withInstances('  a: { target: docker, run: { image: x, env: { N: a } } }\n'));
  const other = readGood(
    `# a comment\nfleet: "demo"\ntemplates: { t: { run: { env: { N: "\${name}" }, image: 'x' }, labels: { no: 'x' } } }\n` +
      `instances: { a: { from: t, labels: null, target: docker } }\nversion: 1\n`,
  );
  assert.equal(other.revision, plain.revision);
  const edited = readGood(withInstances('  a: { target: docker, run: { image: x, env: { N: b } } }\n'));
  assert.notEqual(edited.revision, plain.revision);
});

test('a normalised manifest is itself a manifest, and means the same', () => {
  const text = withInstances(
    `  a:\n    target: process\n    labels: { price: "$\${5}" }\n` +
      `    run: { command: [sh, -c, "echo $\${HOME} \${name}"], env: { K: "\${secret:llm}", L: "$\${secret:llm}" } }\n` +
      `    config: { channel: file, path: /c, value: { gone: null, of: [null, "$\${x}", "\${fleet}"] } }\n`,
  );
  const first = readGood(text);
  assert.deepEqual(readGood(JSON.stringify(first.normalised)), first);
  const { spec } = first.specs.get('a')!;
  assert.deepEqual(spec.run['command'], ['sh', '-c', 'echo ${HOME} a'], 'escapes are undone where no secret can stand');
  assert.deepEqual(spec.labels, { price: '${5}' });
  assert.deepEqual(spec.config!.value, { gone: null, of: [null, '$${x}', 'demo'] });
});

test('a literal that looks like a reference reaches the agent as written, a reference as its secret', () => {
  const { spec } = readGood(
    withInstances(
      '  a: { target: docker, run: { image: x, env: { K: "Bearer ${secret:llm}", L: "$${secret:llm}" } } }\n',
    ),
  ).specs.get('a')!;
  const asked: string[] = [];
  const env = withSecrets(spec.run['env'] as JsonObject, (name) => (asked.push(name), 's3cr3t'));
  assert.deepEqual(env, { K: 'Bearer s3cr3t', L: '${secret:llm}' });
  assert.deepEqual(asked, ['llm']);
});

test('defaults, then the template, then the instance: maps merge, lists and scalars replace, null removes', () => {
  const { specs } = readGood(`
version: 1
fleet: demo
defaults: { labels: { team: core, tier: gold }, plugins: ["file:/p/base"], onDelete: delete }
templates:
  bot: { target: docker, labels: { tier: silver, kind: bot }, run: { image: "bot:1", args: [a, b, c], env: { A: "1", B: "2" } } }
instances:
  one: { from: bot, labels: { kind: null }, run: { args: [z], env: { B: null, C: "3" } }, plugins: null }
  two: { from: bot, plugins: ["file:/p/mine"], onDelete: null }
  three: { from: bot, run: { env: null } }
`);
  const one = specs.get('one')!.spec;
  assert.deepEqual(one.labels, { team: 'core', tier: 'silver' });
  assert.deepEqual(one.run, { init: true, image: 'bot:1', args: ['z'], env: { A: '1', C: '3' } });
  assert.deepEqual([one.plugins, one.onDelete], [[], 'delete']);
  const two = specs.get('two')!.spec;
  assert.deepEqual([two.plugins.map(({ source }) => source), two.onDelete], [['file:/p/mine'], 'keep']);
  const three = specs.get('three')!.spec;
  assert.deepEqual([three.plugins.map(({ source }) => source), three.run['env']], [['file:/p/base'], undefined]);
});

test('in config.value a null removes what a template says, and is a value where there is nothing to remove', () => {
  const { specs } = readGood(`
version: 1
fleet: demo
templates: { t: { target: docker, run: { image: x }, config: { channel: file, path: /c, value: { a: 1, b: 2 } } } }
instances:
  x: { from: t, config: { value: { a: null, c: null, d: [null] } } }
`);
  assert.deepEqual(specs.get('x')!.spec.config!.value, { b: 2, c: null, d: [null] });
});

test('merging agrees with JSON merge patch (RFC 7396) on every pair of documents', () => {
  const patch = (target: Json | undefined, change: Json): Json => {
    if (typeof change !== 'object' || change === null || Array.isArray(change)) return change;
    const plain = typeof target === 'object' && target !== null && !Array.isArray(target);
    const result: { [key: string]: Json } = plain ? { ...(target as JsonObject) } : {};
    for (const [key, value] of Object.entries(change as JsonObject)) {
      if (value === null) delete result[key];
      else result[key] = patch(result[key], value);
    }
    return result;
  };
  const leaf = fc.oneof(
    fc.constant(null),
    fc.boolean(),
    fc.integer(),
    fc.constantFrom('x', 'y'),
    fc.array(fc.constant(null), { maxLength: 2 }),
  );
  const key = fc.constantFrom('a', 'b', 'c', 'run', 'value');
  const { layer } = fc.letrec<{ layer: Json; value: Json }>((tie) => ({
    value: fc.oneof({ maxDepth: 3 }, leaf, tie('layer')),
    layer: fc.dictionary(key, tie('value'), { maxKeys: 4 }),
  }));
  const nodeOf = (value: Json): MapNode => {
    const parsed = parseText(JSON.stringify(value), 1_000_000);
    assert.ok(parsed.ok && parsed.root?.kind === 'map');
    return parsed.root;
  };
  fc.assert(
    fc.property(layer, layer, layer, (a, b, c) => {
      const expected = patch(patch(patch({}, a), b), c);
      assert.deepEqual(toJson(mergeLayers([nodeOf(a), nodeOf(b), nodeOf(c)], 1)), JSON.parse(JSON.stringify(expected)));
    }),
    { numRuns: 300 },
  );
});

test('every default is frozen into the spec, and none is left to whoever reads it later', () => {
  const { spec } = readGood(
    withInstances('  a: { target: docker, run: { image: x }, heartbeat: { every: 1m } }\n'),
  ).specs.get('a')!;
  const holes: string[] = [];
  JSON.stringify(spec, (key, value: unknown) => (value === undefined ? (holes.push(key), null) : value));
  assert.deepEqual(holes, []);
  assert.deepEqual(spec.heartbeat, { everyMs: 60_000, silentAfterMs: 180_000, startGraceMs: 60_000 });
  assert.deepEqual(spec.run, { init: true, image: 'x' });
});

test('shares are a percentage or a number, and the policy has its defaults where nothing is said', () => {
  const policyOf = (text: string) => readGood(`version: 1\nfleet: demo\npolicy: ${text}\ninstances: {}\n`).policy;
  assert.deepEqual(policyOf('{}'), DEFAULT_POLICY);
  assert.deepEqual(policyOf(''), DEFAULT_POLICY, 'an empty section is one that is not there');
  assert.equal(policyOf('{ rollout: { maxUnavailable: 25% } }').rollout.maxUnavailable, 0.25);
  assert.equal(policyOf('{ rollout: { maxUnavailable: 0.5 } }').rollout.maxUnavailable, 0.5);
  assert.equal(policyOf('{ retryErrorEvery: 1h }').retryErrorEveryMs, 3_600_000);
});

test('plugins are a source and a ref, whichever way they are written', () => {
  const { spec } = readGood(
    withInstances(
      '  a:\n    target: docker\n    run: { image: x }\n    plugins:\n' +
        '      - "github://acme/tools/sub#main"\n      - { source: "gitea://o/r", ref: v2, track: true }\n' +
        '      - { source: "git+https://h/r#v3", integrity: "sha256:abababababababababababababababababababababababababababababababab" }\n      - "file:/srv/p"\n',
    ),
  ).specs.get('a')!;
  assert.deepEqual(spec.plugins, [
    { source: 'github://acme/tools/sub', ref: 'main', integrity: null, track: false, header: null },
    { source: 'gitea://o/r', ref: 'v2', integrity: null, track: true, header: null },
    {
      source: 'git+https://h/r',
      ref: 'v3',
      integrity: 'sha256:abababababababababababababababababababababababababababababababab',
      track: false,
      header: null,
    },
    { source: 'file:/srv/p', ref: null, integrity: null, track: false, header: null },
  ]);
});

test('where relative paths are allowed, they are taken as they stand', () => {
  const text = withInstances(
    '  a: { target: process, run: { command: [x], cwd: bots }, plugins: ["file:p", "git+file:./q#v1"] }\n',
  );
  const { spec } = readGood(text, contextOf({ allowRelative: true })).specs.get('a')!;
  assert.deepEqual([spec.run['cwd'], ...spec.plugins.map(({ source }) => source)], ['bots', 'file:p', 'git+file:./q']);
});

test('reuseData is a permission that changes nothing of what runs', () => {
  const read = (reuse: string) =>
    readGood(withInstances(`  a: { target: docker, run: { image: x }${reuse} }\n`)).specs.get('a')!;
  const [without, permitted] = [read(''), read(', reuseData: true')];
  assert.deepEqual(permitted.spec, { ...without.spec, reuseData: true });
  assert.deepEqual(read(', reuseData: false').spec, without.spec);
  assert.deepEqual(permitted.hashes, without.hashes);
});

test('aliases repeat what their anchor holds, and keys that are no strings are read as written', () => {
  const { specs } = readGood(
    withInstances('  a: &a { target: docker, run: { image: x }, labels: { 1: x, true: y, 0x10: z } }\n  7: *a\n'),
  );
  assert.deepEqual(specs.get('7')!.spec, specs.get('a')!.spec);
  assert.deepEqual(specs.get('a')!.spec.labels, { 1: 'x', true: 'y', '0x10': 'z' });
});

test('a hash is of what matters to it: infra of run and lifecycle, config of channel, settings and value', () => {
  const hashesOf = (rest: string) =>
    readGood(
      withInstances(
        `  a: { target: docker, run: { image: x }, config: { channel: file, path: /c, value: 1 }${rest} }\n`,
      ),
    ).specs.get('a')!.hashes;
  const plain = hashesOf('');
  assert.deepEqual(hashesOf(', labels: { a: b }, heartbeat: { every: 1s }, onSilent: alert'), plain);
  const lazy = hashesOf(', lifecycle: lazy');
  assert.notEqual(lazy.infra, plain.infra, 'a lifecycle change is infra drift');
  assert.equal(lazy.config, plain.config);
  const { spec } = readGood(
    withInstances('  a: { target: docker, run: { image: x }, config: { channel: file, path: /c, value: 1 } }\n'),
  ).specs.get('a')!;
  const moved = { ...spec.config!, settings: { ...spec.config!.settings, path: '/d' } };
  assert.notEqual(declaredConfigHash(moved, new Map()), plain.config, 'L56: another path must not be ignored');
  assert.equal(
    declaredConfigHash(spec.config!, new Map([['llm', 9]])),
    plain.config,
    'a secret that it does not use is nothing to it',
  );
});

test('L74 a new version of a secret changes the hashes of those who use it, and only the part that does', () => {
  const docker = dockerType();
  const specOf = (rest: string) => readGood(withInstances(`  a: { target: docker, ${rest} }\n`)).specs.get('a')!;
  const rotated = new Map([['llm', 4]]);
  const inEnv = specOf('run: { image: x, env: { K: "${secret:llm}" } }');
  const after = hashesAfterRotation(inEnv.spec, inEnv.hashes, docker, rotated, 'llm');
  assert.ok(after !== null && after.infra !== inEnv.hashes.infra);
  assert.deepEqual(after, specHashes(inEnv.spec, docker, rotated));
  const inConfig = specOf('run: { image: x }, config: { channel: file, path: /c, value: "${secret:llm}" }');
  const recorded = { ...inConfig.hashes, infra: 'as some older build made it' };
  const afterConfig = hashesAfterRotation(inConfig.spec, recorded, docker, rotated, 'llm');
  assert.equal(afterConfig!.infra, recorded.infra, 'L78: what the secret does not touch stays as recorded');
  assert.notEqual(afterConfig!.config, recorded.config);
  assert.equal(hashesAfterRotation(inConfig.spec, recorded, docker, rotated, 'other'), null);
});

test('a secret that is not stored yet may be allowed, and storing it is then a change', () => {
  const text = withInstances('  a: { target: docker, run: { image: x, env: { K: "${secret:new}" } } }\n');
  const unset = readGood(text, contextOf({ unsetSecrets: 'allow' })).specs.get('a')!;
  const set = readGood(text, contextOf({ secrets: new Map([['new', 1]]) })).specs.get('a')!;
  assert.deepEqual(unset.spec, set.spec);
  assert.notEqual(unset.hashes.infra, set.hashes.infra);
});

test('the CLI makes relative host paths absolute and touches nothing else, not even a line number', () => {
  const text = `# who runs what
version: 1
fleet: demo
templates:
  t: { target: process, run: { command: [node, x.ts], cwd: 'bots/\${name}' } } # kept
instances:
  a: { from: t }
  b: { target: docker, run: { image: x, cwd: app }, plugins: ["file:./p#v1", { source: "git+file:../q" }, "file:/abs"] }
  c: { target: process, run: { command: [node], cwd: /already } }
`;
  const resolved = withAbsolutePaths(text, (path) => resolve('/srv/fleet', path));
  assert.ok(resolved.ok);
  assert.equal(
    resolved.text,
    text
      .replace(`'bots/\${name}'`, '"/srv/fleet/bots/${name}"')
      .replace('"file:./p#v1"', '"file:/srv/fleet/p#v1"')
      .replace('"git+file:../q"', '"git+file:/srv/q"'),
  );
  const { specs } = readGood(resolved.text, contextOf({ allowRelative: false }));
  assert.equal(specs.get('a')!.spec.run['cwd'], '/srv/fleet/bots/a');
  assert.ok(!readManifest(text, contextOf({ allowRelative: false })).ok, 'unresolved, it is refused');
});

test('a folder whose own name looks like a reference is a folder', () => {
  const text = withInstances('  a: { target: process, run: { command: [node], cwd: x } }\n');
  const resolved = withAbsolutePaths(text, (path) => resolve('/srv/${name}', path));
  assert.ok(resolved.ok);
  assert.equal(readGood(resolved.text).specs.get('a')!.spec.run['cwd'], '/srv/${name}/x');
});

test('the JSON schema names every key of the example and closes the door to unknown ones', () => {
  const schema = manifestJsonSchema() as {
    properties: { [key: string]: { [key: string]: unknown } };
    additionalProperties: boolean;
  };
  assert.equal(schema.additionalProperties, false);
  assert.deepEqual(Object.keys(schema.properties), [
    'version',
    'fleet',
    'policy',
    'defaults',
    'templates',
    'instances',
  ]);
  const instance = schema.properties['instances']!['additionalProperties'] as {
    properties: JsonObject;
    required?: unknown;
  };
  assert.equal(instance.required, undefined, 'what is missing in an instance may come from its template');
  const keys = Object.keys(instance.properties);
  for (const key of [
    'from',
    'target',
    'lifecycle',
    'idleAfter',
    'run',
    'health',
    'heartbeat',
    'config',
    'plugins',
    'expose',
    'labels',
  ]) {
    assert.ok(keys.includes(key), key);
  }
  assert.match(JSON.stringify(instance.properties['idleAfter']), /"type":"null"/, 'null removes');
});

test('thousands of instances are read, and one more than the most there may be is refused', () => {
  const fleetOf = (count: number) => {
    const lines = Array.from({ length: count }, (_, i) => `  a-${i}: { from: t }\n`).join('');
    return `version: 1\nfleet: demo\ntemplates: { t: { target: docker, run: { image: x } } }\ninstances:\n${lines}`;
  };
  assert.equal(readGood(fleetOf(3_000)).specs.size, 3_000);
  const refused = readManifest(fleetOf(50_001), contextOf());
  assert.deepEqual(refused, {
    ok: false,
    errors: [{ path: 'instances', line: 4, message: '50001 instances: at most 50000 are accepted' }],
  });
});

test('the core reads manifests without the world: no import of these files leaves core, zod, yaml and hashes', () => {
  const folder = new URL('../../src/core/manifest/', import.meta.url);
  const files = [
    'schema',
    'parse',
    'templates',
    'freeze',
    'plan',
    'read',
    'checks',
    'carry',
    'hashes',
    'nodes',
    'paths',
    'plugins',
    'problems',
    'references',
    'shape',
    'words',
    'yaml-text',
    'context',
  ];
  for (const file of files) {
    for (const [, from] of readFileSync(new URL(`${file}.ts`, folder), 'utf8').matchAll(/from '([^']+)'/g)) {
      assert.match(
        from!,
        /^(\.\/[\w-]+\.ts|\.\.\/(hash|limits|model|plugin-source|plugin-tree|units)\.ts|zod|yaml)$/,
        `${file}: ${from}`,
      );
    }
  }
});
