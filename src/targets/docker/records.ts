/**
 * What must be remembered beside the engine, one small file per uid: which volumes its data is in, since an engine that lost
 * them cannot say that they ever were (L39, L72); which image its tag meant, so that another try of one declaration runs the
 * same (DESIGN §12); and the last output of a container that an update replaced. And one file for what names of images meant to
 * all instances of one apply.
 *
 * The record is a safeguard, not the truth: without it, what the engine says holds.
 */
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { wordsOf } from '../../core/error-words.ts';
import { engineFault } from './failure.ts';
import { SHARED_IMAGES } from './limits.ts';

export interface DockerRecord {
  readonly v: 1;
  /** Names of volumes that were there and hold its data. */
  readonly volumes: readonly string[];
  /** What the declared image was, for one infra hash. */
  readonly image: { readonly declared: string; readonly infra: string; readonly id: string } | null;
}

export interface Records {
  get(uid: string): DockerRecord;
  put(uid: string, change: Partial<Omit<DockerRecord, 'v'>>): void;
  remove(uid: string): void;
  /** What a name of an image means to those who share that key; null: nobody has looked yet. */
  sharedImage(key: string): string | null;
  shareImage(key: string, id: string): void;
  keepLog(uid: string, output: Uint8Array): void;
  keptLog(uid: string): Uint8Array | null;
}

const NOTHING: DockerRecord = { v: 1, volumes: [], image: null };

export function openRecords(dataDir: string, target: string): Records {
  const folder = join(dataDir, 'docker', target);
  const fileOf = (uid: string): string => join(folder, `${encodeURIComponent(uid)}.json`);
  const logOf = (uid: string): string => join(folder, `${encodeURIComponent(uid)}.previous.log`);

  const read = (uid: string): DockerRecord => ({ ...NOTHING, ...(readJson(fileOf(uid)) as Partial<DockerRecord>) });
  const imagesFile = join(folder, 'images.json');
  const readImages = (): { readonly [key: string]: string } => readJson(imagesFile) as { [key: string]: string };

  return {
    get: read,
    put(uid, change) {
      const old = read(uid);
      const record = { ...old, ...change };
      const text = JSON.stringify(record);
      if (text === JSON.stringify(old)) return;
      write(fileOf(uid), text);
    },
    remove(uid) {
      for (const file of [fileOf(uid), logOf(uid)]) rmSync(file, { force: true });
    },
    sharedImage: (key) => readImages()[key] ?? null,
    shareImage(key, id) {
      const others = Object.entries(readImages()).filter(([one]) => one !== key);
      write(imagesFile, JSON.stringify(Object.fromEntries([...others.slice(1 - SHARED_IMAGES), [key, id]])));
    },
    keepLog: (uid, output) => write(logOf(uid), output),
    keptLog(uid) {
      try {
        return readFileSync(logOf(uid));
      } catch (error) {
        if (isMissing(error)) return null;
        throw error;
      }
    },
  };

  function write(file: string, content: string | Uint8Array): void {
    try {
      mkdirSync(folder, { recursive: true, mode: 0o700 });
      writeFileSync(`${file}.new`, content, { mode: 0o600 });
      renameSync(`${file}.new`, file);
    } catch (error) {
      throw engineFault('record-unwritable', `cannot write ${file}: ${wordsOf(error)}`, error);
    }
  }
}

/** Empty where there is none. */
function readJson(file: string): object {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as object;
  } catch (error) {
    if (isMissing(error)) return {};
    // Half of a safeguard must not look like none: whoever damaged the file has to see it.
    throw engineFault('record-unreadable', `cannot read ${file}: ${wordsOf(error)}; repair or remove it`, error);
  }
}

const isMissing = (error: unknown): boolean => error instanceof Error && 'code' in error && error.code === 'ENOENT';
