/**
 * The log file of the server: one line of JSON each, machine-readable; what people need to know is on the screen.
 *
 *  1. A log that cannot be written (a full disk) ends nothing and holds nobody up: it is said once on stderr, lines wait within
 *     a bound, what is beyond it is lost, and counted in the first line after it.
 *  2. A file that cannot be opened is one sentence before anything is started.
 */
import { once } from 'node:events';
import { pino } from 'pino';
import { wordsOf } from '../core/error-words.ts';
import { StartError } from '../runtime/compose.ts';
import type { Log } from '../runtime/log.ts';
import { LOG_RETRY_MS, LOG_WAITING_BYTES } from './limits.ts';

/** Its `level` may be set at any time. `say` writes one line where an operator sees it. Rejects with `StartError`. */
export async function openServerLog(
  file: string,
  level: string,
  say: (line: string) => void,
): Promise<Log & { level: string }> {
  // `minLength` 1 writes each line at once, as 0 does, and lets `flush` try again what could not be written.
  const destination = pino.destination({
    dest: file,
    sync: false,
    mkdir: true,
    minLength: 1,
    maxLength: LOG_WAITING_BYTES,
  });
  let failing = false;
  let lost = 0;
  // Called as the process ends, when nobody is left to catch: what cannot be written then is lost.
  const flush = destination.flushSync.bind(destination);
  destination.flushSync = () => {
    try {
      flush();
    } catch (error) {
      if (!failing) say(`the end of the log file ${file} could not be written: ${wordsOf(error)}`);
    }
  };
  try {
    await once(destination, 'ready');
  } catch (error) {
    failing = true;
    throw new StartError(`the log file ${file} cannot be opened: ${wordsOf(error)}`);
  }
  const log = pino({ level, base: null, timestamp: pino.stdTimeFunctions.isoTime }, destination);
  destination.on('error', (error) => {
    if (!failing) say(`the log file ${file} cannot be written, and Holdfast goes on without it: ${wordsOf(error)}`);
    failing = true;
    setTimeout(() => destination.flush(), LOG_RETRY_MS).unref();
  });
  destination.on('drop', () => {
    lost += 1;
  });
  destination.on('drain', () => {
    failing = false;
    if (lost === 0) return;
    const lines = lost;
    lost = 0;
    log.warn({ lines }, 'lines of this log were lost while it could not be written');
  });
  return log;
}
