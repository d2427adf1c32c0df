/** Every bound of fetching plugins, with its unit. */

/** One plugin: what it may hold. */
export const TREE_BYTES = 64 * 1024 * 1024;
export const TREE_FILES = 10_000;
export const PATH_BYTES = 512;
export const NAME_BYTES = 200;
/** Links that one path may lead through. */
export const LINK_HOPS = 16;
export const MANIFEST_BYTES = 64 * 1024;
export const NEEDS = 50;

/** Whole time for one plugin: looking its ref up, fetching, checking. */
export const FETCH_MS = 120_000;
/** Looking a ref up. */
export const RESOLVE_MS = 30_000;
/** A server that sends less than this for so long is given up. */
export const SLOW_BYTES_PER_SECOND = 1_000;
export const SLOW_SECONDS = 10;
/** The largest single file that git may write: what a repository sends in one pack. */
export const PACK_BYTES = 512 * 1024 * 1024;
/** Refs that a server may list, and words of git that are kept. */
export const REFS_BYTES = 8 * 1024 * 1024;
export const WORDS_BYTES = 4_096;

/** Fetches at once; the rest waits its turn. */
export const FETCHES_AT_ONCE = 4;
export const FETCHES_WAITING = 10_000;
/** Trees that the cache keeps at most, whatever their size. */
export const CACHE_TREES = 500;
/** Abbreviated shas that are remembered. */
export const KNOWN_SHAS = 1_000;
