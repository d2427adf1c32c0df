/**
 * The container as the engine is asked to make it. Everything that reaches the engine is named here, one by one.
 */
import type { ContainerCreateOptions } from 'dockerode';
import type { Subject } from '../../ports/target.ts';
import type { Image } from './images.ts';
import { containerLabels, type Scope } from './labels.ts';
import { PLUGINS_SEEN } from './plugins/boxes.ts';
import { portKey } from './ports.ts';
import { runOf, type HealthCheck, type RestartPolicy } from './run.ts';
import type { Mount } from './volumes.ts';

/** `restart`: what the engine does at the end of a life, from the first one on. */
export function containerBody(
  scope: Scope,
  subject: Subject,
  image: Image,
  mounts: readonly Mount[],
  restart: RestartPolicy,
): ContainerCreateOptions {
  const run = runOf(subject.spec);
  return {
    Image: image.id,
    ...(run.entrypoint && { Entrypoint: [...run.entrypoint] }),
    ...(run.command && { Cmd: [...run.command] }),
    ...(run.workdir !== null && { WorkingDir: run.workdir }),
    ...(run.user !== null && { User: run.user }),
    ...(run.stopSignal !== null && { StopSignal: run.stopSignal }),
    StopTimeout: stopSeconds(run.stopTimeoutMs),
    Env: Object.entries(environment(scope, subject)).map(([name, value]) => `${name}=${value}`),
    Labels: { ...containerLabels(scope, subject) },
    ...(run.healthcheck && { Healthcheck: healthConfig(run.healthcheck) }),
    ExposedPorts: Object.fromEntries(run.ports.map((port) => [portKey(port), {}])),
    HostConfig: {
      RestartPolicy: { Name: restart },
      Mounts: mounts.map(({ volume, path, readOnly }) => ({
        Type: 'volume',
        Source: volume,
        Target: path,
        ...(readOnly && { ReadOnly: true, VolumeOptions: WITHOUT_COPY }),
      })),
      PortBindings: Object.fromEntries(
        run.ports.map((port) => [
          portKey(port),
          [{ HostIp: port.address, HostPort: port.host === null ? '' : String(port.host) }],
        ]),
      ),
      ...(run.memoryBytes !== null && { Memory: run.memoryBytes }),
      ...(run.cpus !== null && { NanoCpus: Math.round(run.cpus * 1e9) }),
      ...(run.pids !== null && { PidsLimit: run.pids }),
    },
  };
}

/** The engine counts nanoseconds. */
const healthConfig = ({ command, everyMs, timeoutMs, retries, startPeriodMs }: HealthCheck): object => ({
  Test: ['CMD', ...command],
  Interval: everyMs * 1e6,
  Timeout: timeoutMs * 1e6,
  Retries: retries,
  StartPeriod: startPeriodMs * 1e6,
});

/** The client's types ask for all of it. */
const WITHOUT_COPY = { NoCopy: true, Labels: {}, DriverConfig: { Name: '', Options: {} } };

/** The engine counts whole seconds. */
export const stopSeconds = (ms: number): number => Math.ceil(ms / 1_000);

/** What is declared < what the runtime adds < who it is. Beside this there is only what the image brings. */
function environment(scope: Scope, subject: Subject): { readonly [name: string]: string } {
  return {
    ...runOf(subject.spec).env,
    ...subject.env,
    HOLDFAST_DEPLOYMENT: scope.deployment,
    HOLDFAST_TARGET: scope.target,
    HOLDFAST_FLEET: subject.fleet,
    HOLDFAST_INSTANCE: subject.instance,
    HOLDFAST_UID: subject.uid,
    ...(subject.spec.plugins.length > 0 && { HOLDFAST_PLUGINS: PLUGINS_SEEN }),
  };
}
