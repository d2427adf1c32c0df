#!/usr/bin/env node
/** The executable `holdfast`: one command line, on the process's own terminal. */
import { processIo } from './io.ts';
import { runCli } from './program.ts';

// Not `process.exit`: what was written to a pipe must still reach it.
process.exitCode = await runCli(process.argv.slice(2), processIo());
