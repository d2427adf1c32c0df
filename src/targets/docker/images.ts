/**
 * From the declared name of an image to the one that is run.
 *
 *  1. A name is resolved once per apply, for all of a fleet: a tag that moves meanwhile does not give two halves of it different
 *     code. Whoever comes first looks, or pulls; the others wait for that.
 *  2. An instance keeps what it got until another spec of it is applied: a tag that moves does not change its next life.
 *  3. What is gone from the engine is resolved anew: that image can run nowhere any more.
 */
import { TargetError, type Subject } from '../../ports/target.ts';
import { createLocks } from '../locks.ts';
import type { Engine } from './engine.ts';
import { engineWords, statusOf, terminal, transient } from './failure.ts';
import { PULL_MS } from './limits.ts';
import { linesOf } from './lines.ts';
import type { Records } from './records.ts';
import { runOf } from './run.ts';

export interface Image {
  readonly id: string;
  /** Paths that the image itself declares as volumes. */
  readonly volumePaths: readonly string[];
  /** It brings a health check of its own. */
  readonly checksHealth: boolean;
}

interface ImageAnswer {
  readonly Id: string;
  readonly Config?: {
    readonly Volumes?: { readonly [path: string]: object } | null;
    readonly Healthcheck?: { readonly Test?: readonly string[] | null } | null;
  } | null;
}

/** The image to run; pulled where it has to be. Terminal when it is not to be had. */
export type ImageFor = (subject: Subject, signal: AbortSignal) => Promise<Image>;

/** `resolved` is told of each name that was looked up, and of what it means. */
export function openImages(
  engine: Engine,
  records: Records,
  resolved: (fleet: string, image: string, digest: string) => void,
): ImageFor {
  const locks = createLocks();

  async function shared(key: string, subject: Subject, signal: AbortSignal): Promise<Image> {
    const known = records.sharedImage(key);
    const image = known === null ? null : await inspect(engine, known, signal);
    if (image !== null) return image;
    const found = await lookUp(engine, subject, signal);
    records.shareImage(key, found.id);
    resolved(subject.fleet, runOf(subject.spec).image, found.id);
    return found;
  }

  return async (subject, signal) => {
    const { image: declared } = runOf(subject.spec);
    const { fleet, uid, infraHash: infra, revision = null } = subject;
    const pinned = records.get(uid).image;
    if (pinned?.declared === declared && pinned.infra === infra) {
      const image = await inspect(engine, pinned.id, signal);
      if (image) return image;
    }
    // Of no revision: nobody to share it with.
    const key = `${fleet} ${revision ?? uid} ${revision === null ? infra : ''} ${declared}`;
    const image = await locks.hold(key, signal, () => shared(key, subject, signal));
    records.put(uid, { image: { declared, infra, id: image.id } });
    return image;
  };
}

async function lookUp(engine: Engine, { spec }: Subject, signal: AbortSignal): Promise<Image> {
  const { image: declared, pull } = runOf(spec);
  if (pull === 'always') await pullImage(engine, declared, signal);
  let image = await inspect(engine, declared, signal);
  if (image === null && pull === 'never') {
    throw terminal(
      'image-missing',
      `image ${declared} is not on the engine at ${engine.address}, and run.pull is "never"; load it there, or let it be pulled`,
    );
  }
  if (image === null) {
    await pullImage(engine, declared, signal);
    image = await inspect(engine, declared, signal);
  }
  if (image === null)
    throw terminal(
      'image-missing',
      `image ${declared} was pulled, and is not on the engine at ${engine.address} all the same`,
    );
  return image;
}

async function inspect(engine: Engine, name: string, signal: AbortSignal): Promise<Image | null> {
  // The slashes of a name are part of the engine's path.
  const path = `/images/${name.split('/').map(encodeURIComponent).join('/')}/json`;
  const found = await engine.find<ImageAnswer>({ method: 'GET', path, doing: `look for image ${name}` }, signal);
  if (found === null) return null;
  const [check = 'NONE'] = found.Config?.Healthcheck?.Test ?? [];
  return {
    id: found.Id,
    volumePaths: Object.keys(found.Config?.Volumes ?? {}).sort(),
    checksHealth: check !== 'NONE',
  };
}

/** Ends with the pull; its progress is read only for the words of a failure. */
async function pullImage(engine: Engine, name: string, outer: AbortSignal): Promise<void> {
  const late = AbortSignal.timeout(PULL_MS);
  const signal = AbortSignal.any([outer, late]);
  let progress = 'nothing came yet';
  try {
    // Without a tag the engine would pull every tag there is.
    const fromImage = /[:@][^/]*$/.test(name) ? name : `${name}:latest`;
    const stream = await engine.stream(
      { method: 'POST', path: '/images/create', query: { fromImage }, doing: `pull ${name}`, withinMs: PULL_MS },
      signal,
    );
    for await (const line of linesOf(stream)) {
      const { error, status } = JSON.parse(line) as { readonly error?: string; readonly status?: string };
      if (error !== undefined) throw new Error(error);
      progress = status ?? progress;
    }
  } catch (error) {
    if (outer.aborted) throw outer.reason;
    if (late.aborted)
      throw transient(
        'image-slow',
        `image ${name} was not pulled within ${PULL_MS / 60_000} minutes; last: ${progress}`,
        null,
        error,
      );
    throw pullFailure(engine, name, error);
  }
}

function pullFailure(engine: Engine, name: string, error: unknown): TargetError {
  if (error instanceof TargetError && error.detail.fault === 'target') return error;
  const words = engineWords(error);
  const never =
    statusOf(error) === 404 ||
    /not found|unknown|denied|unauthorized|does not exist|no matching manifest|invalid reference/i.test(words);
  const message = `image ${name} is not to be had by the engine at ${engine.address}: ${words}`;
  if (never) return terminal('image-missing', `${message}; correct run.image, or load the image there`, null, error);
  return transient('image-unreachable', message, null, error);
}
