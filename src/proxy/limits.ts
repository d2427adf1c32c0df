/** Every bound of the wake proxy, with its unit. */
export const MAX_CONNECTIONS = 10_000;
export const HEADER_BYTES = 64 * 1024;
export const HEADERS_TIMEOUT_MS = 15_000;
/** A connection on which nothing moves either way is closed. */
export const IDLE_MS = 15 * 60_000;
/** An agent that runs but does not listen yet is tried again this often, for this long. */
export const CONNECT_RETRY_MS = 50;
export const CONNECT_FOR_MS = 30_000;
export const CONNECT_TIMEOUT_MS = 5_000;
export const CLOSE_GRACE_MS = 5_000;
