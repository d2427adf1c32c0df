/**
 * One engine and how it is asked. Every question is under a deadline and a signal, and fails as a `TargetError`.
 *
 * It uses dockerode's transport (unix socket, tcp, TLS, ssh) with our own paths: dockerode's `createContainer` writes the whole
 * body, environment and secrets with it, into the URL; and its promises do not settle when a connection breaks half-way.
 */
import Docker from 'dockerode';
import type { Readable } from 'node:stream';
import { wordsOf } from '../../core/error-words.ts';
import { unlessAborted } from '../wait.ts';
import { engineFailure, engineFault, refused, statusOf } from './failure.ts';
import { CALL_MS } from './limits.ts';
import type { EngineAddress } from './settings.ts';

type Query = { readonly [name: string]: string | number | boolean | undefined };

export interface Question {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  /** With the leading slash, without a query. Parts that come from outside are encoded. */
  readonly path: string;
  readonly query?: Query;
  readonly body?: object;
  /** An archive instead of a body. */
  readonly tar?: Readable;
  /** For words: "could not …". */
  readonly doing: string;
  /** Whole time for the answer, ms; of a stream: until it begins. */
  readonly withinMs?: number;
}

export interface Engine {
  /** As people write it: unix:///run/docker.sock. */
  readonly address: string;
  /** Where its published ports are reached when they are published everywhere. */
  readonly host: string;
  /** The answer's JSON; the caller knows its shape from the Engine API's reference. */
  ask<T>(question: Question, signal: AbortSignal): Promise<T>;
  /** The same, where 404 means null. */
  find<T>(question: Question, signal: AbortSignal): Promise<T | null>;
  /** An answer without end. Destroyed when the signal aborts. */
  stream(question: Question, signal: AbortSignal): Promise<Readable>;
}

const ACCEPTED = { 200: true, 201: true, 204: true };

export function connect(address: EngineAddress): Engine {
  let modem: Docker['modem'];
  try {
    modem = new Docker(address.options).modem;
  } catch (error) {
    throw refused('bad-settings', `the engine at ${address.text} cannot be used: ${wordsOf(error)}`, error);
  }

  /** Settles in time whatever the transport does. */
  async function dial(question: Question, isStream: boolean, signal: AbortSignal): Promise<unknown> {
    signal.throwIfAborted();
    const { doing, method, path, query = {}, body = {}, tar, withinMs = CALL_MS } = question;
    const late = new AbortController();
    const timer = setTimeout(() => late.abort(), withinMs);
    const over = AbortSignal.any([signal, late.signal]);
    try {
      const answer = new Promise<unknown>((resolve, reject) => {
        const options = {
          path: `${path}?`,
          method,
          isStream,
          statusCodes: ACCEPTED,
          abortSignal: over,
          ...(tar !== undefined && { file: tar }),
          options: {
            _query: Object.fromEntries(Object.entries(query).filter(([, value]) => value !== undefined)),
            _body: body,
          },
        };
        modem.dial(options, (error, data) => (error === null ? resolve(data) : reject(error)));
      });
      return await unlessAborted(answer, over);
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      if (late.signal.aborted) {
        throw engineFault(
          'engine-slow',
          `could not ${doing}: the engine at ${address.text} did not answer within ${withinMs} ms`,
          error,
        );
      }
      throw engineFailure(doing, address.text, error);
    } finally {
      clearTimeout(timer);
    }
  }

  return {
    address: address.text,
    host: address.host,
    ask: async <T>(question: Question, signal: AbortSignal) => (await dial(question, false, signal)) as T,
    async find<T>(question: Question, signal: AbortSignal) {
      try {
        return (await dial(question, false, signal)) as T;
      } catch (error) {
        if (statusOf(error) === 404) return null;
        throw error;
      }
    },
    stream: async (question, signal) => (await dial(question, true, signal)) as Readable,
  };
}

/** Runs it; an answer of one of these statuses is as good as done: 304 already so, 404 already gone, 409 already under way. */
export async function unlessStatus(work: Promise<unknown>, ...statuses: readonly number[]): Promise<void> {
  try {
    await work;
  } catch (error) {
    const status = statusOf(error);
    if (status === null || !statuses.includes(status)) throw error;
  }
}
