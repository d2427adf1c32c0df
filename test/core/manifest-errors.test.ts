/**
 * Every way in which a manifest can be wrong, with the exact path and line it is reported at. A row's text is the whole
 * manifest, or, where it begins with two spaces, what stands below `instances:` from line 4 on.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ManifestContext } from '../../src/core/manifest/context.ts';
import { parseText } from '../../src/core/manifest/parse.ts';
import { didYouMean } from '../../src/core/manifest/problems.ts';
import { readManifest } from '../../src/core/manifest/read.ts';
import { contextOf, withInstances } from './manifest-context.ts';

type Expected = readonly [path: string, line: number, words: RegExp];

function refused(text: string, context: ManifestContext = contextOf()) {
  const result = readManifest(text.startsWith('  ') ? withInstances(text) : text, context);
  assert.ok(!result.ok, `accepted: ${text}`);
  return result.errors;
}

function refuses(title: string, text: string, expected: readonly Expected[], context?: ManifestContext): void {
  test(title, () => {
    const errors = refused(text, context);
    assert.deepEqual(
      errors.map(({ path, line }) => [path, line]),
      expected.map(([path, line]) => [path, line]),
      JSON.stringify(errors, null, 2),
    );
    expected.forEach(([, , words], i) => assert.match(errors[i]!.message, words));
  });
}

// ── the text ────────────────────────────────────────────────────────────────────────────────────────────────────────

refuses('an empty text is no manifest', '', [['', 1, /but this is empty/]]);
refuses('a comment alone is no manifest', '# later\n', [['', 1, /but this is empty/]]);
refuses('a list is no manifest', '- version: 1\n', [['', 1, /but this is a list/]]);
refuses('a syntax error has its line', 'version: 1\nfleet: demo\ninstances:\n  a: b: c\n', [
  ['', 4, /Nested mappings/],
]);
refuses('a tab as indentation has its line', 'version: 1\nfleet: demo\ninstances:\n\ta: {}\n', [['', 4, /Tabs/]]);
refuses('a second document is refused where it begins', 'version: 1\n---\nversion: 1\n', [['', 2, /second document/]]);
refuses('tags are refused', '  a: { target: !env HOME }\n', [['', 4, /tags/]]);
refuses('tags that yaml itself would read are refused', '  a: { target: !!binary aGk= }\n', [
  ['instances.a.target', 4, /tags/],
]);
refuses('YAML 1.1, in which "no" is false, is refused', '%YAML 1.1\n---\nversion: 1\n', [['', 1, /YAML 1\.1/]]);
refuses(
  'a duplicate name is refused where it stands the second time',
  '  a: { target: docker, run: { image: x } }\n  b: { target: docker, run: { image: x } }\n  a: { target: docker, run: { image: y } }\n',
  [['instances.a', 6, /said twice: first in line 4/]],
);
refuses(
  'a name said twice hides no other mistake',
  '  a: { target: docker, run: { image: x }, lifecyle: hot }\n  b: { target: nowhere }\n  a: { target: docker, run: { image: y } }\n',
  [
    ['instances.a.lifecyle', 4, /unknown key/],
    ['instances.b.target', 5, /nowhere/],
    ['instances.a', 6, /said twice: first in line 4/],
  ],
);
refuses(
  'a duplicate key anywhere is refused, in JSON too',
  '{"version":1,\n"fleet":"demo",\n"instances":{"a":{"target":"docker","run":{"image":"x",\n"image":"y"}}}}',
  [['instances.a.run.image', 4, /said twice/]],
);
refuses(
  'two spellings of one key are a duplicate',
  '  a: { target: docker, run: { image: x }, labels: { 1: x, "1": y } }\n',
  [['instances.a.labels.1', 4, /said twice/]],
);
refuses('an alias without its anchor is refused', '  a: *nobody\n', [['instances.a', 4, /\*nobody has no anchor/]]);
refuses('an alias inside its own anchor is refused', '  a: &a { labels: { x: *a } }\n', [
  ['instances.a.labels.x', 4, /inside its own anchor/],
]);
refuses('a key that changes what an object is, is refused', '  a: { __proto__: { target: docker } }\n', [
  ['instances.a.__proto__', 4, /not accepted/],
]);
refuses('a map as a key is refused', '  ? { a: b }\n  : { target: docker }\n', [
  ['instances', 4, /a key must be a word/],
]);
refuses('a number that cannot be kept exactly is refused', '  a: { run: { id: 12345678901234567890 } }\n', [
  ['instances.a.run.id', 4, /too large/],
]);
refuses('infinity and what is no number are refused', '  a: { run: { x: .inf,\n    y: .nan } }\n', [
  ['instances.a.run.x', 4, /not a finite number/],
  ['instances.a.run.y', 5, /not a finite number/],
]);
refuses('10 MB are refused unread', `# ${'x'.repeat(10 * 1024 * 1024)}`, [['', 1, /larger than 4194304 bytes/]]);
refuses('the limit is in bytes, not in characters', `# ${'語'.repeat(1_500_000)}`, [['', 1, /larger than/]]);

test('a YAML bomb is refused before it goes off', () => {
  const levels = Array.from(
    { length: 12 },
    (_, i) => `  l${i + 1}: &l${i + 1} [${Array(12).fill(`*l${i}`).join(', ')}]\n`,
  );
  const errors = refused(`version: 1\nfleet: demo\nx:\n  l0: &l0 [boom]\n${levels.join('')}`);
  assert.equal(errors.length, 1);
  assert.match(errors[0]!.message, /aliases repeat more than 100000 values/);
  assert.match(errors[0]!.path, /^x\.l5/);
});

test('text that only means to exhaust the parser is refused, with one error or a bounded number', () => {
  for (const text of ['[', '{a: ', '- ', '? ', ']', '"\\q"\n', '[}, ', 'a: '].map((part) =>
    part.repeat(4_000_000 / part.length),
  )) {
    const result = parseText(text, 4 * 1024 * 1024);
    assert.ok(!result.ok && result.errors.length <= 201, text.slice(0, 10));
  }
  const stairs = Array.from({ length: 500 }, (_, i) => `${' '.repeat(i)}a:`).join('\n');
  const result = parseText(stairs, 4 * 1024 * 1024);
  assert.ok(!result.ok);
  assert.match(result.errors[0]!.message, /nested deeper than 64 levels/);
});

// ── the frame ───────────────────────────────────────────────────────────────────────────────────────────────────────

refuses('version, fleet and instances are needed', '# nothing yet\npolicy: {}\n', [
  ['fleet', 2, /^missing: expected a string/],
  ['instances', 2, /^missing: expected a map/],
  ['version', 2, /^missing: expected version: 1/],
]);
refuses('another version is refused', 'fleet: demo\nversion: 2\ninstances: {}\n', [
  ['version', 2, /expected version: 1/],
]);
refuses('a version in quotes is no version', 'version: "1"\nfleet: demo\ninstances: {}\n', [
  ['version', 1, /expected version: 1/],
]);
refuses(
  'an unknown key of the frame is refused, with what it may have meant',
  'version: 1\nfleet: demo\ninstances: {}\nplicy: {}\n',
  [['plicy', 4, /unknown key "plicy": did you mean "policy"\?/]],
);
refuses(
  'a key that nothing resembles is refused with what there is',
  'version: 1\nfleet: demo\ninstances: {}\nservices: {}\n',
  [['services', 4, /known here are defaults, fleet, instances, policy, templates, version/]],
);
refuses('instances that are a list are refused', 'version: 1\nfleet: demo\ninstances: [a]\n', [
  ['instances', 3, /expected a map, but this is a list/],
]);
refuses(
  'a manifest sent to another fleet is refused',
  'version: 1\nfleet: demo\ninstances: {}\n',
  [['fleet', 2, /this is fleet "demo", sent to fleet "prod"/]],
  contextOf({ fleet: 'prod' }),
);
refuses(
  'every wrong value of the policy is said at its own line',
  `version: 1
fleet: demo
policy:
  giveUpAfter: 0
  retryErrorEvery: 30
  maxInFlight: 1.5
  rollout:
    maxUnavailable: 3
    healthyFor: soon
    maxFailures: "1"
    waitidle: 1m
  onSilent: ignore
  onDegraded: 1
  drift: true
instances: {}
`,
  [
    ['policy.giveUpAfter', 4, /at least 1/],
    ['policy.retryErrorEvery', 5, /a time with its unit.*but this is a number/],
    ['policy.maxInFlight', 6, /expected a whole number, but this is a fraction/],
    ['policy.rollout.maxUnavailable', 8, /share of the fleet/],
    ['policy.rollout.healthyFor', 9, /a time with its unit/],
    ['policy.rollout.maxFailures', 10, /expected a (whole )?number, but this is a string/],
    ['policy.rollout.waitidle', 11, /did you mean "waitIdle"/],
    ['policy.onSilent', 12, /"restart" or "alert"/],
    ['policy.onDegraded', 13, /"restart" or "alert"/],
    ['policy.drift', 14, /"enforce" or "report"/],
  ],
);
for (const share of ['0%', '101%', '0', '1.5', '"10"', '[]']) {
  refuses(
    `a share of ${share} is refused`,
    `version: 1\nfleet: demo\npolicy: { rollout: {\n  maxUnavailable: ${share} } }\ninstances: {}\n`,
    [['policy.rollout.maxUnavailable', 4, /share of the fleet/]],
  );
}

// ── names ───────────────────────────────────────────────────────────────────────────────────────────────────────────

for (const name of [
  'Upper',
  'under_score',
  '-first',
  'last-',
  'dot.ted',
  'a'.repeat(64),
  '"sp ace"',
  'ünï',
  '"a/../b"',
]) {
  test(`the name ${name} is refused for an instance, a template and a fleet`, () => {
    const plain = name.replaceAll('"', '');
    const at = /^[\w-]+$/.test(plain) ? `.${plain}` : `[${JSON.stringify(plain)}]`;
    const good = '{ target: docker, run: { image: x } }';
    const cases: readonly (readonly [string, string, number])[] = [
      [`  ok: ${good}\n  ${name}: ${good}\n`, `instances${at}`, 5],
      [`version: 1\nfleet: demo\ntemplates:\n  ${name}: ${good}\ninstances: {}\n`, `templates${at}`, 4],
      [`version: 1\nfleet: ${name}\ninstances: {}\n`, 'fleet', 2],
    ];
    for (const [text, path, line] of cases) {
      const errors = refused(text);
      assert.deepEqual(
        errors.map((error) => [error.path, error.line]),
        [[path, line]],
      );
      assert.match(errors[0]!.message, /lower-case letters, digits and "-"/);
    }
  });
}

// ── instances ───────────────────────────────────────────────────────────────────────────────────────────────────────

refuses('an instance that is nothing, a word or a list is refused', '  a:\n  b: docker\n  c: []\n', [
  ['instances.a', 4, /expected a map, but this is null/],
  ['instances.b', 5, /expected a map, but this is a string/],
  ['instances.c', 6, /expected a map, but this is a list/],
]);
refuses(
  'an unknown key is refused with the one that was meant',
  '  a:\n    target: docker\n    imgae: x\n    lifecylce: hot\n    run: { image: x }\n',
  [
    ['instances.a.imgae', 6, /^unknown key "imgae": known here are config, /],
    ['instances.a.lifecylce', 7, /did you mean "lifecycle"\?/],
  ],
);
refuses(
  'wrong types are refused, each with what stands there instead',
  `  a:
    target: 5
    lifecycle: warm
    labels: { n: 42, b: true, "bad key!": x }
    idleAfter: 600
    onComplete: always
    onDelete: yes
    run: [image]
    health: { http: { port: 70000, path: readyz }, every: 0s }
    heartbeat: { every: 5, silentAfter: [1s] }
    config: { channel: file, path: /c }
    plugins: [7, { source: "file:/x", rev: v1 }, ""]
    expose: [{ port: http, path: /x, auth: basic }]
    drift: {}
`,
  [
    ['instances.a.target', 5, /expected a string, but this is a number: put it in quotes/],
    ['instances.a.lifecycle', 6, /"hot" or "lazy"/],
    ['instances.a.labels.b', 7, /expected a string, but this is true or false: put it in quotes/],
    ['instances.a.labels.n', 7, /expected a string, but this is a number: put it in quotes/],
    ['instances.a.labels["bad key!"]', 7, /a label has letters/],
    ['instances.a.idleAfter', 8, /a time with its unit.*but this is a number/],
    ['instances.a.onComplete', 9, /"restart" or "stop"/],
    ['instances.a.onDelete', 10, /"keep" or "delete"/],
    ['instances.a.run', 11, /expected a map, but this is a list/],
    ['instances.a.health.every', 12, /must be more than 0/],
    ['instances.a.health.http.path', 12, /begins with "\/"/],
    ['instances.a.health.http.port', 12, /1 to 65535/],
    ['instances.a.heartbeat.every', 13, /a time with its unit/],
    ['instances.a.heartbeat.silentAfter', 13, /a time with its unit.*but this is a list/],
    ['instances.a.plugins[0]', 15, /expected a string or a map/],
    ['instances.a.plugins[1].rev', 15, /unknown key "rev": did you mean "ref"\?/],
    ['instances.a.plugins[2]', 15, /must not be empty/],
    ['instances.a.expose[0].auth', 16, /"token" or "none"/],
    ['instances.a.expose[0].port', 16, /expected a port number, but this is a string/],
    ['instances.a.drift', 17, /"enforce" or "report", but this|"enforce" or "report"/],
  ],
);
refuses(
  'what is missing inside a section is said after the layers are merged',
  `  a: { target: docker, run: { image: x }, heartbeat: {},
    health: { http: { port: 1 } },
    config: { channel: file, path: /c } }
`,
  [
    ['instances.a.heartbeat.every', 4, /^missing/],
    ['instances.a.health.http.path', 5, /^missing/],
    ['instances.a.config.value', 6, /^missing: expected a value/],
  ],
);
refuses(
  'a health is asked in one way, and in one that its target has',
  `  a: { target: docker, run: { image: x }, health: { every: 5s } }
  b: { target: docker, run: { image: x }, health: { engine: true, http: { port: 1, path: / } } }
  c: { target: process, run: { command: [x] }, health: { engine: true } }
`,
  [
    ['instances.a.health', 4, /either http .* or engine: true/],
    ['instances.b.health', 5, /either http .* or engine: true/],
    ['instances.c.health.engine', 6, /has no engine that checks it: say http/],
  ],
);
refuses(
  'a config without a value is refused',
  '  a: { target: docker, run: { image: x },\n    config: { channel: file, path: /c } }\n',
  [['instances.a.config.value', 5, /^missing: expected a value, if only \{\}/]],
);
refuses('an instance without a target is refused with the targets there are', '  a:\n    run: { image: x }\n', [
  ['instances.a.target', 4, /missing: say where it runs; known targets are box1, docker, external, process/],
]);
refuses(
  'an unknown target is refused with the one that was meant, or those there are',
  '  a: { target: dokcer, run: { image: x } }\n  b: { target: mainframe, run: { image: x } }\n',
  [
    ['instances.a.target', 4, /unknown target "dokcer": did you mean "docker"\? known targets are box1, docker/],
    ['instances.b.target', 5, /unknown target "mainframe": known targets are box1, docker/],
  ],
);
refuses(
  "what the target's type says of run is reported below run",
  '  a:\n    target: docker\n    run:\n      ports: [1, http]\n  b: { target: process }\n',
  [
    ['instances.a.run.image', 6, /missing: say which image/],
    ['instances.a.run.ports[1]', 7, /expected a port/],
    ['instances.b.run.command', 8, /missing: say what to run/],
  ],
);

// ── templates and references ────────────────────────────────────────────────────────────────────────────────────────

refuses(
  'an unknown template is refused with the one that was meant',
  'version: 1\nfleet: demo\ntemplates: { bot: {} }\ninstances:\n  a: { from: bto }\n',
  [['instances.a.from', 5, /unknown template "bto": did you mean "bot"\?/]],
);
refuses('where there are no templates, from is refused', '  a: { from: bot }\n', [
  ['instances.a.from', 4, /unknown template "bot": there are none/],
]);
refuses(
  'templates do not build on templates, so there are no loops',
  'version: 1\nfleet: demo\ntemplates:\n  a: { from: b }\n  b: { from: a }\ninstances: {}\n',
  [
    ['templates.a.from', 4, /do not build on templates/],
    ['templates.b.from', 5, /do not build on templates/],
  ],
);
refuses(
  'a template that nobody uses is checked all the same',
  'version: 1\nfleet: demo\ntemplates:\n  idle:\n    lifecycel: hot\n    labels: { a: "${nmae}" }\n  word: x\ninstances: {}\n',
  [
    ['templates.idle.lifecycel', 5, /did you mean "lifecycle"/],
    ['templates.idle.labels.a', 6, /\$\{nmae\} is not known here, only \$\{name\}, \$\{fleet\}, \$\{secret:NAME\} are/],
    ['templates.word', 7, /expected a map/],
  ],
);
refuses(
  'a mistake in a template is said once, at its own line, however many use it',
  `version: 1
fleet: demo
templates:
  bot:
    target: docker
    lifecycle: tepid
    run: { image: x }
instances:
  a: { from: bot }
  b: { from: bot }
`,
  [['templates.bot.lifecycle', 6, /"hot" or "lazy"/]],
);
refuses(
  'what comes out wrong only after merging points to the line it came from, and counts who shares it',
  `version: 1
fleet: demo
templates:
  bot:
    target: docker
    run:
      image: x
      ports: [oops]
instances:
  a: { from: bot }
  b: { from: bot }
  c: { from: bot, run: { ports: [1] } }
  d: { from: bot, idleAfter: 5m }
`,
  [
    ['instances.a.run.ports[0]', 8, /expected a port \(the same in 2 other instances\)/],
    ['instances.d.idleAfter', 13, /a hot instance never sleeps/],
  ],
);
refuses(
  'the defaults are a layer and their mistakes are theirs',
  'version: 1\nfleet: demo\ndefaults:\n  plugin: []\n  labels: []\ninstances:\n  a: { target: docker, run: { image: x } }\n',
  [
    ['defaults.plugin', 4, /did you mean "plugins"/],
    ['defaults.labels', 5, /expected a map/],
  ],
);
refuses(
  'an unknown reference is refused with how to write it literally',
  '  a: { target: docker, run: { image: x, args: ["${HOME}", "${name", "${}"] } }\n',
  [
    ['instances.a.run.args[0]', 4, /\$\{HOME\} is not known here.*write "\$\$\{"/],
    ['instances.a.run.args[1]', 4, /without its "}"/],
    ['instances.a.run.args[2]', 4, /\$\{\} is not known/],
  ],
);
refuses(
  'a secret is refused wherever it would be in plain sight',
  `  a:
    target: docker
    labels: { k: "\${secret:llm}" }
    run: { image: x, args: ["--key=\${secret:llm}"], env: { OK: "\${secret:llm}" } }
    config: { channel: file, path: "\${secret:llm}", value: { ok: "\${secret:llm}" } }
`,
  [
    ['instances.a.labels.k', 6, /only in run\.env, config\.value and the header/],
    ['instances.a.run.args[0]', 7, /only in run\.env, config\.value and the header/],
    ['instances.a.config.path', 8, /only in run\.env, config\.value and the header/],
  ],
);
refuses(
  'a secret that is not stored is refused where it is used',
  `  a:
    target: docker
    run: { image: x, env: { A: "\${secret:lmm}", B: "\${secret:b/d}" } }
    config: { channel: file, path: /c, value: { deep: [ "x", "\${secret:zzz}" ] } }
`,
  [
    ['instances.a.run.env.A', 6, /no secret "lmm" is stored: did you mean "llm"\?/],
    ['instances.a.run.env.B', 6, /a secret's name has letters/],
    ['instances.a.config.value.deep[1]', 7, /no secret "zzz" is stored/],
  ],
);

// ── what cannot be together ─────────────────────────────────────────────────────────────────────────────────────────

const impossible: readonly (readonly [string, string, readonly Expected[], ManifestContext?])[] = [
  [
    'lazy on external',
    '  a: { target: external, heartbeat: { every: 1s },\n    lifecycle: lazy }\n',
    [['instances.a.lifecycle', 5, /type external has no lazy instances, only hot ones/]],
  ],
  [
    'idleAfter on a hot one',
    '  a: { target: docker, run: { image: x },\n    idleAfter: 5m }\n',
    [['instances.a.idleAfter', 5, /never sleeps/]],
  ],
  [
    'run on external',
    '  a: { target: external, heartbeat: { every: 1s },\n    run: { image: x } }\n',
    [['instances.a.run', 5, /an external instance has no run/]],
  ],
  [
    'external without heartbeat',
    '  b: { target: external, heartbeat: { every: 1s } }\n  a: { target: external }\n',
    [['instances.a', 5, /missing heartbeat/]],
  ],
  [
    'health on external',
    '  a: { target: external, heartbeat: { every: 1s },\n    health: { http: { port: 1, path: / } } }\n',
    [['instances.a.health', 5, /no health to ask/]],
  ],
  [
    'expose on external',
    '  a: { target: external, heartbeat: { every: 1s },\n    expose: [{ port: 1, path: / }] }\n',
    [['instances.a.expose', 5, /no address/]],
  ],
  [
    'silent before the next heartbeat is due',
    '  a: { target: docker, run: { image: x }, heartbeat: { every: 30s,\n    silentAfter: 10s } }\n',
    [['instances.a.heartbeat.silentAfter', 5, /10s is shorter than every: 30s/]],
  ],
  [
    'unhealthy before the next question',
    '  a: { target: docker, run: { image: x }, health: { http: { port: 1, path: / }, every: 30s,\n    silentAfter: 10s } }\n',
    [['instances.a.health.silentAfter', 5, /10s is shorter than every: 30s/]],
  ],
  [
    'an exposed port that is not published',
    '  a: { target: docker, run: { image: x, ports: [8080] }, expose: [{ path: /a, port: 8080 },\n    { path: /b, port: 8081 }] }\n',
    [['instances.a.expose[1].port', 5, /port 8081 is not in run\.ports/]],
  ],
  [
    'an exposed port where none is published',
    '  a: { target: docker, run: { image: x },\n    expose: [{ path: /a, port: 1 }] }\n',
    [['instances.a.expose[0].port', 5, /not in run\.ports/]],
  ],
  [
    'one path exposed twice',
    '  a: { target: process, run: { command: [x] }, expose: [{ path: /a, port: 1 },\n    { path: /a, port: 2 }] }\n',
    [['instances.a.expose[1].path', 5, /said twice: expose\[0\]/]],
  ],
  [
    'one plugin twice',
    '  a: { target: docker, run: { image: x }, plugins: ["file:/p#v1",\n    "file:/p#v2",\n    { source: "file:/p" }] }\n',
    [
      ['instances.a.plugins[1]', 5, /said twice: plugins\[0\]/],
      ['instances.a.plugins[2].source', 6, /said twice/],
    ],
  ],
  [
    'a plugin ref said twice',
    '  a: { target: docker, run: { image: x }, plugins: [\n    { source: "file:/p#v1", ref: v1 }] }\n',
    [['instances.a.plugins[0].ref', 5, /said twice/]],
  ],
  [
    'a plugin with an empty ref',
    '  a: { target: docker, run: { image: x }, plugins: [\n    "file:/p#"] }\n',
    [['instances.a.plugins[0]', 5, /"source#ref"/]],
  ],
  [
    'a plugin of an unknown scheme',
    '  a: { target: docker, run: { image: x }, plugins: [\n    "gihub://a/b",\n    "npm:left-pad",\n    "just-a-name"] }\n',
    [
      ['instances.a.plugins[0]', 5, /"gihub" are not known: did you mean "github"/],
      ['instances.a.plugins[1]', 6, /there are file, git\+file/],
      ['instances.a.plugins[2]', 7, /expected a source such as/],
    ],
  ],
  [
    'a plugin of a scheme that is not allowed',
    '  a: { target: docker, run: { image: x }, plugins: [\n    "file:/p"] }\n',
    [['instances.a.plugins[0]', 5, /not allowed here \(allow\.pluginSources\)/]],
    contextOf({ plugins: { sources: ['github'], requirePinned: false, plainHttp: false } }),
  ],
  [
    'a plugin that is not allowed here, or not pinned',
    '  a: { target: docker, run: { image: x }, plugins: [\n    "gitea://acme/x#main",\n    "gitea://acme-evil/x",\n' +
      `    "gitea://acme/y#${'a'.repeat(40)}",\n    { source: "gitea://acme/z", integrity: "sha256:${'b'.repeat(64)}" },\n` +
      '    "git+http://h/r" ] }\n',
    [
      ['instances.a.plugins[0]', 5, /must be pinned/],
      ['instances.a.plugins[1]', 6, /not allowed here \(allow\.pluginSources\): there are gitea:\/\/acme/],
      ['instances.a.plugins[4]', 9, /git\+http is not allowed here/],
    ],
    contextOf({ plugins: { sources: ['gitea://acme/**', 'git+http'], requirePinned: true, plainHttp: false } }),
  ],
  [
    'a plugin source that could be taken for something else',
    '  a: { target: docker, run: { image: x }, plugins: [\n    "gitea://acme",\n    "gitea://acme/../../etc",\n' +
      '    "git+https://me:secret@h/r",\n    "git+ssh://-oProxyCommand=x/r",\n    "git+file:///srv/../etc",\n' +
      '    "git+https://h/r#--upload-pack=x",\n    "git+https://h/r//../x" ] }\n',
    [
      ['instances.a.plugins[0]', 5, /owner\/repo/],
      ['instances.a.plugins[1]', 6, /owner\/repo/],
      ['instances.a.plugins[2]', 7, /must not carry a user or password/],
      ['instances.a.plugins[3]', 8, /expected "git\+ssh/],
      ['instances.a.plugins[4]', 9, /without "\.\."/],
      ['instances.a.plugins[5]', 10, /no name of a branch/],
      ['instances.a.plugins[6]', 11, /without "\.\."/],
    ],
  ],
  [
    'a header that would be in plain sight, or goes nowhere',
    '  a: { target: docker, run: { image: x }, plugins: [\n    { source: "gitea://a/b", header: "Authorization: token abc" },\n' +
      '    { source: "file:/p", header: "X: ${secret:llm}" },\n    { source: "gitea://a/c", header: "X: ${secret:nothing}" } ] }\n',
    [
      ['instances.a.plugins[0].header', 5, /in plain sight/],
      ['instances.a.plugins[1].header', 6, /only be sent over HTTP/],
      ['instances.a.plugins[2].header', 7, /no secret "nothing" is stored/],
    ],
  ],
  [
    'plugins where nobody can deliver them',
    '  a: { target: external, heartbeat: { every: 30s },\n    plugins: ["gitea://a/b"] }\n',
    [['instances.a.plugins', 5, /a target of type external cannot deliver plugins/]],
  ],
  [
    'a relative plugin folder',
    '  a: { target: docker, run: { image: x }, plugins: [\n    "file:./p",\n    "git+file:p"] }\n',
    [
      ['instances.a.plugins[0]', 5, /resolved by the CLI, refused over HTTP/],
      ['instances.a.plugins[1]', 6, /resolved by the CLI/],
    ],
  ],
  [
    'a relative cwd over HTTP',
    '  a: { target: process, run: { command: [node],\n    cwd: ../bots } }\n',
    [['instances.a.run.cwd', 5, /relative paths are resolved by the CLI, refused over HTTP/]],
  ],
  [
    'a relative program without a cwd',
    '  a: { target: process, run: {\n    command: [./run.sh] } }\n',
    [['instances.a.run.command[0]', 5, /found from run\.cwd, which is missing/]],
  ],
  [
    'an unknown channel',
    '  a: { target: docker, run: { image: x }, config: {\n    channel: flie, path: /c, value: 1 } }\n',
    [['instances.a.config.channel', 5, /unknown channel "flie": did you mean "file"\? there are file/]],
  ],
  [
    'any channel in a build without one',
    '  a: { target: docker, run: { image: x }, config: {\n    channel: file, value: 1 } }\n',
    [['instances.a.config.channel', 5, /unknown channel "file": this build has none/]],
    contextOf({ channels: new Map() }),
  ],
  [
    "a channel's own settings",
    '  a: { target: docker, run: { image: x }, config: {\n    channel: file, value: 1 } }\n',
    [['instances.a.config.path', 4, /missing: say which file/]],
  ],
];
for (const [what, text, expected, context] of impossible) refuses(`cannot be: ${what}`, text, expected, context);

// ── all of them, bounded, without secrets ───────────────────────────────────────────────────────────────────────────

test('all errors are said, up to 200, and the rest is counted', () => {
  const errors = refused(
    Array.from({ length: 250 }, (_, i) => `  a-${i}: { target: docker, run: { image: x }, k${i}: 1 }\n`).join(''),
  );
  assert.equal(errors.length, 201);
  assert.deepEqual(errors.at(-1), { path: '', line: errors.at(-2)!.line, message: 'and 50 more errors' });
});

test('errors come in the order of the file', () => {
  const errors = refused('  z: { x: 1 }\n  b: { x: 1 }\n  m: { x: 1 }\n');
  assert.deepEqual(
    errors.map(({ path, line }) => [path, line]),
    [
      ['instances.z.x', 4],
      ['instances.b.x', 5],
      ['instances.m.x', 6],
    ],
  );
});

test('one good instance does not save a manifest with a bad one', () => {
  const result = readManifest(
    withInstances('  good: { target: docker, run: { image: x } }\n  bad: { target: docker }\n'),
    contextOf(),
  );
  assert.ok(!result.ok && !('manifest' in result));
});

test('no error repeats a value that may be a secret', () => {
  const secret = 'hunter2-hunter2';
  const texts = [
    `  a: { target: docker, run: { image: x }, labels: [${secret}], heartbeat: ${secret}, idleAfter: ${secret} }\n`,
    `  a: { target: docker, run: { image: 1, env: { K: "${secret}\${oops}" } } }\n`,
    `version: ${secret}\nfleet: demo\ninstances: ${secret}\n`,
    `version: 1\nx: "${secret}" "${secret}"\n`,
    `${secret}\n---\n`,
  ];
  for (const text of texts) assert.ok(!JSON.stringify(refused(text)).includes(secret), text);
});

test('a word is corrected only to one that is near it', () => {
  const known = ['image', 'env', 'ports'];
  assert.match(didYouMean('imgae', known), /"image"/);
  assert.match(didYouMean('Image', known), /"image"/);
  assert.match(didYouMean('evn', known), /"env"/);
  assert.equal(didYouMean('volumes', known), '');
  assert.equal(didYouMean('x', known), '');
});
