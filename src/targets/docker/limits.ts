/**
 * Every bound of the docker target, with its unit. What a spec may ask for is capped so that no operation can outlast the
 * deadline that the target names for it.
 */

/** One question to the engine: measured 1–3 ms each, `/info` 26 ms (it runs `runc --version`). */
export const CALL_MS = 10_000;
/** One container asked within a sweep. One that hangs costs the sweep this much, not its success (L03). */
export const SWEEP_INSPECT_MS = 2_000;
/** Creating, starting, renaming, removing: measured about 200 ms for create + start; a busy disk makes it seconds. */
export const CHANGE_MS = 60_000;
/** A whole pull. */
export const PULL_MS = 10 * 60_000;

/** The longest `stopTimeout` that a spec may ask for; the deadlines of stop, update and destroy rest on it. */
export const STOP_TIMEOUT_MAX_MS = 10 * 60_000;
export const STOP_TIMEOUT_DEFAULT_MS = 10_000;
/** What the engine may need on top of the stop time-out: SIGKILL, unmounting, the network. */
export const STOP_AIR_MS = 30_000;

export const START_DEADLINE_MS = CHANGE_MS + 2 * CALL_MS;
export const STOP_DEADLINE_MS = STOP_TIMEOUT_MAX_MS + STOP_AIR_MS + 3 * CALL_MS;
export const RESTART_DEADLINE_MS = STOP_DEADLINE_MS + START_DEADLINE_MS;
export const PROVISION_DEADLINE_MS = PULL_MS + 3 * CHANGE_MS;
export const UPDATE_DEADLINE_MS = PULL_MS + STOP_DEADLINE_MS + 3 * CHANGE_MS;
export const DESTROY_DEADLINE_MS = STOP_DEADLINE_MS + 2 * CHANGE_MS;
export const OPERATION_GRACE_MS = 30_000;
export const MAX_IN_FLIGHT = 8;

export const SWEEP_EVERY_MS = 30_000;
export const SWEEP_DEADLINE_MS = 10_000;
/** Containers asked at once by a listing. */
export const INSPECT_PARALLEL = 16;
/** Two ways of telling an age (the engine's words, our clock) may differ by this much before they contradict each other. */
export const AGE_SLACK_MS = 1_000;

/** One archive into or out of a box: measured 20 ms; 64 MiB of 10,000 files on a busy disk are a minute. */
export const BOX_CALL_MS = 120_000;
/** One plugin, the fetch of it included. */
export const PLUGIN_DEADLINE_MS = 300_000;
/** Agents cannot write there, so a look between two lives is for what others do to it; it reads every file out of the engine. */
export const PLUGIN_LOOK_EVERY_MS = 10 * 60_000;

/** How often absence is looked for while the engine removes. */
export const GONE_POLL_MS = 50;

/** A death is settled in about 100 ms, many times that on a busy machine. */
export const POLICY_TRIES = 40;
export const POLICY_PAUSE_MS = 50;

/** Waits between tries to open the event stream. */
export const REOPEN_MIN_MS = 100;
export const REOPEN_MAX_MS = 2_000;
/** One event of the engine. */
export const EVENT_BYTES = 1024 * 1024;
/** A silent TCP connection is asked whether it still stands. */
export const KEEP_ALIVE_MS = 15_000;

/** Lines asked of the engine for the last words of a life; `EXIT_OUTPUT_BYTES` of them are kept. */
export const EXIT_OUTPUT_LINES = 100;
export const EXIT_OUTPUT_MS = 2_000;
/** Lines a reader may ask for at once. */
export const TAIL_LINES = 10_000;
/** Kept of the output of a container that an update replaces. */
export const KEPT_LOG_BYTES = 256 * 1024;
export const KEPT_LOG_LINES = 2_000;
/** While following a container that is stopped: how often its next life is looked for. */
export const FOLLOW_POLL_MS = 500;
/**
 * The engine stamps a start after the process runs, so that the first lines of a life may be older than it; and 100 ms is the
 * shortest wait of its restart policy, so that this reaches into no earlier life.
 */
export const START_STAMP_MS = 90;
/**
 * The same for the last words of a life: on a busy host an agent that ends at once has spoken up to half a second before the
 * engine says that it started. Better a line of the life before than none of the one that ended.
 */
export const LAST_WORDS_STAMP_MS = 1_000;

/** Kept of the output of a command that is run in a container. */
export const EXEC_OUTPUT_BYTES = 1024 * 1024;
/** Its output has ended: how often, and how long, its exit code is asked for. One that left a child behind has none yet. */
export const EXEC_POLL_MS = 20;
export const EXEC_CODE_MS = 2_000;

export const COMMAND_ITEMS = 1_000;
export const ENV_ITEMS = 1_000;
export const PORT_ITEMS = 64;
export const VOLUME_ITEMS = 32;
/** The kernel's own bound for one argument or `NAME=value`, less the final NUL. */
export const ARGUMENT_BYTES = 128 * 1024 - 1;
/** The engine knows no shorter ones; longer ones notice nothing. */
export const HEALTHCHECK_MIN_MS = 1_000;
export const HEALTHCHECK_MAX_MS = 60 * 60_000;
/** Of what a health check wrote, its end is told. */
export const HEALTH_WORDS_CHARS = 300;
/** The engine refuses less. */
export const MEMORY_MIN_BYTES = 6 * 1024 * 1024;

/** Names of images whose meaning is remembered for an apply; the oldest goes. */
export const SHARED_IMAGES = 1_000;

/** Events of one instance that wait for the end of a verb; the look after it covers what is beyond. */
export const WAITING_EVENTS = 100;
/** Containers removed by us whose late events are passed over. */
export const REMOVED_REMEMBERED = 1_000;
