/**
 * `npm test [-- FILE | FOLDER | GLOB | node:test flags …]`: node's own runner with our limits.
 *
 * Nothing hangs for ever, at three levels: a test has two minutes unless it says otherwise (`timeout`), a file has the limits
 * of test-deadline.mjs, and the whole run has RUN_DEADLINE_MS.
 */
import { spawn } from 'node:child_process';
import { statSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const OLDEST_NODE = 24;
const TEST_DEADLINE_MS = 2 * 60_000;
const RUN_DEADLINE_MS = 45 * 60_000;
const SUMMARY_GRACE_MS = 10_000;

if (Number(process.versions.node.split('.')[0]) < OLDEST_NODE) {
  // npm skips `pretest` under `ignore-scripts=true`, and then nothing has brought the pinned Node.
  console.error(
    `The tests need Node ${OLDEST_NODE}; this is ${process.versions.node}. Run: node scripts/bootstrap.mjs`,
  );
  process.exit(1);
}

const scripts = dirname(fileURLToPath(import.meta.url));
const given = process.argv.slice(2);
const flags = given.filter((arg) => arg.startsWith('-'));
const paths = given
  .filter((arg) => !arg.startsWith('-'))
  .map((path) => (isFolder(path) ? `${path}/**/*.test.ts` : path));

const runner = spawn(
  process.execPath,
  [
    '--disable-warning=ExperimentalWarning',
    `--import=${pathToFileURL(join(scripts, 'test-deadline.mjs')).href}`,
    '--test',
    '--test-reporter=spec',
    `--test-timeout=${TEST_DEADLINE_MS}`,
    // Node's default leaves one core idle; on the two cores of a small machine that is half of them.
    `--test-concurrency=${Math.max(2, availableParallelism())}`,
    ...flags,
    ...(paths.length > 0 ? paths : ['test/**/*.test.ts']),
  ],
  { cwd: dirname(scripts), stdio: 'inherit' },
);

const deadline = setTimeout(() => {
  console.error(`The tests were not done after ${RUN_DEADLINE_MS / 60_000} minutes; stopping them.`);
  stop();
}, RUN_DEADLINE_MS);
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, stop);

runner.on('error', (error) => {
  console.error(`The test runner could not be started: ${error.message}`);
  process.exit(1);
});
runner.on('exit', (code) => {
  clearTimeout(deadline);
  process.exit(code ?? 1);
});

/** SIGINT makes node's runner name what was still running and print its summary. */
function stop() {
  runner.kill('SIGINT');
  setTimeout(() => runner.kill('SIGKILL'), SUMMARY_GRACE_MS).unref();
}

function isFolder(path) {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
}
