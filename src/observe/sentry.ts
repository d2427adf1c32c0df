/**
 * Violations of invariants, told to Sentry: one event for each episode (L50).
 *
 *  1. What is sent is put together here and nothing is added: no environment, no host name, no stack, no breadcrumbs.
 *  2. Sentry being slow or down costs a line in the log and nothing else; an exit waits for it no longer than `FLUSH_MS`.
 *  3. At most `SENT_PER_HOUR`; Sentry groups them by invariant and fleet.
 *
 * `@sentry/core` is loaded only where a DSN is declared. It is Sentry's own client without the instrumentation of `@sentry/node`,
 * of which nothing is wanted here.
 */
import type * as Core from '@sentry/core';
import type { ErrorEvent, Event } from '@sentry/core';
import type * as Server from '@sentry/core/server';
import { wordsOf } from '../core/error-words.ts';
import { INVARIANTS, type Violation } from '../core/invariants.ts';
import { DELIVERY_MS, FLUSH_MS, HOUR_MS, SENT_PER_HOUR, WAITING_DELIVERIES } from './limits.ts';

export interface SentryWorld {
  readonly dsn: string;
  readonly version: string;
  /** Monotonic, ms. */
  mono(): number;
  /** Something could not be sent. */
  warn(message: string): void;
}

export interface Sentry {
  violated(fleet: string, violation: Violation): void;
  /** Ends when all is sent, or in time. Never rejects. */
  close(): Promise<void>;
}

/** Rejects with a sentence where the package is not installed, or the DSN is none. */
export async function openSentry(world: SentryWorld): Promise<Sentry> {
  const { createTransport, Scope, ServerRuntimeClient } = await load();
  const client = new ServerRuntimeClient({
    dsn: world.dsn,
    release: `holdfast@${world.version}`,
    environment: 'production',
    integrations: [],
    stackParser: () => [],
    sendClientReports: false,
    traceLifecycle: 'static',
    beforeSend: onlyOurs,
    transport: (options) =>
      createTransport({ ...options, bufferSize: WAITING_DELIVERIES }, async ({ body }) =>
        deliver(world, options, body),
      ),
  });
  if (client.getDsn() === undefined)
    throw new Error('sentryDsn is no DSN that Sentry accepts: "https://key@host/project"');
  const sentAt: number[] = [];
  return {
    violated(fleet, violation) {
      const now = world.mono();
      while (sentAt[0] !== undefined && now - sentAt[0] > HOUR_MS) sentAt.shift();
      if (sentAt.length >= SENT_PER_HOUR) return;
      sentAt.push(now);
      // A scope of its own: what others of this process put into the global one is none of Sentry's business.
      client.captureEvent(eventOf(fleet, violation), undefined, new Scope());
    },
    async close() {
      if (!(await Promise.resolve(client.close(FLUSH_MS)).catch(() => false)))
        world.warn(`not everything could be told to Sentry within ${FLUSH_MS} ms`);
    },
  };
}

async function load(): Promise<
  Pick<typeof Core, 'createTransport' | 'Scope'> & Pick<typeof Server, 'ServerRuntimeClient'>
> {
  try {
    const { createTransport, Scope } = await import('@sentry/core');
    const { ServerRuntimeClient } = await import('@sentry/core/server');
    return { createTransport, Scope, ServerRuntimeClient };
  } catch (error) {
    throw new Error(
      `sentryDsn is declared, and the optional package @sentry/core cannot be loaded; install it, or remove sentryDsn: ${wordsOf(error)}`,
      { cause: error },
    );
  }
}

function eventOf(fleet: string, { invariant, message, instance, uid, recovery }: Violation): Event {
  const sentence = INVARIANTS.find(({ number }) => number === invariant)?.sentence ?? '';
  const whose = instance === undefined ? '' : `, instance ${instance}`;
  return {
    message: `invariant ${invariant} does not hold in fleet ${fleet}${whose}: ${message}`,
    level: 'error',
    logger: 'holdfast.invariants',
    fingerprint: ['holdfast-invariant', String(invariant), fleet],
    tags: {
      invariant: String(invariant),
      fleet,
      ...(instance !== undefined && { instance }),
      recovery: recovery ?? 'none',
    },
    extra: { sentence, uid: uid ?? null },
  };
}

/** Last door: whatever the client has added of its own is taken off (1). */
function onlyOurs(event: ErrorEvent): ErrorEvent {
  const { event_id, timestamp, release, message, level, logger, fingerprint, tags, extra } = event;
  return {
    type: undefined,
    platform: 'node',
    ...(event_id !== undefined && { event_id }),
    ...(timestamp !== undefined && { timestamp }),
    ...(release !== undefined && { release }),
    ...(message !== undefined && { message }),
    ...(level !== undefined && { level }),
    ...(logger !== undefined && { logger }),
    ...(fingerprint !== undefined && { fingerprint }),
    ...(tags !== undefined && { tags }),
    ...(extra !== undefined && { extra }),
  };
}

interface Destination {
  readonly url: string;
  readonly headers?: { readonly [name: string]: string };
}

/** Answers what the client heeds: how it went, and how long to keep quiet. The DSN's key is in the URL, and in no message. */
async function deliver(
  world: SentryWorld,
  { url, headers = {} }: Destination,
  body: string | Uint8Array,
): Promise<{ statusCode: number; headers: { 'retry-after': string | null; 'x-sentry-rate-limits': string | null } }> {
  try {
    const answer = await fetch(url, {
      method: 'POST',
      headers: { ...headers, 'content-type': 'application/x-sentry-envelope' },
      body: typeof body === 'string' ? body : Buffer.from(body),
      signal: AbortSignal.timeout(DELIVERY_MS),
      redirect: 'error',
    });
    await answer.arrayBuffer();
    if (!answer.ok) world.warn(`Sentry answered ${answer.status}; the event is lost`);
    return {
      statusCode: answer.status,
      headers: {
        'retry-after': answer.headers.get('retry-after'),
        'x-sentry-rate-limits': answer.headers.get('x-sentry-rate-limits'),
      },
    };
  } catch (error) {
    world.warn(`Sentry could not be reached; the event is lost: ${wordsOf(error)}`);
    throw error;
  }
}
