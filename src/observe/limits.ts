/** Every bound of what is observed, in one place, with its unit. */

/** Operations of one fleet in flight whose outcome is awaited; those of an owner before us may never be told of. */
export const OPEN_EFFECTS = 10_000;
/** Losses of one fleet that wait for their proof of being healed. */
export const OPEN_LOSSES = 10_000;
/** Instances of one fleet with metrics of their own, where the server file asks for them. */
export const INSTANCES_WITH_METRICS = 2_000;
/** Violations sent to Sentry within an hour; beyond it they are only counted and logged. */
export const SENT_PER_HOUR = 100;
export const HOUR_MS = 60 * 60_000;
/** One delivery to Sentry; events that wait for theirs; and how long an exit waits for all of them. */
export const DELIVERY_MS = 5_000;
export const WAITING_DELIVERIES = 32;
export const FLUSH_MS = 3_000;
