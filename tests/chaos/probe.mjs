// Runs a program of this directory in a sandbox: node tests/chaos/probe.mjs network_probe.mjs
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { inSandbox } from './sandbox.mjs';

process.exit(await inSandbox([path.join(path.dirname(fileURLToPath(import.meta.url)), process.argv[2])], { mustBeApart: true }));
