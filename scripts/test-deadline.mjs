/**
 * Loaded into every test file's process: ends one whose tests are done but which something still holds open, and one that
 * takes too long altogether. Both are failures that name what was open, not silent exits: a leaked handle is a bug.
 */
import { after } from 'node:test';

const FILE_DEADLINE_MS = 15 * 60_000;
/** Long enough for `after` hooks that stop servers; they run in this time too. */
const LINGER_MS = 60_000;

if (process.env.NODE_TEST_CONTEXT !== undefined) {
  end(FILE_DEADLINE_MS, `this file was not done after ${FILE_DEADLINE_MS / 60_000} minutes`);
  after(() => end(LINGER_MS, `the tests were done, but the process still ran ${LINGER_MS / 1_000} s later`));
}

/** Unreferenced: a process with nothing else to do ends by itself, as it should. */
function end(delayMs, sentence) {
  setTimeout(() => {
    console.error(`${process.argv[1]}: ${sentence}; open: ${process.getActiveResourcesInfo().join(', ') || 'nothing'}`);
    process.exit(1);
  }, delayMs).unref();
}
