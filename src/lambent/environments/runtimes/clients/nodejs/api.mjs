// The Runtime API (2018-06-01) over one raw keep-alive connection. An answer and the question for the next invocation
// leave in one write. While a function works, the connection does not keep the event loop alive.
// Source: AWS Lambda developer guide, "Using the Lambda runtime API".

import net from 'node:net';

const PREFIX = '/2018-06-01/runtime/';
const HEAD_END = Buffer.from('\r\n\r\n');
const CRLF = '\r\n';

export class RuntimeApi {
  #host;
  #port;
  #socket = null;
  #buffer = Buffer.alloc(0);
  #waiting = [];
  #common;
  #nextRequest;

  constructor(address) {
    const at = address.lastIndexOf(':');
    this.#host = at < 0 ? address : address.slice(0, at);
    this.#port = at < 0 ? 80 : Number(address.slice(at + 1));
    this.#common = `Host: ${address}\r\nUser-Agent: lambent-nodejs/${process.versions.node}\r\n`;
    this.#nextRequest = `GET ${PREFIX}invocation/next HTTP/1.1\r\n${this.#common}\r\n`;
  }

  // Ask for the next invocation and wait for it: {headers, body}.
  async next() {
    this.#write(this.#nextRequest);
    return this.#invocation();
  }

  // Send a result (text) and wait for the next invocation.
  async respondAndNext(requestId, text) {
    return this.#postAndNext(`invocation/${requestId}/response`, text, 'Content-Type: application/json\r\n');
  }

  // Send an error payload (text) and wait for the next invocation.
  async failAndNext(requestId, text, errorType) {
    return this.#postAndNext(`invocation/${requestId}/error`, text, errorHeaders(errorType));
  }

  // Send an error of the current invocation, for a process that ends afterwards.
  async fail(requestId, text, errorType) {
    this.#write(this.#post(`invocation/${requestId}/error`, text, errorHeaders(errorType)));
    await this.#answer();
  }

  // Report that the function could not be loaded.
  async failInit(text, errorType) {
    this.#write(this.#post('init/error', text, errorHeaders(errorType)));
    await this.#answer();
  }

  // Begin a streamed result; returns {write(chunk) → boolean, onceDrained(callback), end(trailers), endAndNext(trailers)}.
  beginStream(requestId, contentType) {
    this.#write(
      `POST ${PREFIX}invocation/${requestId}/response HTTP/1.1\r\n${this.#common}` +
        `Content-Type: ${oneLine(contentType)}\r\n` +
        'Lambda-Runtime-Function-Response-Mode: streaming\r\nTransfer-Encoding: chunked\r\n' +
        'Trailer: Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body\r\n\r\n',
    );
    this.#socket.unref();
    return {
      write: (chunk) => {
        if (chunk.length === 0) return true;
        // Its length, it and its end leave in one system call.
        this.#socket.cork();
        this.#socket.write(`${chunk.length.toString(16)}\r\n`);
        this.#socket.write(chunk);
        const isTaken = this.#socket.write(CRLF);
        this.#socket.uncork();
        return isTaken;
      },
      onceDrained: (callback) => this.#socket.once('drain', callback),
      // For a process that ends afterwards.
      end: async (trailers) => {
        this.#write(`0\r\n${trailers}\r\n`);
        await this.#answer();
      },
      endAndNext: async (trailers = '') => {
        this.#write(`0\r\n${trailers}\r\n${this.#nextRequest}`);
        return this.#acceptedThenInvocation();
      },
    };
  }

  close() {
    this.#socket?.destroy();
    this.#socket = null;
  }

  #post(path, text, headers) {
    return (
      `POST ${PREFIX}${path} HTTP/1.1\r\n${headers}${this.#common}` +
      `Content-Length: ${Buffer.byteLength(text)}\r\n\r\n${text}`
    );
  }

  async #postAndNext(path, text, headers) {
    this.#write(this.#post(path, text, headers) + this.#nextRequest);
    return this.#acceptedThenInvocation();
  }

  #write(text) {
    if (this.#socket === null) this.#connect();
    this.#socket.ref();
    this.#socket.write(text);
  }

  #connect() {
    this.#socket = net.connect({ host: this.#host, port: this.#port, noDelay: true });
    this.#socket.setNoDelay(true);
    this.#socket.on('data', (data) => {
      this.#buffer = this.#buffer.length === 0 ? data : Buffer.concat([this.#buffer, data]);
      this.#parse();
    });
    const end = (error) => {
      for (const { reject } of this.#waiting.splice(0)) {
        reject(error instanceof Error ? error : new Error('The Runtime API closed the connection'));
      }
    };
    this.#socket.on('error', end);
    this.#socket.on('close', end);
  }

  #answer() {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
    });
  }

  async #acceptedThenInvocation() {
    // Both answers may come in one piece, so both are awaited from the start.
    const accepted = this.#answer();
    const invocation = this.#invocation();
    await Promise.all([accepted, invocation]);
    return invocation;
  }

  async #invocation() {
    const answer = await this.#answer();
    this.#socket.unref();
    if (answer.status !== 200) throw new Error(`GET next was answered with status ${answer.status}`);
    return answer;
  }

  #parse() {
    for (;;) {
      const end = this.#buffer.indexOf(HEAD_END);
      if (end < 0) return;
      const lines = this.#buffer.toString('utf8', 0, end).split(CRLF);
      const status = Number(lines[0].split(' ', 2)[1]);
      const headers = {};
      for (const line of lines.slice(1)) {
        const colon = line.indexOf(':');
        headers[line.slice(0, colon).toLowerCase()] = line.slice(colon + 1).trim();
      }
      const start = end + HEAD_END.length;
      const taken =
        headers['transfer-encoding'] === 'chunked'
          ? takeChunks(this.#buffer, start)
          : takeSized(this.#buffer, start, Number(headers['content-length'] ?? 0));
      if (taken === null) return;
      this.#buffer = this.#buffer.subarray(taken.end);
      if (status !== 100) this.#waiting.shift()?.resolve({ status, headers, body: taken.body });
    }
  }
}

function takeSized(buffer, start, length) {
  const end = start + length;
  return buffer.length < end ? null : { body: buffer.subarray(start, end), end };
}

function takeChunks(buffer, start) {
  const pieces = [];
  let at = start;
  for (;;) {
    const line = buffer.indexOf(CRLF, at);
    if (line < 0) return null;
    const size = parseInt(buffer.toString('latin1', at, line), 16);
    const end = line + 2 + size;
    if (buffer.length < end + 2) return null;
    if (size === 0) {
      const last = buffer.indexOf(HEAD_END, line);
      return last < 0 ? null : { body: Buffer.concat(pieces), end: last + HEAD_END.length };
    }
    pieces.push(buffer.subarray(line + 2, end));
    at = end + 2;
  }
}

function errorHeaders(errorType) {
  return `Content-Type: application/json\r\nLambda-Runtime-Function-Error-Type: ${oneLine(errorType)}\r\n`;
}

// A header holds one line of Latin text at most.
export function oneLine(text) {
  return String(text).replace(/[^\x20-\x7e]/g, '?');
}
