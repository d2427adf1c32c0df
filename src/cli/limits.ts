/** Every bound of the CLI, with its unit. */

/** One ordinary call, from connecting to the last byte of the answer. */
export const CALL_DEADLINE_MS = 30_000;
/** Applying freezes, checks and resolves a whole manifest; image tags are looked up on the way. */
export const APPLY_DEADLINE_MS = 120_000;
/** A dry run that looks at the world first waits for its targets. */
export const OBSERVE_DEADLINE_MS = 150_000;
/** What a call that waits on the server may take beyond the time that it asked the server to wait. */
export const WAIT_MARGIN_MS = 15_000;
/** Longest wait that `--timeout` may name. */
export const WAIT_MAX_MS = 24 * 60 * 60_000;
/** How long `--wait` waits unless told. */
export const WAIT_DEFAULT_MS = 5 * 60_000;

/** How long a command run beside an agent may take unless told. */
export const EXEC_DEFAULT_MS = 60_000;

/** Longest answer that is read whole. */
export const ANSWER_BYTES = 256 * 1024 * 1024;
/** What is read of an answer that is a refusal. */
export const PROBLEM_BYTES = 1024 * 1024;
/** One event of a watch. */
export const FRAME_CHARS = 8 * 1024 * 1024;

/** A watch that stays this quiet (not even a keep-alive) is taken for dead and opened again. */
export const QUIET_MS = 90_000;
/** Between two attempts to open a watch again: doubled from the first to the last. */
export const REOPEN_FIRST_MS = 250;
export const REOPEN_LAST_MS = 5_000;

/** Rows asked for at once when a list is read page by page. */
export const PAGE_ROWS = 500;
/** Pages of one list: more is a cursor that goes round in circles. */
export const PAGES = 10_000;
/** Events asked for at once: what the server gives at most. */
export const EVENTS_PAGE = 1_000;
/** Events that one command reads at most; past it, it says that there is more. */
export const EVENTS_READ = 200_000;
/** Last events that `events` shows unless told. */
export const EVENTS_SHOWN = 50;

/** Instances whose state is asked for by name; beyond it the list is cheaper. */
export const LOOK_BY_NAME = 40;
/** Calls in flight at once. */
export const CALLS_AT_ONCE = 8;
/** Without any event, the instances waited for are looked at this often. */
export const LOOK_EVERY_MS = 2_000;
/** Events arriving together are answered by one look. */
export const LOOK_GATHER_MS = 150;
/** Where nothing declares liveness, "running" counts once it has lasted this long: a crash at start takes less. */
export const PROVED_AFTER_MS = 2_000;

/** Names in one bulk command: a body has 64 KiB, a name 63 characters. */
export const NAMES_AT_ONCE = 500;

/** Folders looked at upwards for `.holdfast/`. */
export const FOLDERS_UP = 64;
/** Rows of a live table; the rest is counted. */
export const LIVE_ROWS = 20;

/** Lines of the server's log that wait for a disk that takes none. */
export const LOG_WAITING_BYTES = 1024 * 1024;
export const LOG_RETRY_MS = 1_000;
