/** Structured logs as the runtime needs them; pino has this shape. */
export interface Log {
  /** What is less than this is not written, so nobody need prepare it. Absent: everything is. */
  readonly level?: string;
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** From the most that can be written to nothing at all. */
export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** Is a line of this level written just now? */
export const says = ({ level }: Log, line: LogLevel): boolean =>
  level === undefined || LOG_LEVELS.indexOf(line) >= LOG_LEVELS.indexOf(level as LogLevel);

export const silentLog: Log = {
  level: 'silent',
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};

/** How much is written, as it is now. It is kept nowhere: each start begins as configured. */
export interface LevelSwitch {
  readonly configured: LogLevel;
  now(): LogLevel;
  set(level: LogLevel): void;
}

/** Of a log whose level can be changed while it is written. `log`: where the change is told, whichever side would hide it. */
export function levelSwitch(leveled: { level: string }, log: Log): LevelSwitch {
  const configured = leveled.level as LogLevel;
  const now = (): LogLevel => leveled.level as LogLevel;
  return {
    configured,
    now,
    set(level) {
      const before = now();
      if (level === before) return;
      const more = LOG_LEVELS.indexOf(level) < LOG_LEVELS.indexOf(before);
      const tell = (): void => log.warn({ from: before, to: level }, 'the log level was changed, until the next start');
      if (!more) tell();
      leveled.level = level;
      if (more) tell();
    },
  };
}
