/**
 * A manifest as it lies on disk (or comes from standard input), ready to be sent: its text untouched but for relative
 * host paths, which are made absolute from the file's own folder, on their own line, so that the server's errors still
 * point at the lines that the reader sees.
 */
import { readFile, stat } from 'node:fs/promises';
import { dirname, relative, resolve } from 'node:path';
import { parseText } from '../core/manifest/parse.ts';
import { withAbsolutePaths } from '../core/manifest/paths.ts';
import { child } from '../core/manifest/nodes.ts';
import { MANIFEST_BYTES } from '../core/limits.ts';
import type { FieldError } from '../runtime/api.ts';
import { Failure, ProblemFailure } from './failure.ts';
import type { Io } from './io.ts';

export interface ManifestFile {
  /** As messages name it: relative to where the command runs. */
  readonly shown: string;
  readonly text: string;
  /** The fleet that it says it declares; null when it says none. */
  readonly fleet: string | null;
}

const STDIN = '-';

/** How messages name the file. */
export function shownName(io: Io, file: string): string {
  if (file === STDIN) return 'stdin';
  const path = relative(io.cwd, resolve(io.cwd, file));
  return path.startsWith('..') ? resolve(io.cwd, file) : path;
}

/** Throws a `Failure` when it cannot be read, a `ProblemFailure` with lines when it is no YAML. */
export async function readManifestFile(io: Io, file: string): Promise<ManifestFile> {
  const path = resolve(io.cwd, file);
  const text = file === STDIN ? await io.stdin() : await read(path);
  return { shown: shownName(io, file), ...prepareManifest(text, file === STDIN ? resolve(io.cwd, 'stdin') : path) };
}

/** The text of a file as it is sent; `file` is where its relative paths start from. Throws as `readManifestFile` does. */
export function prepareManifest(text: string, file: string): Pick<ManifestFile, 'text' | 'fleet'> {
  const folder = dirname(resolve(file));
  const absolute = withAbsolutePaths(text, (each) => resolve(folder, each));
  if (!absolute.ok) throw unreadable(absolute.errors);
  const parsed = parseText(absolute.text, MANIFEST_BYTES);
  if (!parsed.ok) throw unreadable(parsed.errors);
  const fleet = parsed.root === null ? undefined : child(parsed.root, 'fleet');
  return {
    text: absolute.text,
    fleet: fleet?.kind === 'scalar' && typeof fleet.value === 'string' ? fleet.value : null,
  };
}

async function read(path: string): Promise<string> {
  try {
    const { size } = await stat(path);
    if (size > MANIFEST_BYTES)
      throw new Failure('too-large', `${path} has ${size} bytes; a manifest has at most ${MANIFEST_BYTES}.`);
    return await readFile(path, 'utf8');
  } catch (error) {
    if (error instanceof Failure) throw error;
    const { code, message } = error as NodeJS.ErrnoException;
    const words = code === 'ENOENT' ? 'there is no such file' : code === 'EISDIR' ? 'it is a folder' : message;
    throw new Failure('unreadable', `${path} cannot be read: ${words}.`);
  }
}

/** The same document that the server would answer with. */
function unreadable(errors: readonly FieldError[]): ProblemFailure {
  const detail = 'the manifest cannot be read; nothing was sent';
  return new ProblemFailure({
    type: 'urn:holdfast:problem:invalid',
    title: 'The request is not valid',
    status: 422,
    detail,
    errors,
  });
}
