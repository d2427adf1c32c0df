import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  DEFAULT_LISTEN,
  DEFAULT_PLUGINS,
  DEFAULT_RETENTION,
  parseListen,
  readServerFile,
} from '../../src/core/server-file.ts';
import type { ServerFile } from '../../src/core/server-file.ts';

const TYPES = new Set(['process', 'docker', 'external']);

function good(text: string): ServerFile {
  const result = readServerFile(text, TYPES);
  assert.ok(result.ok, JSON.stringify(result));
  return result.file;
}

function errorsOf(text: string) {
  const result = readServerFile(text, TYPES);
  assert.ok(!result.ok, 'accepted');
  return result.errors;
}

const NOTHING_SAID: ServerFile = {
  listen: { host: '127.0.0.1', port: 7717 },
  proxyListen: { host: '127.0.0.1', port: 7718 },
  agentUrl: null,
  allowedHosts: [],
  allow: { hostMounts: [], privileged: false, pluginSources: null, requirePinned: false, plainHttp: false },
  plugins: DEFAULT_PLUGINS,
  targets: new Map(),
  retention: { days: 30, events: DEFAULT_RETENTION.events },
  sentryDsn: null,
  metrics: { perInstance: false },
};

test('everything is optional: an empty file is a loopback server that allows nothing', () => {
  for (const text of ['', '# nothing yet\n', '{}', 'retention:\nallow:\ntargets:\n'])
    assert.deepEqual(good(text), NOTHING_SAID);
});

test('a whole file is read', () => {
  assert.deepEqual(
    good(`
listen: 0.0.0.0:8000
proxyListen: "[::1]:9000"
agentUrl: https://holdfast.example/base
allowedHosts: [Holdfast.Example, "[::1]"]
allow:
  { hostMounts: [/srv/shared], privileged: true, pluginSources: [github, "gitea://acme/**"], requirePinned: true, plainHttp: true }
plugins: { gitea: "https://git.example/base/", github: "http://127.0.0.1:80", trackEvery: 1m, cache: 10m, sshKey: /etc/hf/key, sshKnownHosts: /etc/hf/known }
targets:
  box1: { type: docker, host: "ssh://ops@box1" }
  docker: { type: docker, socket: /run/other.sock }
retention: { days: 7, events: 50000 }
sentryDsn: https://key@o1.ingest.sentry.io/42
metrics: { perInstance: true }
`),
    {
      listen: { host: '0.0.0.0', port: 8000 },
      proxyListen: { host: '::1', port: 9000 },
      agentUrl: 'https://holdfast.example/base',
      allowedHosts: ['holdfast.example', '[::1]'],
      allow: {
        hostMounts: ['/srv/shared'],
        privileged: true,
        pluginSources: ['github', 'gitea://acme/**'],
        requirePinned: true,
        plainHttp: true,
      },
      plugins: {
        gitea: 'https://git.example/base',
        github: 'http://127.0.0.1:80',
        trackEveryMs: 60_000,
        cacheBytes: 10 * 1024 ** 2,
        sshKey: '/etc/hf/key',
        sshKnownHosts: '/etc/hf/known',
      },
      targets: new Map([
        ['box1', { type: 'docker', settings: { host: 'ssh://ops@box1' } }],
        ['docker', { type: 'docker', settings: { socket: '/run/other.sock' } }],
      ]),
      retention: { days: 7, events: 50_000 },
      sentryDsn: 'https://key@o1.ingest.sentry.io/42',
      metrics: { perInstance: true },
    },
  );
});

test('the proxy listens beside the server unless told otherwise', () => {
  assert.deepEqual(good('listen: 10.0.0.1:80').proxyListen, { host: '10.0.0.1', port: 81 });
  assert.deepEqual(good('listen: 10.0.0.1:0').proxyListen, { host: '10.0.0.1', port: 0 }, 'any free port twice');
  assert.deepEqual(good('listen: 10.0.0.1:65535').proxyListen.port, 0, 'there is no next one');
});

test('addresses are read with and without a host', () => {
  const cases: readonly (readonly [string, ReturnType<typeof parseListen>])[] = [
    ['127.0.0.1:1', { host: '127.0.0.1', port: 1 }],
    ['localhost:0', { host: 'localhost', port: 0 }],
    ['[::]:7717', { host: '::', port: 7717 }],
    [':7717', { host: '0.0.0.0', port: 7717 }],
    ['7717', { host: DEFAULT_LISTEN.host, port: 7717 }],
    ['host', null],
    ['h:65536', null],
    ['http://h:1', null],
    ['::1:7717', null],
    ['h:', null],
    ['', null],
  ];
  for (const [text, listen] of cases) assert.deepEqual(parseListen(text), listen, text);
});

test('every error has its path and line, and all are said', () => {
  const errors = errorsOf(`listen: nowhere
proxyListen: 7718
agentUrl: holdfast.example
allowedHosts: ["http://x"]
allow:
  hostMounts: [srv, /a/../b]
  priviledged: true
  pluginSources: github
targets:
  Box: { type: docker }
  box2: { host: x }
retention: { days: 0, events: many }
sentryDsn: secret-without-form
lisen: 1
plugins: { sshKey: key, sshKnownHosts: '/a"b' }
`);
  assert.deepEqual(
    errors.map(({ path, line }) => [path, line]),
    [
      ['listen', 1],
      ['proxyListen', 2],
      ['agentUrl', 3],
      ['allowedHosts[0]', 4],
      ['allow.hostMounts[0]', 6],
      ['allow.hostMounts[1]', 6],
      ['allow.priviledged', 7],
      ['allow.pluginSources', 8],
      ['targets.Box', 10],
      ['targets.box2.type', 11],
      ['retention.days', 12],
      ['retention.events', 12],
      ['sentryDsn', 13],
      ['lisen', 14],
      ['plugins.sshKey', 15],
      ['plugins.sshKnownHosts', 15],
    ],
  );
  assert.match(errors.find(({ path }) => path === 'lisen')!.message, /did you mean "listen"/);
  assert.match(errors.find(({ path }) => path === 'allow.priviledged')!.message, /did you mean "privileged"/);
  assert.ok(!JSON.stringify(errors).includes('secret-without-form'), 'no value is repeated');
});

test('a target of an unknown type is refused with the types there are', () => {
  assert.deepEqual(errorsOf('targets:\n  a: { type: dokcer }\n  b: { type: cloud }\n'), [
    { path: 'targets.a.type', line: 2, message: 'unknown target type "dokcer": did you mean "docker"?' },
    { path: 'targets.b.type', line: 3, message: 'unknown target type "cloud": there are docker, external, process' },
  ]);
});

test('a built-in name cannot be given another type', () => {
  const [error] = errorsOf('targets:\n  docker: { type: process }\n');
  assert.deepEqual([error!.path, error!.line], ['targets.docker', 2]);
  assert.match(error!.message, /built-in/);
});

test('a file that is no map, is too large, says a key twice or is no YAML is refused with its line', () => {
  assert.match(errorsOf('- a\n')[0]!.message, /expected a map/);
  assert.match(errorsOf(`# ${'x'.repeat(300 * 1024)}`)[0]!.message, /larger than 262144 bytes/);
  assert.deepEqual(
    errorsOf('listen: ":1"\nlisten: ":2"\n').map(({ path, line }) => [path, line]),
    [['listen', 2]],
  );
  assert.equal(errorsOf('listen: ":1"\nallow: [\n')[0]!.line >= 2, true);
});
