/** Every bound of stored secrets in one place, with its unit; how many and how large they are is in `core/limits`. */

/** Versions of one secret that are kept: what still runs with an older one is redacted by them. */
export const VERSIONS_KEPT = 3;
/** Shorter values are not taken out of texts: they are everywhere by chance (invariant 13). */
export const REDACTED_CHARS = 8;
/** Longer values are looked for as they are and as JSON writes them, not in every encoding, which would cost ten times their size. */
export const ENCODED_CHARS = 512;
/** Lines of a value with several are looked for alone from this length on. */
export const LINE_CHARS = 16;
/** A piece of a value at the cut of a text is taken out from this length on. */
export const PIECE_CHARS = 6;
/** Levels of objects inside one another that are looked through. */
export const WALK_DEPTH = 32;
/** A store that others write to meanwhile is tried so often. */
export const STORE_TRIES = 10;
