/**
 * Every bound of the core in one place, with its unit. A queue, a list or a retry without an entry here is a bug.
 */

/** Version of the decision logic: raised whenever the same history would be decided differently. */
export const LOGIC_VERSION = 3;

export const SECOND_MS = 1_000;
export const MINUTE_MS = 60 * SECOND_MS;
export const HOUR_MS = 60 * MINUTE_MS;

/** Backoff (DESIGN §6): heal at once, then 1 s × 2ⁿ up to 5 min, ±10 %. */
export const BACKOFF_BASE_MS = SECOND_MS;
export const BACKOFF_CAP_MS = 5 * MINUTE_MS;
export const BACKOFF_JITTER = 0.1;
/** A life or an attempt shorter than this is a quick failure; only quick ones back off. */
export const QUICK_FAILURE_MS = MINUTE_MS;
/** So many quick crashes in a row disprove what a rollout brought. */
export const CRASH_LOOP_STREAK = 2;
/** Running and live for this long forgives every earlier failure. */
export const FORGIVE_AFTER_MS = 10 * MINUTE_MS;
/** The n-th conflict in a row is treated as transient. */
export const CONFLICTS_BEFORE_TRANSIENT = 3;

/** Operations of a target that names no deadline or grace of its own. */
export const DEFAULT_DEADLINE_MS = MINUTE_MS;
export const DEFAULT_GRACE_MS = 10 * MINUTE_MS;

/** Blast radius (DESIGN §13). */
export const BLAST_WINDOW_MS = MINUTE_MS;
export const BLAST_FLOOR = 5;
export const BLAST_SHARE = 0.3;

/** Target breaker: first wait, doubled with each repeat, never above the cap. */
export const BREAKER_BASE_MS = 5 * SECOND_MS;
export const BREAKER_CAP_MS = 5 * MINUTE_MS;

/** Where neither heartbeat nor health says otherwise. */
export const DEFAULT_START_GRACE_MS = MINUTE_MS;
export const DEFAULT_SILENT_AFTER_MS = 90 * SECOND_MS;

/** Flaps waiting to be said, per instance; beyond it the oldest is dropped (its count is kept). */
export const MAX_PENDING_FLAPS = 16;
/** Ended lives remembered per instance: an end that is told again, late, is known by them. */
export const MAX_ENDED_LIVES = 16;
/** Last bytes of an ended agent's output that travel with its exit. */
export const EXIT_OUTPUT_BYTES = 2_048;
/** Faults of our own kept until they are counted. */
export const MAX_FAULTS = 100;
/** Characters of any message that comes from outside and enters the log. */
export const MESSAGE_CHARS = 2_000;

/** Manifest bounds. */
export const MANIFEST_BYTES = 4 * 1024 * 1024;
export const MANIFEST_INSTANCES = 50_000;
export const NAME_CHARS = 63;
/** Errors of one manifest or server file that are said; the rest is counted. */
export const MANIFEST_ERRORS = 200;
/** Levels of maps and lists inside one another. */
export const MANIFEST_DEPTH = 64;
/** Values that aliases may add by repeating what their anchor holds: a YAML bomb ends here. */
export const MANIFEST_ALIAS_VALUES = 100_000;
/** Stored secrets of one fleet, and the UTF-8 bytes of one value. */
export const MAX_SECRETS = 1_000;
export const SECRET_BYTES = 32 * 1024;
/** `<data>/holdfast.yaml`. */
export const SERVER_FILE_BYTES = 256 * 1024;

/** Where `health` says nothing else: time between two questions. */
export const DEFAULT_HEALTH_EVERY_MS = 10 * SECOND_MS;
/** Longest span that a manifest may name. */
export const MAX_SPAN_MS = 366 * 24 * HOUR_MS;
/** Operator holds in force at once, per fleet. */
export const MAX_OPERATOR_HOLDS = 100;
/** Actions and differences that a replay lists; beyond it they are only counted. */
export const REPLAY_ITEMS = 1_000;

/** Of a snapshot: about a millisecond's writing. */
export const ROWS_PER_STEP = 100;
