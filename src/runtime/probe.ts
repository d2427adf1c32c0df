/**
 * Asks for an agent's declared health: over HTTP, where any answer of 200–399 is well, and anything else, or none, is not; or
 * its target's authority, which checks it by itself.
 */
import { wordsOf } from '../core/error-words.ts';
import type { Instance } from '../core/model.ts';
import { TargetError, type Subject, type Target } from '../ports/target.ts';

export async function httpProbe(inst: Instance, signal: AbortSignal): Promise<{ ok: boolean; message: string }> {
  const health = inst.spec.health;
  if (health === null || health.http === null) return { ok: false, message: 'no health over HTTP is declared' };
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
    // "fetch failed" says nothing; its cause does.
    const cause = wordsOf(error instanceof Error ? (error.cause ?? error) : error);
    return { ok: false, message: `GET ${path} on port ${port} got no answer: ${cause}` };
  }
}

/** Throws when the authority cannot say: that is no verdict, and nothing is concluded from it (L02). */
export async function targetProbe(
  target: Target | null,
  subject: Subject,
  signal: AbortSignal,
): Promise<{ ok: boolean; message: string }> {
  if (target?.health !== undefined) return target.health(subject, signal);
  const message = `target "${subject.spec.target}" checks nobody's health`;
  throw new TargetError({ class: 'terminal', fault: 'instance', code: 'no-health', message });
}
