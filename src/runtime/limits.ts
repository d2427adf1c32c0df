/** Every bound of the runtime in one place, with its unit. */

/** The loop ticks at least this often, even when nothing happens. */
export const MAX_REST_MS = 10_000;
/** Fact sources waiting for the next tick. */
export const INBOX_FACTS = 100_000;
/** Measured: pages of 500–1,000 read fastest. */
export const READ_PAGE_EVENTS = 1_000;
/** Events read at most for one page of those that concern an instance. */
export const EVENTS_SEARCHED = 50_000;
/** Items per list in the answer to a replay, unless fewer are asked for. */
export const REPLAY_ITEMS = 1_000;
/** Replays at once, in one process: each holds a state of its whole fleet. */
export const REPLAYS_AT_ONCE = 2;
/** States of the past for `why --at` and an export, made at once in one process; and how many askers may wait for a place. */
export const PAST_STATES_AT_ONCE = 2;
export const PAST_STATES_WAITING = 32;
/** Dry runs that look at the targets first, at once in one process: each lists all that they hold. */
export const LOOKS_AT_ONCE = 2;
export const LOOKS_WAITING = 16;
/** Lines about the decisions of one tick in Holdfast's own log; how many more there were is one line. */
export const DECISION_LINES_PER_TICK = 1_000;
/** Longest that a replay may take. */
export const REPLAY_MS = 10 * 60_000;
/** How long looking at all targets of a fleet may take, for a dry run; each has a deadline of its own. */
export const OBSERVE_MS = 2 * 60_000;
/** Long reading gives everybody else a turn after so long, and tells how far it is so often. */
export const SLICE_MS = 10;
export const PROGRESS_EVERY_MS = 250;
export const SNAPSHOT_EVERY_EVENTS = 20_000;
/** A snapshot that failed is tried again this many events later. */
export const SNAPSHOT_RETRY_EVENTS = 1_000;
/**
 * A tick that only follows another's decision waits this long: the effects come first. Healing a killed process took 1–7 ms
 * longer without it.
 */
export const FOLLOW_UP_MS = 5;
/** Ticks that may follow each other at once: two or three reach rest, so many never do. */
export const TICKS_AT_ONCE = 100;
/** Waits between tries when the store fails. */
export const RETRY_MIN_MS = 100;
export const RETRY_MAX_MS = 5_000;

/** A fleet's lease, and how often it is renewed. */
export const LEASE_MS = 15_000;
export const RENEW_EVERY_MS = 5_000;
/** An owner that could not renew stops acting this long before its lease ends. */
export const LEASE_MARGIN_MS = 2_000;
/** Shutdown: how long effects that were called off may take to end before agents are stopped over their heads. */
export const CALLED_OFF_MS = 10_000;
/** Watchers of a fleet that has lost its owner look this often whether it has one again. */
export const OWNER_AGAIN_MS = 1_000;

/** Agents stopped at once by a shutdown with `--stop-agents`. */
export const STOP_AGENTS_PARALLEL = 32;

/**
 * This many listings in a row that failed, and at least so long after the first of them: the target is stale. A listing that
 * failed is tried again this soon, so that it takes seconds also where listings are far apart.
 */
export const STALE_AFTER_SWEEPS = 3;
export const STALE_FLOOR_MS = 10_000;
export const FAILED_SWEEP_AGAIN_MS = 3_000;
/** Looks asked out of turn are not taken closer together than this; but for the second look of a proof of absence. */
export const LOOK_AGAIN_MS = 200;

/** Instances that no tick looks at are checked this often, so many at a time, and all of them in so many times (an hour). */
export const PATROL_EVERY_MS = 30_000;
export const PATROL_AT_LEAST = 64;
export const PATROL_ROUNDS = 120;
/** A violation that is found again within this long is the same episode; and so many episodes are kept open per fleet. */
export const EPISODE_QUIET_MS = 10 * 60_000;
export const OPEN_EPISODES = 1_000;

/** At a start, the log names so many of whom rows concern that cannot be read. */
export const QUARANTINED_SAID = 50;

/** Readiness: the loop counts as wedged after this long without a successful tick. */
export const WEDGED_AFTER_MS = 60_000;
/** Readiness: what it asks of the store. */
export const READY_ASK_MS = 2_000;
/** The event loop is felt this often, and how late it was is kept this long. */
export const PULSE_EVERY_MS = 250;
export const PULSE_KEPT_MS = 60_000;
/** Readiness: one that stood still this long, within what is kept, did not do its work. */
export const BLOCKED_MS = 10_000;
/** Longest wait that a client may ask for. */
export const MAX_WAIT_MS = 10 * 60_000;
/** Events kept for slow watchers before they must read from the store. */
export const WATCH_PAGE_EVENTS = 500;
/** Asking a target for its volumes, or removing one. */
export const VOLUMES_MS = 30_000;
/** The same, on the way of an apply: who declares does not wait for an engine that is away. */
export const RETAINED_MS = 3_000;
/** Measuring what one resource uses: an engine takes one or two seconds for it. */
export const STATS_MS = 10_000;
/** How long a command that is run beside an agent may take, unless told; never longer than `MAX_WAIT_MS`. */
export const EXEC_MS = 60_000;
/** Words of such a command, and characters of them all. */
export const EXEC_WORDS = 256;
export const EXEC_CHARS = 32 * 1024;
/** Such commands of one fleet at the same time: each keeps up to a megabyte of output. */
export const EXECS_AT_ONCE = 16;
/** The look that is taken after an operation failed. */
export const INSPECT_MS = 5_000;
/** Boxes are read back this many at once per fleet, each within that time; and who is due is looked for this often, ms. */
export const PLUGIN_LOOKS_AT_ONCE = 8;
export const PLUGIN_LOOK_MS = 60_000;
export const PLUGIN_WATCH_EVERY_MS = 1_000;
/** Looking up what a tracked ref is now. */
export const PLUGIN_RESOLVE_MS = 60_000;
/** A health probe's own deadline. */
export const PROBE_TIMEOUT_MS = 5_000;
/** Health probes of one fleet at the same time. All that hang at once delay the next ones by `PROBE_TIMEOUT_MS`. */
export const PROBES_AT_ONCE = 128;

/** Wake proxy: requests that wait for instances to be ready, in all and for each; and how long each waits. */
export const WAKE_QUEUE = 2_000;
export const WAKE_QUEUE_EACH = 200;
export const WAKE_WAIT_MS = 60_000;
/** A pause this long after the last request ends the work. */
export const WORK_LINGER_MS = 1_000;

/** An agent is degraded from this error rate on, and well again below that one. */
export const DEGRADED_ERROR_RATE = 0.5;
export const RECOVERED_ERROR_RATE = 0.1;
/** Where no heartbeat is declared, an agent that beats is asked to do so this often. */
export const DEFAULT_BEAT_EVERY_MS = 30_000;
/** Two heartbeats of one agent closer together than this are counted, ms: a storm is slowed down. */
export const HASTY_MS = 100;
/** Heartbeats of one fleet per second; with more agents than that allows, each is asked to beat more rarely. */
export const BEATS_PER_SECOND = 1_000;
/** Last-seen times: one of these files is written at a time, at most this often. */
export const LAST_SEEN_FILES = 16;
export const LAST_SEEN_EVERY_MS = 600;
/** Of one that nobody knows any more, the time is kept this long. */
export const LAST_SEEN_KEPT_MS = 60 * 60_000;
