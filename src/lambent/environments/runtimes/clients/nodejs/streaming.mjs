// `awslambda.streamifyResponse` and `awslambda.HttpResponseStream`: results written while the function works.

import { Writable } from 'node:stream';

export const STREAMING = Symbol.for('aws.lambda.runtime.handler.streaming');
export const HIGH_WATER_MARK = Symbol.for('aws.lambda.runtime.handler.streaming.highWaterMark');
const PRELUDE_END = Buffer.alloc(8);

export class ResponseStream extends Writable {
  #api;
  #requestId;
  #wire = null;
  #contentType = 'application/octet-stream';

  constructor(api, requestId, highWaterMark = 65_536) {
    super({ highWaterMark });
    this.#api = api;
    this.#requestId = requestId;
  }

  // The content type counts until the first byte is written.
  setContentType(contentType) {
    this.#contentType = contentType;
  }

  get hasStarted() {
    return this.#wire !== null;
  }

  // Finish the wire and wait for the next invocation; with an error, say it in the trailers.
  finishAndNext(trailers) {
    this.#begin();
    return this.#wire.endAndNext(trailers);
  }

  // Finish a wire that was begun with the error that ends the process.
  async finishWith(trailers) {
    await this.#wire.end(trailers);
  }

  _write(chunk, _encoding, callback) {
    this.#begin();
    if (this.#wire.write(chunk)) callback();
    else this.#wire.onceDrained(callback);
  }

  #begin() {
    this.#wire ??= this.#api.beginStream(this.#requestId, this.#contentType);
  }
}

class HttpResponseStream {
  // Put status and headers before what the function writes.
  static from(stream, prelude) {
    stream.setContentType('application/vnd.awslambda.http-integration-response');
    stream.write(JSON.stringify(prelude));
    stream.write(PRELUDE_END);
    return stream;
  }
}

// Put `awslambda` among the globals.
export function installStreaming() {
  globalThis.awslambda = {
    ...globalThis.awslambda,
    streamifyResponse: (handler, options) => {
      handler[STREAMING] = 'response';
      handler[HIGH_WATER_MARK] = options?.highWaterMark;
      return handler;
    },
    HttpResponseStream,
  };
}
