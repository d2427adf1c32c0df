/** Every bound of the wake proxy, with its unit. `ProxyLimits` are those that tests may set. */
export const MAX_CONNECTIONS = 10_000;
/** Request line and headers together, either way. */
export const HEADER_BYTES = 64 * 1024;
export const HEADERS_TIMEOUT_MS = 15_000;
export const KEEP_ALIVE_MS = 15_000;
/** How often connections are looked at for `HEADERS_TIMEOUT_MS`. */
export const CHECK_CONNECTIONS_MS = 5_000;
/** Requests that one connection may have open; more is nobody's browser. */
export const PIPELINED = 16;
export const CONNECT_TIMEOUT_MS = 5_000;
/** What stands in front of a young agent (docker-proxy) takes a connection and drops it at once while the agent does not listen. */
export const SETTLE_MS = 20;
export const TOKEN_CHECK_MS = 10_000;
/** A token is much shorter; longer ones are not even hashed. */
export const TOKEN_CHARS = 512;
/** Clients whose wrong tokens are counted; beyond it the one unseen for longest is forgotten. */
export const CLIENTS = 10_000;
export const RETRY_AFTER_S = 5;

export interface ProxyLimits {
  /** A connection on which nothing moves either way is closed. */
  readonly idleMs: number;
  /** How long a client may go on sending what nobody reads any more, so that the answer reaches it; and a WebSocket last half open. */
  readonly drainMs: number;
  /** How long a closing proxy waits for requests in flight. */
  readonly closeGraceMs: number;
  /** Wrong tokens by address: at once, and per second. */
  readonly wrongTokens: { readonly burst: number; readonly perSecond: number };
}

export const DEFAULT_LIMITS: ProxyLimits = {
  idleMs: 15 * 60_000,
  drainMs: 5_000,
  closeGraceMs: 5_000,
  wrongTokens: { burst: 20, perSecond: 1 },
};
