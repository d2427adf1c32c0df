/**
 * Every bound of the process target, with its unit. What a spec may ask for is capped so that no operation can outlast
 * the deadline that the target names for it.
 */

/** The longest `stopTimeout` that a spec may ask for; the deadlines of stop, update and destroy rest on it. */
export const STOP_TIMEOUT_MAX_MS = 10 * 60_000;
export const STOP_TIMEOUT_DEFAULT_MS = 30_000;
/** After SIGKILL only the kernel can keep a process alive (uninterruptible I/O); this long is waited for it. */
export const KILL_WAIT_MS = 10_000;
export const START_DEADLINE_MS = 30_000;
/** Longest possible stop (grace, SIGKILL, leftovers) and some air. */
export const STOP_DEADLINE_MS = STOP_TIMEOUT_MAX_MS + 2 * KILL_WAIT_MS + 10_000;
export const OPERATION_GRACE_MS = 10_000;
export const MAX_IN_FLIGHT = 32;
export const SWEEP_EVERY_MS = 1_000;
export const SWEEP_DEADLINE_MS = 10_000;

/** How often processes that are not our children are asked whether they live (`kill 0`, about 1 µs each). */
export const ADOPTED_POLL_MS = 100;

/** For so long a process once seen not to be ours is not looked at again. */
export const FOREIGN_TRUST_MS = 30_000;
/** Younger ones are: between fork and exec a process still shows the environment of its parent. */
export const YOUNG_MS = 5_000;
/** `/proc/<pid>/environ` waits for a lock of that process, which may hang. */
export const ENVIRON_READ_MS = 5_000;
export const ENVIRON_PARALLEL = 16;
export const PS_DEADLINE_MS = 5_000;
export const PS_OUTPUT_BYTES = 64 * 1024 * 1024;

/** A life's log is cut down to its newest `LOG_KEEP_BYTES` when it is found larger than `LOG_MAX_BYTES`. */
export const LOG_MAX_BYTES = 32 * 1024 * 1024;
export const LOG_KEEP_BYTES = 1024 * 1024;
export const LOG_CHECK_EVERY_MS = 10_000;
/** A tail never reaches further back, however many lines are asked for. */
export const TAIL_MAX_BYTES = 8 * 1024 * 1024;
export const LOG_CHUNK_BYTES = 64 * 1024;
export const LOG_FOLLOW_POLL_MS = 100;

/** Putting one plugin where the agent finds it, the fetch of it included. */
export const PLUGIN_DEADLINE_MS = 150_000;
export const PLUGIN_LOOK_EVERY_MS = 30_000;
/** Files of plugins whose digests are remembered, about 200 bytes each. */
export const PLUGIN_FILES_REMEMBERED = 200_000;

/** The kernel's own bound for one argument or `NAME=value` (MAX_ARG_STRLEN), less the final NUL. */
export const ARGUMENT_BYTES = 128 * 1024 - 1;
export const COMMAND_ITEMS = 1_000;
export const ENV_ITEMS = 1_000;
export const PORT_ITEMS = 64;
