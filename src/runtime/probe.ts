/** Asks an agent's declared health over HTTP. Any answer of 200–399 is well; anything else, or none, is not. */
import type { Instance } from '../core/model.ts';

export async function httpProbe(inst: Instance, signal: AbortSignal): Promise<{ ok: boolean; message: string }> {
  const health = inst.spec.health;
  if (health === null) return { ok: false, message: 'no health is declared' };
  const { port, path } = health.http;
  const endpoints = inst.resource?.attrs.endpoints;
  const published =
    typeof endpoints === 'object' && endpoints !== null && !Array.isArray(endpoints)
      ? (endpoints as { [port: string]: unknown })[String(port)]
      : undefined;
  const address = typeof published === 'string' ? published : `127.0.0.1:${port}`;
  try {
    const response = await fetch(`http://${address}${path}`, {
      signal,
      redirect: 'manual',
      headers: { 'user-agent': 'holdfast-health' },
    });
    await response.body?.cancel();
    const ok = response.status >= 200 && response.status < 400;
    return { ok, message: `GET ${path} on port ${port} answered ${response.status}` };
  } catch (error) {
    const cause =
      error instanceof Error && error.cause instanceof Error
        ? error.cause.message
        : error instanceof Error
          ? error.message
          : String(error);
    return { ok: false, message: `GET ${path} on port ${port} got no answer: ${cause}` };
  }
}
