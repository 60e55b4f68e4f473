// Lambent's Node.js runtime. Two ways to start:
// - descriptor 3 is a socket: exercise the client, say "ready", wait for a line {"variables": {…}}, be the function;
// - no such descriptor: the variables are the process's own, and it is the function at once.
// Node.js 16 and newer, nothing but node's own modules.

import { fstatSync } from 'node:fs';
import net from 'node:net';
import { exercise } from './exercise.mjs';
import { runFunction } from './runtime.mjs';

const CONTROL_DESCRIPTOR = 3;

// An older node needs a loader's flag, and --no-warnings not to talk of it: the function's own warnings come from here.
if (process.execArgv.includes('--no-warnings')) process.on('warning', printWarning);

if (hasControl()) {
  if (process.env.LAMBENT_IS_AWAITED === undefined) await exercise();
  takeVariables(await receiveVariables());
}
await runFunction(process.env);

function printWarning(warning) {
  if (process.env.NODE_NO_WARNINGS === '1') return;
  const code = warning.code === undefined ? '' : `[${warning.code}] `;
  process.stderr.write(`(node:${process.pid}) ${code}${warning.name}: ${warning.message}\n`);
}

function hasControl() {
  if (process.env._HANDLER !== undefined) return false;
  try {
    return fstatSync(CONTROL_DESCRIPTOR).isSocket();
  } catch {
    return false;
  }
}

function receiveVariables() {
  const control = new net.Socket({ fd: CONTROL_DESCRIPTOR, readable: true, writable: true });
  control.write('ready\n');
  return new Promise((resolve) => {
    const pieces = [];
    control.on('data', (piece) => {
      pieces.push(piece);
      if (piece.at(-1) !== 10) return;
      control.destroy();
      resolve(JSON.parse(Buffer.concat(pieces).toString('utf8')).variables);
    });
    // The other end went away: nobody will ever need this process.
    control.on('end', () => process.exit(0));
    control.on('error', () => process.exit(0));
  });
}

function takeVariables(variables) {
  for (const name of Object.keys(process.env)) {
    if (!(name in variables)) delete process.env[name];
  }
  // Setting TZ makes node look at it again.
  Object.assign(process.env, variables);
}
