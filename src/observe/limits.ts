/** Every bound of what is observed, in one place, with its unit. */

/** Operations of one fleet in flight whose outcome is awaited; those of an owner before us may never be told of. */
export const OPEN_EFFECTS = 10_000;
/** Losses of one fleet that wait for their proof of being healed. */
export const OPEN_LOSSES = 10_000;
/** Instances of one fleet with metrics of their own, where the server file asks for them. */
export const INSTANCES_WITH_METRICS = 2_000;
