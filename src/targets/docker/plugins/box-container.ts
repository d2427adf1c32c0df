/**
 * A container through which one box is reached: it holds nothing but the volume, never runs anything but the swap, and is gone
 * when the work is done. So a box is reached while its agent sleeps, before it first ran, and while it runs, without holding up
 * the agent's own container, which an engine locks for as long as it reads an archive out of it.
 *
 * Its name is taken by one at a time. What a kill left behind is removed by whoever comes next, and its unfinished work with it.
 */
import type { ContainerInspectInfo } from 'dockerode';
import type { Readable } from 'node:stream';
import type { Subject } from '../../../ports/target.ts';
import { unlessStatus, type Engine } from '../engine.ts';
import { conflict, statusOf, terminal, transient, engineWords } from '../failure.ts';
import { boxLabels, boxName, boxUidIn, type Labels, type Scope } from '../labels.ts';
import { BOX_CALL_MS, CHANGE_MS } from '../limits.ts';
import { packed, unpacked, type Found, type Item } from './archive.ts';
import { BOX_PATH, CURRENT, NEXT, programId, swapProgram } from './swap-program.ts';

export interface BoxContainer {
  /** Files and links below a path of the box; null: it is not there. */
  read(
    path: string,
    wanted: (path: string) => 'digest' | 'text' | null,
    signal: AbortSignal,
  ): Promise<readonly Found[] | null>;
  write(items: Iterable<Item>, doing: string, signal: AbortSignal): Promise<void>;
  /** What was written as `.next` takes the place of `current`, in one step. */
  swap(signal: AbortSignal): Promise<void>;
}

export interface BoxVolume {
  readonly name: string;
  /** Should it have gone this moment, what the engine makes in its place has them, too. */
  readonly labels: Labels;
}

export interface BoxContainers {
  open(subject: Subject, volume: BoxVolume, signal: AbortSignal): Promise<BoxContainer>;
  /** It, or what was left of one. Done already is done. */
  remove(subject: Subject, signal: AbortSignal): Promise<void>;
}

export function boxContainers(engine: Engine, scope: Scope): BoxContainers {
  let arch: string | null = null;

  /** The engine's own machine never changes: another one is another engine. */
  async function image(signal: AbortSignal): Promise<{ name: string; program: Buffer }> {
    arch ??= (await engine.ask<{ Arch: string }>({ method: 'GET', path: '/version', doing: 'ask its version' }, signal))
      .Arch;
    const program = swapProgram(arch);
    if (program === null)
      throw terminal(
        'unsupported-engine',
        `the engine at ${engine.address} runs on ${arch}; plugins can be delivered to engines on amd64 and arm64`,
      );
    return { name: `holdfast-box:${programId(program)}`, program };
  }

  async function bringImage({ name, program }: { name: string; program: Buffer }, signal: AbortSignal): Promise<void> {
    const [repo, tag] = name.split(':');
    const doing = `bring image ${name}`;
    const items = [{ path: 'swap', kind: 'bytes', bytes: program, mode: 0o755 }] as const;
    const query = { fromSrc: '-', repo, tag };
    await engine.ask(
      { method: 'POST', path: '/images/create', query, tar: packed(items), doing, withinMs: CHANGE_MS },
      signal,
    );
  }

  async function make(subject: Subject, volume: BoxVolume, signal: AbortSignal): Promise<string> {
    const box = await image(signal);
    const name = boxName(scope, subject);
    const body = {
      Image: box.name,
      Entrypoint: ['/swap'],
      User: '0:0',
      NetworkDisabled: true,
      Labels: boxLabels(scope, subject),
      HostConfig: {
        NetworkMode: 'none',
        ReadonlyRootfs: true,
        CapDrop: ['ALL'],
        SecurityOpt: ['no-new-privileges'],
        LogConfig: { Type: 'none' },
        Mounts: [
          {
            Type: 'volume',
            Source: volume.name,
            Target: BOX_PATH,
            VolumeOptions: { NoCopy: true, Labels: volume.labels },
          },
        ],
      },
    };
    const doing = `reach the plugins of ${subject.fleet}/${subject.instance}`;
    const create = {
      method: 'POST',
      path: '/containers/create',
      query: { name },
      body,
      doing,
      withinMs: CHANGE_MS,
    } as const;
    for (let attempt = 1; ; attempt += 1) {
      try {
        return (await engine.ask<{ Id: string }>(create, signal)).Id;
      } catch (error) {
        const status = statusOf(error);
        if (attempt > BOX_TRIES || (status !== 404 && status !== 409)) throw error;
        if (status === 404) await bringImage(box, signal);
        else await remove(subject, signal);
      }
    }
  }

  async function remove(subject: Subject, signal: AbortSignal): Promise<void> {
    const name = boxName(scope, subject);
    const path = `/containers/${encodeURIComponent(name)}`;
    const info = await engine.find<ContainerInspectInfo>(
      { method: 'GET', path: `${path}/json`, doing: `look at container ${name}` },
      signal,
    );
    if (info === null) return;
    if (boxUidIn(info.Config.Labels, scope) !== subject.uid)
      throw terminal(
        'name-taken',
        `the plugins of ${subject.instance} cannot be reached: container ${name} is not ours; rename or remove it`,
      );
    const query = { force: true };
    await unlessStatus(
      engine.ask(
        {
          method: 'DELETE',
          path: `/containers/${info.Id}`,
          query,
          doing: `remove container ${name}`,
          withinMs: CHANGE_MS,
        },
        signal,
      ),
      404,
      409,
    );
  }

  function reach(id: string, called: string): BoxContainer {
    const path = (verb: string): string => `/containers/${id}/${verb}`;
    const gone = (error: unknown): unknown =>
      statusOf(error) === 404 && /no such container/i.test(engineWords(error))
        ? conflict('box-taken', `somebody else has reached for the plugins of ${called} meanwhile`, null)
        : error;

    return {
      async read(what, wanted, signal) {
        const question = {
          method: 'GET',
          path: path('archive'),
          query: { path: `${BOX_PATH}/${what}` },
          doing: `read the plugins of ${called}`,
          withinMs: BOX_CALL_MS,
        } as const;
        let stream: Readable;
        try {
          stream = await engine.stream(question, signal);
        } catch (error) {
          if (statusOf(error) === 404 && !/no such container/i.test(engineWords(error))) return null;
          throw gone(error);
        }
        try {
          return await unpacked(stream, wanted, AbortSignal.any([signal, AbortSignal.timeout(BOX_CALL_MS)]));
        } catch (error) {
          if (signal.aborted) throw signal.reason;
          const words = `could not ${question.doing}: the archive of ${question.query.path} broke off`;
          throw transient('plugin-files', `${words}: ${engineWords(error)}`, null, error);
        }
      },

      async write(items, doing, signal) {
        const tar = packed(items);
        const broken: Error[] = [];
        tar.on('error', (error) => broken.push(error));
        const question = {
          method: 'PUT',
          path: path('archive'),
          query: { path: BOX_PATH },
          tar,
          doing,
          withinMs: BOX_CALL_MS,
        } as const;
        try {
          await engine.ask(question, signal);
        } catch (error) {
          // What could not be read here is no fault of the engine.
          const [here] = broken;
          if (here !== undefined && !signal.aborted)
            throw transient('plugin-files', `could not ${doing}: ${here.message}`, null, here);
          throw gone(error);
        } finally {
          tar.destroy();
        }
      },

      async swap(signal) {
        const doing = `bring the plugins of ${called} into force`;
        try {
          await engine.ask({ method: 'POST', path: path('start'), doing, withinMs: CHANGE_MS }, signal);
          const { StatusCode } = await engine.ask<{ StatusCode: number }>(
            { method: 'POST', path: path('wait'), doing, withinMs: CHANGE_MS },
            signal,
          );
          if (StatusCode !== 0)
            throw transient(
              StatusCode === ENOSPC ? 'disk-full' : 'swap-failed',
              `could not ${doing}: renaming ${NEXT} to ${CURRENT} failed with error ${StatusCode} of the engine's kernel`,
            );
        } catch (error) {
          throw gone(error);
        }
      },
    };
  }

  return {
    remove,
    async open(subject, volume, signal) {
      return reach(await make(subject, volume, signal), `${subject.fleet}/${subject.instance}`);
    },
  };
}

/** One for a name that a kill left taken, one for an image that is not there. */
const BOX_TRIES = 2;
const ENOSPC = 28;
