/**
 * Other roads to an engine's socket: tcp, and ssh as `docker system dial-stdio` serves it.
 */
import { randomBytes, createHash } from 'node:crypto';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { connect, createServer, type AddressInfo, type Server } from 'node:net';
import type { Duplex } from 'node:stream';

export interface Road {
  readonly host: string;
  close(): Promise<void>;
}

const socketOf = (host: string): string => new URL(host).pathname;
const portOf = (server: { address(): AddressInfo | string | null }): number => (server.address() as AddressInfo).port;

export async function tcpRoad(host: string): Promise<Road> {
  const server: Server = createServer((incoming) => join(incoming, connect(socketOf(host)))).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    host: `tcp://127.0.0.1:${portOf(server)}`,
    close: async () => void (await new Promise((closed) => server.close(closed))),
  };
}

export interface SshRoad extends Road {
  /** "SHA256:…" of the server. */
  readonly hostKey: string;
  /** Of the server, as in known_hosts: "ssh-ed25519 AAAA…". */
  readonly publicKey: string;
  /** A private key that it lets in. */
  readonly identity: string;
}

/** The part of ssh2 that is used here. It comes with dockerode, and is no dependency of ours. */
interface Ssh2 {
  readonly utils: {
    generateKeyPairSync(type: 'ed25519'): { private: string; public: string };
    parseKey(key: string): { getPublicSSH(): Buffer };
  };
  readonly Server: new (
    config: { hostKeys: string[] },
    connected: (client: SshClient) => void,
  ) => {
    listen(port: number, host: string): unknown;
    close(done: () => void): void;
    address(): AddressInfo;
    on(event: 'listening', listener: () => void): unknown;
  };
}
const SSH2 = 'ssh2';

interface SshClient {
  on(
    event: 'authentication',
    listener: (asked: { method: string; key?: { data: Buffer }; accept(): void; reject(): void }) => void,
  ): this;
  on(event: 'session', listener: (accept: () => SshSession) => void): this;
  on(event: 'error', listener: () => void): this;
  end(): void;
}
interface SshSession {
  on(event: 'exec', listener: (accept: () => Duplex, reject: () => void, info: { command: string }) => void): this;
}

export async function sshRoad(host: string): Promise<SshRoad> {
  const require = createRequire(createRequire(import.meta.url).resolve('docker-modem'));
  const ssh2 = require(SSH2) as Ssh2;
  const own = ssh2.utils.generateKeyPairSync('ed25519');
  const guest = ssh2.utils.generateKeyPairSync('ed25519');
  const wanted = ssh2.utils.parseKey(guest.public).getPublicSSH();
  const clients = new Set<SshClient>();
  const server = new ssh2.Server({ hostKeys: [own.private] }, (client) => {
    clients.add(client);
    client.on('authentication', (asked) =>
      asked.method === 'publickey' && asked.key?.data.equals(wanted) ? asked.accept() : asked.reject(),
    );
    client.on('session', (accept) => {
      accept().on('exec', (accepted, rejected, { command }) => {
        if (command !== 'docker system dial-stdio') return rejected();
        join(accepted(), connect(socketOf(host)));
      });
    });
    client.on('error', () => clients.delete(client));
  });
  const listening = new Promise<void>((ready) => server.on('listening', ready));
  server.listen(0, '127.0.0.1');
  await listening;
  const key = ssh2.utils.parseKey(own.public).getPublicSSH();
  return {
    host: `ssh://ops@127.0.0.1:${portOf(server)}`,
    hostKey: `SHA256:${createHash('sha256').update(key).digest('base64').replace(/=+$/, '')}`,
    publicKey: own.public.split(' ').slice(0, 2).join(' '),
    identity: guest.private,
    async close() {
      for (const client of clients) client.end();
      await new Promise<void>((closed) => server.close(closed));
    },
  };
}

/** A fingerprint that is nobody's. */
export const strangersKey = (): string => `SHA256:${randomBytes(32).toString('base64').replace(/=+$/, '')}`;

function join(a: Duplex, b: Duplex): void {
  a.pipe(b).pipe(a);
  for (const [one, other] of [
    [a, b],
    [b, a],
  ] as const) {
    one.on('error', () => other.destroy());
    one.on('close', () => other.destroy());
  }
}
