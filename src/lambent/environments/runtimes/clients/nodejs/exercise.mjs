// Runs the client against a server of its own, so that a waiting process's first invocation meets compiled code.

import net from 'node:net';
import { format } from 'node:util';
import { RuntimeApi } from './api.mjs';
import * as errors from './errors.mjs';
import { FunctionLog } from './log.mjs';
import { Runtime } from './runtime.mjs';

const CALLS = 20;
const ACCEPTED = 'HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n';
const BODY = '{"key": "value", "list": [1, 2.5, true, null]}';

export async function exercise() {
  const server = net.createServer(serve);
  try {
    await new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen(0, '127.0.0.1', resolve);
    });
  } catch {
    // No loopback: the first invocation pays for what could not be tried here.
    return;
  }
  const api = new RuntimeApi(`127.0.0.1:${server.address().port}`);
  const runtime = new Runtime(api, new FunctionLog({}), {});
  runtime.handler = async (event) => ({ echoed: event, text: format('%s %d', 'x', 1) });
  let invocation = await api.next();
  for (let call = 0; call < CALLS; call += 1) invocation = await runtime.answer(invocation);
  errors.toLogText(new Error('exercise'));
  api.close();
  await new Promise((resolve) => server.close(resolve));
  delete process.env._X_AMZN_TRACE_ID;
}

function serve(connection) {
  connection.on('error', () => {});
  connection.on('data', (data) => {
    const text = data.toString('latin1');
    const accepted = text.startsWith('POST') ? ACCEPTED : '';
    connection.write(
      `${accepted}HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nLambda-Runtime-Aws-Request-Id: exercise\r\n` +
        `Lambda-Runtime-Deadline-Ms: ${Date.now() + 3000}\r\nLambda-Runtime-Trace-Id: Root=1-1-1\r\n` +
        `Content-Length: ${BODY.length}\r\n\r\n${BODY}`,
    );
  });
}
