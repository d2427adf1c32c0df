/**
 * The record of a process: the resource itself, as far as this target is concerned. While it is there the resource
 * exists, whether or not a process runs; without it, it is `missing`.
 *
 * Promises:
 *  - A write is atomic (rename) and private (0600); it holds no environment and nothing that an agent printed, so no secret.
 *  - A record that cannot be read blocks nobody: it comes as one that knows its name only, and what runs is found by its
 *    mark. (No fsync: what a power cut could take, it takes from the processes as well.)
 *  - The folder itself is made once. Gone later, it is an error, never an empty listing (L72).
 *
 * Layout: `<dataDir>/processes/<target>/<fleet>/<instance>.<uid>.json`, beside it `.log`, `.previous.log` and
 * `.plugins/`.
 */
import { mkdirSync, readFileSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { RawExit } from './children.ts';
import { errnoOf, hostFault, hostWork } from './failure.ts';

/** `n` counts the spawns of this uid; it is in the mark of every process of that life. */
export type Life =
  /** Written before the spawn: a process with this mark, if there is one, is the life (L86). */
  | { readonly state: 'spawning'; readonly n: number }
  | {
      readonly state: 'running';
      readonly n: number;
      readonly pid: number;
      readonly start: string;
      readonly boot: string;
    }
  | {
      readonly state: 'ended';
      readonly n: number;
      readonly incarnation: string | null;
      readonly exit: RawExit;
      /** Where in its log its last output ends, bytes: what is written later (by what it left behind) is not its own. */
      readonly logEnd: number;
    };

export interface RecordName {
  readonly fleet: string;
  readonly instance: string;
  readonly uid: string;
}

export interface ProcessRecord extends RecordName {
  readonly v: 1;
  readonly deployment: string;
  readonly generation: number;
  /** null: unknown (the record was damaged), so that it counts as drift. */
  readonly infra: string | null;
  readonly ports: readonly number[];
  readonly log: string;
  /** null: never started. */
  readonly life: Life | null;
}

export interface RecordFiles {
  readonly record: string;
  readonly log: string;
  readonly previousLog: string;
  /** A folder: the box of its plugins. */
  readonly plugins: string;
}

export interface Records {
  files(name: RecordName): RecordFiles;
  get(name: RecordName): ProcessRecord | null;
  all(): readonly ProcessRecord[];
  put(record: ProcessRecord): void;
  remove(name: RecordName): void;
}

interface Cached {
  readonly ino: number;
  readonly mtimeMs: number;
  readonly size: number;
  readonly record: ProcessRecord | null;
}

export function openRecords(dataDir: string, target: string, deployment: string): Records {
  const folder = join(dataDir, 'processes', fileSafe(target));
  hostWork(`make the folder ${folder}`, () => mkdirSync(folder, { recursive: true, mode: 0o700 }));
  /** What each file held when last read; bounded by the files that exist. */
  let cache = new Map<string, Cached>();

  function files(name: RecordName): RecordFiles {
    const stem = join(folder, fileSafe(name.fleet), `${fileSafe(name.instance)}.${fileSafe(name.uid)}`);
    return {
      record: `${stem}.json`,
      log: `${stem}.log`,
      previousLog: `${stem}.previous.log`,
      plugins: `${stem}.plugins`,
    };
  }

  /** null: no such file, or another deployment's. */
  function load(file: string, name: RecordName): ProcessRecord | null {
    const stat = statSync(file, { throwIfNoEntry: false });
    if (stat === undefined) {
      cache.delete(file);
      return null;
    }
    const before = cache.get(file);
    if (before && before.ino === stat.ino && before.mtimeMs === stat.mtimeMs && before.size === stat.size) {
      return before.record;
    }
    let record: ProcessRecord | null;
    try {
      record = parse(readFileSync(file, 'utf8'), name) ?? damaged(name);
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return null;
      throw error;
    }
    if (record.deployment !== deployment) record = null;
    cache.set(file, { ino: stat.ino, mtimeMs: stat.mtimeMs, size: stat.size, record });
    return record;
  }

  function damaged(name: RecordName): ProcessRecord {
    const life: Life = { state: 'spawning', n: 0 };
    return { v: 1, deployment, ...name, generation: 0, infra: null, ports: [], log: files(name).log, life };
  }

  return {
    files,

    get(name) {
      const file = files(name).record;
      return hostWork(`read the record ${file}`, () => load(file, name));
    },

    all() {
      return hostWork(`read the records below ${folder}`, () => {
        const found: ProcessRecord[] = [];
        const seen = new Map<string, Cached>();
        for (const fleet of readdirSync(folder)) {
          for (const entry of entries(join(folder, fleet))) {
            const match = /^([^.]+)\.([^.]+)\.json$/.exec(entry);
            if (!match) continue;
            const name = { fleet: unsafe(fleet), instance: unsafe(match[1] ?? ''), uid: unsafe(match[2] ?? '') };
            const file = join(folder, fleet, entry);
            const record = load(file, name);
            if (record) found.push(record);
            const cached = cache.get(file);
            if (cached) seen.set(file, cached);
          }
        }
        cache = seen;
        return found;
      });
    },

    put(record) {
      const file = files(record).record;
      hostWork(`write the record ${file}`, () => {
        if (statSync(folder, { throwIfNoEntry: false }) === undefined) {
          throw hostFault('data-folder-gone', `the folder ${folder} is gone; is the data folder still mounted?`);
        }
        mkdirSync(join(folder, fileSafe(record.fleet)), { recursive: true, mode: 0o700 });
        const draft = `${file}.${process.pid}.tmp`;
        writeFileSync(draft, JSON.stringify(record), { mode: 0o600 });
        renameSync(draft, file);
        const { ino, mtimeMs, size } = statSync(file);
        cache.set(file, { ino, mtimeMs, size, record });
      });
    },

    remove(name) {
      const file = files(name).record;
      hostWork(`remove the record ${file}`, () => rmSync(file, { force: true }));
      cache.delete(file);
    },
  };
}

function entries(folder: string): readonly string[] {
  try {
    return readdirSync(folder);
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes(errnoOf(error))) return [];
    throw error;
  }
}

/** A name as one harmless path segment without dots; reversed by `unsafe`. */
function fileSafe(name: string): string {
  return encodeURIComponent(name).replaceAll('.', '%2E');
}

function unsafe(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}

/** null: not a record of this name in a version we know. */
function parse(text: string, name: RecordName): ProcessRecord | null {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return null;
  }
  return isRecord(value) && value.uid === name.uid && value.fleet === name.fleet && value.instance === name.instance
    ? value
    : null;
}

function isRecord(value: unknown): value is ProcessRecord {
  if (!isObject(value) || value['v'] !== 1) return false;
  const texts = ['deployment', 'fleet', 'instance', 'uid', 'log'];
  if (!texts.every((key) => typeof value[key] === 'string')) return false;
  if (typeof value['generation'] !== 'number' || !Array.isArray(value['ports'])) return false;
  if (value['infra'] !== null && typeof value['infra'] !== 'string') return false;
  return value['life'] === null || isLife(value['life']);
}

function isLife(value: unknown): value is Life {
  if (!isObject(value) || typeof value['n'] !== 'number') return false;
  if (value['state'] === 'spawning') return true;
  if (value['state'] === 'ended') return isObject(value['exit']) && typeof value['logEnd'] === 'number';
  return (
    value['state'] === 'running' &&
    Number.isSafeInteger(value['pid']) &&
    Number(value['pid']) > 1 &&
    typeof value['start'] === 'string' &&
    typeof value['boot'] === 'string'
  );
}

function isObject(value: unknown): value is { readonly [key: string]: unknown } {
  return typeof value === 'object' && value !== null;
}
