/**
 * Which engine a named target means: its settings in `holdfast.yaml`, else `DOCKER_HOST` and its companions, else the socket
 * of this host.
 *
 *   targets: { box1: { type: docker, host: "ssh://ops@box1", hostKey: "SHA256:…" } }
 *   targets: { box2: { type: docker, host: "tcp://box2:2376", certs: /etc/holdfast/box2 } }   # ca.pem, cert.pem, key.pem
 *
 * The server of an ssh connection is always checked, by `hostKey` or by `known_hosts`: whoever answers gets our secrets.
 */
import type { DockerOptions } from 'dockerode';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as z from 'zod';
import { wordsOf } from '../../core/error-words.ts';
import { formatPath } from '../../core/manifest/problems.ts';
import { checkShape } from '../../core/manifest/shape.ts';
import type { JsonObject } from '../../core/model.ts';
import { refused } from './failure.ts';
import { hostKeyCheck } from './ssh-hosts.ts';

export interface EngineAddress {
  /** As people write it. */
  readonly text: string;
  /** The host's name as we reach it. */
  readonly host: string;
  readonly options: DockerOptions;
}

type Environment = { readonly [name: string]: string | undefined };

const DEFAULT_SOCKET = '/var/run/docker.sock';
const HOST_WORDS = 'expected "unix:///path", "tcp://host:port" or "ssh://user@host"';

const settingsSchema = z.strictObject({
  type: z.string().optional(),
  host: z
    .string()
    .regex(/^(unix:\/\/\/\S+|tcp:\/\/[^\s/@]+:\d{1,5}|ssh:\/\/(?:[^\s/@:]+@)?[^\s/@:]+(?::\d{1,5})?)\/?$/, HOST_WORDS)
    .optional(),
  certs: z
    .string()
    .startsWith('/', 'expected the absolute path of a folder with ca.pem, cert.pem and key.pem')
    .optional(),
  hostKey: z
    .string()
    .regex(/^SHA256:[A-Za-z0-9+/]{43}=?$/, 'expected a fingerprint as ssh-keygen -l shows it: "SHA256:…"')
    .optional(),
  identityFile: z.string().startsWith('/', 'expected the absolute path of a private key').optional(),
});

/** Throws a terminal `TargetError` that names everything wrong. */
export function engineAddress(settings: JsonObject, name: string, env: Environment = process.env): EngineAddress {
  const problems: string[] = [];
  const given = checkShape(settingsSchema, settings, 'now', (path, message) =>
    problems.push(`targets.${name}.${formatPath(path)}: ${message}`),
  );
  if (given === null) throw refused('bad-settings', problems.join('; '));
  const text = given.host ?? fromEnvironment(env);
  if (text.startsWith('unix://')) return unix(text);
  const url = new URL(text);
  if (url.protocol === 'ssh:') return ssh(text, url, given, env, name);
  const certs = given.certs ?? (given.host === undefined && secured(env, url) ? env['DOCKER_CERT_PATH'] : undefined);
  return tcp(text, url, certs, name);
}

function fromEnvironment(env: Environment): string {
  const host = env['DOCKER_HOST'] ?? '';
  if (host === '') return `unix://${DEFAULT_SOCKET}`;
  if (settingsSchema.shape.host.safeParse(host).success) return host;
  throw refused('bad-settings', `DOCKER_HOST is "${host}"; ${HOST_WORDS}`);
}

// The client fills in what we leave out from its own reading of the environment, so nothing is left out.
const NOTHING: DockerOptions = {
  host: undefined,
  port: undefined,
  username: undefined,
  ca: undefined,
  cert: undefined,
  key: undefined,
  timeout: undefined,
};

function unix(text: string): EngineAddress {
  return {
    text,
    host: '127.0.0.1',
    options: { ...NOTHING, socketPath: text.slice('unix://'.length), protocol: 'http' },
  };
}

const secured = (env: Environment, url: URL): boolean => (env['DOCKER_TLS_VERIFY'] ?? '') !== '' || url.port === '2376';

function tcp(text: string, url: URL, certs: string | undefined, name: string): EngineAddress {
  const options: DockerOptions = { ...NOTHING, host: url.hostname, port: url.port, protocol: 'http' };
  if (certs === undefined) return { text, host: url.hostname, options };
  const read = (file: string): Buffer => {
    try {
      return readFileSync(join(certs, file));
    } catch (error) {
      throw refused(
        'bad-settings',
        `target "${name}" needs ${join(certs, file)} to speak TLS: ${wordsOf(error)}`,
        error,
      );
    }
  };
  return {
    text,
    host: url.hostname,
    options: { ...options, protocol: 'https', ca: read('ca.pem'), cert: read('cert.pem'), key: read('key.pem') },
  };
}

function ssh(
  text: string,
  url: URL,
  given: z.infer<typeof settingsSchema>,
  env: Environment,
  name: string,
): EngineAddress {
  const port = url.port === '' ? 22 : Number(url.port);
  const agent = env['SSH_AUTH_SOCK'];
  const { identityFile } = given;
  let privateKey: Buffer | undefined;
  try {
    if (identityFile !== undefined) privateKey = readFileSync(identityFile);
  } catch (error) {
    throw refused('bad-settings', `target "${name}": its identityFile cannot be read: ${wordsOf(error)}`, error);
  }
  const hostVerifier = hostKeyCheck(url.hostname, port, given.hostKey ?? null, env['HOME'] ?? '/root');
  return {
    text,
    host: url.hostname,
    options: {
      ...NOTHING,
      protocol: 'ssh',
      host: url.hostname,
      port,
      username: url.username === '' ? (env['USER'] ?? 'root') : decodeURIComponent(url.username),
      sshOptions: {
        hostVerifier,
        ...(agent !== undefined && { agent }),
        ...(privateKey !== undefined && { privateKey }),
      },
    },
  };
}
