/**
 * The single steps that change a container, each idempotent: make, begin, end, remove. What they touch is ours, by label.
 */
import type { ContainerInspectInfo } from 'dockerode';
import type { Look } from '../../core/model.ts';
import { TargetError, type Subject } from '../../ports/target.ts';
import { becomesTrue, pause } from '../wait.ts';
import { containerBody, stopSeconds } from './container.ts';
import { unlessStatus, type Engine } from './engine.ts';
import { conflict, engineWords, startFailure, statusOf, terminal, transient } from './failure.ts';
import type { Image } from './images.ts';
import { containerName, nextName, ownerIn, type Scope } from './labels.ts';
import { CHANGE_MS, GONE_POLL_MS, POLICY_PAUSE_MS, POLICY_TRIES, STOP_AIR_MS } from './limits.ts';
import { restartPolicy, runOf, type RestartPolicy } from './run.ts';
import type { Found, Sightings } from './sightings.ts';
import type { Mount } from './volumes.ts';

export interface Changes {
  /** Makes a container under that name; its id. A stranger's under this name is a terminal failure that names it. */
  make(
    subject: Subject,
    name: string,
    image: Image,
    mounts: readonly Mount[],
    restart: RestartPolicy,
    signal: AbortSignal,
  ): Promise<string>;
  /** Starts it, or unpauses it, under the restart policy of its lifecycle. */
  begin(found: Found, subject: Subject, signal: AbortSignal): Promise<void>;
  /** Starts what was just made under its own name and policy: a look less than `begin`. */
  beginFirst(id: string, subject: Subject, signal: AbortSignal): Promise<void>;
  /** Stops it for good: first the engine is told not to start it again (L22). */
  end(info: ContainerInspectInfo, subject: Subject, signal: AbortSignal): Promise<void>;
  /** Removes what was ended, and waits until it is gone. Anonymous volumes go with it only if told so. */
  remove(id: string, how: { volumes: boolean }, signal: AbortSignal): Promise<void>;
  rename(id: string, name: string, signal: AbortSignal): Promise<void>;
}

export function createChanges(engine: Engine, scope: Scope, sightings: Sightings): Changes {
  const path = (id: string, verb: string): string => `/containers/${encodeURIComponent(id)}/${verb}`;
  const post = (
    id: string,
    verb: string,
    signal: AbortSignal,
    more: { query?: { [name: string]: string | number }; body?: object; withinMs?: number } = {},
  ): Promise<unknown> =>
    engine.ask(
      {
        method: 'POST',
        path: path(id, verb),
        doing: `${verb} container ${id.slice(0, 12)}`,
        withinMs: CHANGE_MS,
        ...more,
      },
      signal,
    );

  /** An engine refuses to change what is dying at that moment, and takes back what it had noted. */
  async function setPolicy(
    { Id, HostConfig }: ContainerInspectInfo,
    policy: RestartPolicy,
    signal: AbortSignal,
  ): Promise<void> {
    if ((HostConfig.RestartPolicy?.Name || 'no') === policy) return;
    for (let attempt = 1; ; attempt += 1) {
      try {
        await post(Id, 'update', signal, { body: { RestartPolicy: { Name: policy } } });
        return;
      } catch (error) {
        if (attempt === POLICY_TRIES || !/^cannot update container/i.test(engineWords(error))) throw error;
        await pause(POLICY_PAUSE_MS, signal);
      }
    }
  }

  async function make(
    subject: Subject,
    name: string,
    image: Image,
    mounts: readonly Mount[],
    restart: RestartPolicy,
    signal: AbortSignal,
  ): Promise<string> {
    const body = containerBody(scope, subject, image, mounts, restart);
    const doing = `create container ${name}`;
    for (let attempt = 1; ; attempt += 1) {
      try {
        return (
          await engine.ask<{ Id: string }>(
            { method: 'POST', path: '/containers/create', query: { name }, body, doing, withinMs: CHANGE_MS },
            signal,
          )
        ).Id;
      } catch (error) {
        if (!(error instanceof TargetError)) throw error;
        if (statusOf(error) !== 409) throw startFailure(what(subject), runOf(subject.spec), error, null);
        await makeRoom(subject, name, attempt > 1, signal);
      }
    }
  }

  /** The name is taken: by what an earlier update prepared, which goes; by anything else, which stays. */
  async function makeRoom(subject: Subject, name: string, again: boolean, signal: AbortSignal): Promise<void> {
    const info = await sightings.inspect(name, signal);
    if (info === null) {
      if (again)
        throw transient(
          'name-busy',
          `the engine says that the name ${name} is taken, and that there is no such container`,
        );
      return;
    }
    const owner = ownerIn(info.Config.Labels, scope);
    if (owner?.uid === subject.uid) {
      if (again || name !== nextName(scope, subject))
        throw conflict('exists', `container ${name} has come to be meanwhile`, null);
      await end(info, subject, signal);
      return remove(info.Id, { volumes: false }, signal);
    }
    const whose =
      owner === null
        ? `it is not ours (image ${info.Config.Image}, created ${info.Created})`
        : `it belongs to an earlier ${owner.fleet}/${owner.instance} (${owner.uid})`;
    throw terminal(
      'name-taken',
      `cannot create ${what(subject)}: its name ${name} is held by container ${info.Id.slice(0, 12)}; ${whose}. Rename or remove that one, then reconcile`,
    );
  }

  async function begin({ info, look }: Found, subject: Subject, signal: AbortSignal): Promise<void> {
    try {
      const name = containerName(scope, subject);
      if (info.Name === `/${nextName(scope, subject)}`) await rename(info.Id, name, signal);
      await setPolicy(info, restartPolicy(subject.spec), signal);
      if (info.State.Paused) await post(info.Id, 'unpause', signal);
      else await unlessStatus(post(info.Id, 'start', signal), 304);
    } catch (error) {
      throw await notBegun(info.Id, subject, error, look, signal);
    }
  }

  async function beginFirst(id: string, subject: Subject, signal: AbortSignal): Promise<void> {
    try {
      await unlessStatus(post(id, 'start', signal), 304);
    } catch (error) {
      throw await notBegun(id, subject, error, null, signal);
    }
  }

  async function notBegun(
    id: string,
    subject: Subject,
    error: unknown,
    look: Look | null,
    signal: AbortSignal,
  ): Promise<unknown> {
    if (!(error instanceof TargetError)) return error;
    // The first failure is the one to tell, whatever becomes of this look.
    const found = await sightings.look(id, signal).catch(() => null);
    return startFailure(what(subject), runOf(subject.spec), error, found?.look ?? look);
  }

  async function end(info: ContainerInspectInfo, subject: Subject, signal: AbortSignal): Promise<void> {
    try {
      await setPolicy(info, 'no', signal);
      if (!info.State.Running && !info.State.Paused) return;
      // One that is paused is resumed by the engine itself, so that it can end well.
      const { stopTimeoutMs } = runOf(subject.spec);
      await post(info.Id, 'stop', signal, {
        query: { t: stopSeconds(stopTimeoutMs) },
        withinMs: stopTimeoutMs + STOP_AIR_MS,
      });
    } catch (error) {
      // 304: stopped already; 404: gone; 409: being removed.
      const status = statusOf(error);
      if (status === null || ![304, 404, 409].includes(status)) throw error;
    }
  }

  async function remove(id: string, how: { volumes: boolean }, signal: AbortSignal): Promise<void> {
    const question = {
      method: 'DELETE',
      path: `/containers/${encodeURIComponent(id)}`,
      query: { v: how.volumes },
      doing: `remove container ${id.slice(0, 12)}`,
      withinMs: CHANGE_MS,
    } as const;
    try {
      await engine.ask(question, signal);
    } catch (error) {
      if (statusOf(error) === 404) return;
      if (statusOf(error) !== 409) throw error;
      // Being removed already; or somebody started it again.
      const gone = await becomesTrue(
        async () => (await removing(id, signal)) === 'gone',
        GONE_POLL_MS,
        CHANGE_MS,
        signal,
      );
      if (!gone)
        throw transient(
          'not-removed',
          `container ${id} is not gone ${CHANGE_MS / 1_000} s after the engine began to remove it`,
          null,
          error,
        );
    }
  }

  async function removing(id: string, signal: AbortSignal): Promise<'gone' | 'removing'> {
    const info = await sightings.inspect(id, signal);
    if (info === null) return 'gone';
    if (info.State.Running)
      throw conflict('started-again', `container ${id} was started again while it was to be removed`, null);
    return 'removing';
  }

  const rename = async (id: string, name: string, signal: AbortSignal): Promise<void> => {
    await post(id, 'rename', signal, { query: { name } });
  };

  return { make, begin, beginFirst, end, remove, rename };
}

const what = ({ fleet, instance }: Subject): string => `${fleet}/${instance}`;
