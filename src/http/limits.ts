/** Every bound of the HTTP face in one place, with its unit. `HttpLimits` are those that tests and benchmarks may set. */
import { MINUTE_MS, SECOND_MS } from '../core/limits.ts';

/** Bodies other than manifests. */
export const BODY_BYTES = 64 * 1024;
/** One heartbeat. */
export const HEARTBEAT_BYTES = 16 * 1024;
/** What an agent says of itself in a word, such as its version. */
export const AGENT_WORD_CHARS = 128;
/** Request line and headers together; more is answered with 431. */
export const HEADER_BYTES = 16 * 1024;
/** A token is much shorter; longer ones are not even hashed. */
export const TOKEN_CHARS = 512;
export const REASON_CHARS = 500;
export const ALLOWED_HOSTS = 100;

/** Pages. */
export const LIST_LIMIT = 500;
export const LIST_DEFAULT = 100;
export const EVENTS_LIMIT = 1_000;
export const EVENTS_DEFAULT = 200;
/** Last lines of a log. */
export const TAIL_LIMIT = 10_000;
export const TAIL_DEFAULT = 200;
export const REPLAY_EDITS = 1_000;
export const LABELS = 20;

/** The node server's own limits. */
export const HEADERS_TIMEOUT_MS = 10 * SECOND_MS;
export const REQUEST_TIMEOUT_MS = MINUTE_MS;
export const KEEP_ALIVE_MS = 15 * SECOND_MS;
export const CHECK_CONNECTIONS_MS = 5 * SECOND_MS;
export const CONNECTIONS = 4_096;
/** How long a closing server waits for requests in flight. */
export const CLOSE_GRACE_MS = 5 * SECOND_MS;

/** What `Retry-After` says where nothing better is known. */
export const RETRY_AFTER_S = 5;
/** EventSource's wait before it connects again. */
export const SSE_RETRY_MS = 2 * SECOND_MS;
/** A reader that took nothing for this many beats is let go. */
export const STALLED_BEATS = 20;
/** Clients whose use is remembered; beyond it the one unseen for longest is forgotten. */
export const CLIENTS = 10_000;

export interface Rate {
  /** Requests at once. */
  readonly burst: number;
  readonly perSecond: number;
}

export interface HttpLimits {
  /** A handler that has no answer by then is answered for with 503; what it began goes on. */
  readonly handlerMs: number;
  /** Heartbeat of streams; each also asks whether the token still holds. */
  readonly beatMs: number;
  /** Streams and `?wait=` requests at once. */
  readonly longRequests: number;
  readonly longRequestsPerToken: number;
  readonly perToken: Rate;
  /** Requests without a token, by address. */
  readonly perAddress: Rate;
  /** Requests with a wrong token, by address. */
  readonly failedAuth: Rate;
}

export const DEFAULT_LIMITS: HttpLimits = {
  handlerMs: 30 * SECOND_MS,
  beatMs: 15 * SECOND_MS,
  longRequests: 1_024,
  longRequestsPerToken: 256,
  perToken: { burst: 2_000, perSecond: 1_000 },
  perAddress: { burst: 400, perSecond: 200 },
  failedAuth: { burst: 20, perSecond: 1 },
};
