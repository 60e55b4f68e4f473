// Loads the handler and answers invocations for ever, with the conventions of AWS's Node.js runtime.

import { RuntimeApi, oneLine } from './api.mjs';
import { leadToEndpoint } from './endpoint.mjs';
import * as errors from './errors.mjs';
import { loadHandler } from './loader.mjs';
import { FunctionLog } from './log.mjs';
import { HIGH_WATER_MARK, ResponseStream, STREAMING, installStreaming } from './streaming.mjs';

const EXIT_REJECTION = 128;
const EXIT_EXCEPTION = 129;
const FIRST_WITHOUT_CALLBACKS = 24;
const OWN_AUTHORITY = '/etc/ssl/certs/lambent-amazonaws.pem';

// Be the function's process. Never returns while the platform lives.
export async function runFunction(variables) {
  const log = new FunctionLog(variables);
  const runtime = new Runtime(new RuntimeApi(variables.AWS_LAMBDA_RUNTIME_API), log, variables);
  log.install();
  installStreaming();
  // Elsewhere AWS's names lead to it by themselves, and node trusts who answers.
  if (variables.NODE_EXTRA_CA_CERTS !== OWN_AUTHORITY) leadToEndpoint(variables.AWS_ENDPOINT_URL);
  const root = variables.LAMBDA_TASK_ROOT ?? process.cwd();
  try {
    process.chdir(root);
  } catch {
    // Without its directory the handler is not found, which is said in the words for it.
  }
  runtime.watchProcess();
  let handler;
  try {
    const rules = { hasCallbacks: runtime.hasCallbacks, streaming: STREAMING };
    handler = await loadHandler(root, variables._HANDLER ?? '', rules);
  } catch (error) {
    await runtime.die('Uncaught Exception', error, EXIT_EXCEPTION);
    return;
  }
  await runtime.serve(handler);
}

export class Runtime {
  #api;
  #log;
  #variables;
  #requestId = null;
  #isLoaded = false;
  #isDying = false;
  #whenIdle = null;
  #stream = null;

  constructor(api, log, variables) {
    this.#api = api;
    this.#log = log;
    this.#variables = variables;
    const version = /^AWS_Lambda_nodejs(\d+)/.exec(variables.AWS_EXECUTION_ENV ?? '');
    this.hasCallbacks = version === null || Number(version[1]) < FIRST_WITHOUT_CALLBACKS;
  }

  watchProcess() {
    process.on('uncaughtException', (error) => this.die('Uncaught Exception', error, EXIT_EXCEPTION));
    process.on('unhandledRejection', (reason, promise) =>
      this.die('Unhandled Promise Rejection', errors.unhandledRejection(reason, promise), EXIT_REJECTION),
    );
    // The event loop is empty: whoever waits for that goes on.
    process.on('beforeExit', () => {
      const callback = this.#whenIdle;
      this.#whenIdle = null;
      callback?.();
    });
  }

  // Report an error that ends the process, and end it.
  async die(title, error, code) {
    if (this.#isDying) return;
    this.#isDying = true;
    this.#log.report(title, error, errors.toLogText(error));
    const payload = errors.toPayload(error);
    const text = JSON.stringify(payload);
    try {
      if (!this.#isLoaded) await this.#api.failInit(text, payload.errorType);
      else if (this.#stream?.hasStarted) await this.#stream.finishWith(errorTrailers(payload));
      else if (this.#requestId !== null) await this.#api.fail(this.#requestId, text, payload.errorType);
    } finally {
      process.exit(code);
    }
  }

  async serve(handler) {
    this.handler = handler;
    // What the function's code left rejected while it was loaded is still an error of Init.
    await new Promise((resolve) => setImmediate(resolve));
    this.#isLoaded = true;
    try {
      let invocation = await this.#api.next();
      for (;;) invocation = await this.answer(invocation);
    } catch (error) {
      if (this.#isDying) return;
      process.stderr.write(`${error?.stack ?? error}\n`);
      process.exit(1);
    }
  }

  // Run one invocation, send what came of it, and return the next one.
  async answer({ headers, body }) {
    const requestId = headers['lambda-runtime-aws-request-id'];
    this.#requestId = requestId;
    this.#log.requestId = requestId;
    this.#log.tenantId = headers['lambda-runtime-aws-tenant-id'];
    setTrace(headers['lambda-runtime-trace-id']);
    if (this.handler[STREAMING] !== undefined) return this.#answerStreaming(requestId, headers, body);
    let text;
    try {
      const result = await this.#call(JSON.parse(body.toString('utf8')), this.#context(headers));
      text = serialise(result);
    } catch (error) {
      return this.#sendError(requestId, error);
    }
    if (this.#isDying) return new Promise(() => {});
    const next = this.#api.respondAndNext(requestId, text);
    this.#requestId = null;
    return next;
  }

  #sendError(requestId, error) {
    if (this.#isDying) return new Promise(() => {});
    this.#log.report('Invoke Error', error, errors.toLogText(error));
    const payload = errors.toPayload(error);
    const next = this.#api.failAndNext(requestId, JSON.stringify(payload), payload.errorType);
    this.#requestId = null;
    return next;
  }

  #call(event, context) {
    if (!this.hasCallbacks) return this.handler(event, context);
    return new Promise((resolve, reject) => {
      let isDone = false;
      const finish = (settle) => (value) => {
        if (isDone) return;
        isDone = true;
        this.#whenIdle = null;
        settle(value);
      };
      const succeed = finish(resolve);
      const fail = finish(reject);
      const callback = (error, result) => {
        if (error !== undefined && error !== null) fail(error);
        else if (context.callbackWaitsForEmptyEventLoop) this.#whenIdle = () => succeed(result);
        else setImmediate(succeed, result);
      };
      context.succeed = (result) => succeed(result);
      context.fail = (error) => fail(error ?? 'handled');
      context.done = (error, result) => (error !== undefined && error !== null ? fail(error) : succeed(result));
      // A handler that never answers has answered null once nothing is left to wait for.
      this.#whenIdle = () => succeed(null);
      const result = this.handler(event, context, callback);
      if (typeof result?.then === 'function') result.then(succeed, fail);
    });
  }

  async #answerStreaming(requestId, headers, body) {
    const stream = new ResponseStream(this.#api, requestId, this.handler[HIGH_WATER_MARK]);
    this.#stream = stream;
    try {
      const finished = new Promise((resolve, reject) => {
        stream.on('finish', resolve);
        stream.on('error', reject);
      });
      finished.catch(() => {});
      await this.handler(JSON.parse(body.toString('utf8')), stream, this.#context(headers));
      if (!stream.writableEnded) {
        this.#whenIdle = () => stream.end();
      }
      await finished;
      this.#whenIdle = null;
    } catch (error) {
      this.#stream = null;
      if (!stream.hasStarted) return this.#sendError(requestId, error);
      this.#log.report('Invoke Error', error, errors.toLogText(error));
      this.#requestId = null;
      return stream.finishAndNext(errorTrailers(errors.toPayload(error)));
    }
    this.#stream = null;
    this.#requestId = null;
    return stream.finishAndNext('');
  }

  #context(headers) {
    const variables = this.#variables;
    const deadline = Number(headers['lambda-runtime-deadline-ms']);
    const context = {
      callbackWaitsForEmptyEventLoop: true,
      functionVersion: variables.AWS_LAMBDA_FUNCTION_VERSION,
      functionName: variables.AWS_LAMBDA_FUNCTION_NAME,
      memoryLimitInMB: variables.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
      logGroupName: variables.AWS_LAMBDA_LOG_GROUP_NAME,
      logStreamName: variables.AWS_LAMBDA_LOG_STREAM_NAME,
      clientContext: parseHeader(headers['lambda-runtime-client-context']),
      identity: parseHeader(headers['lambda-runtime-cognito-identity']),
      invokedFunctionArn: headers['lambda-runtime-invoked-function-arn'],
      awsRequestId: headers['lambda-runtime-aws-request-id'],
      tenantId: headers['lambda-runtime-aws-tenant-id'],
      getRemainingTimeInMillis: () => deadline - Date.now(),
    };
    if (!this.hasCallbacks) delete context.callbackWaitsForEmptyEventLoop;
    return context;
  }
}

function serialise(result) {
  try {
    return JSON.stringify(result === undefined ? null : result) ?? 'null';
  } catch {
    throw new Error('Unable to stringify response body');
  }
}

// What follows the last chunk of a result that ended with an error.
function errorTrailers(payload) {
  const text = Buffer.from(JSON.stringify(payload)).toString('base64');
  const type = oneLine(payload.errorType);
  return `Lambda-Runtime-Function-Error-Type: ${type}\r\nLambda-Runtime-Function-Error-Body: ${text}\r\n`;
}

function parseHeader(text) {
  return text === undefined || text === '' ? undefined : JSON.parse(text);
}

function setTrace(traceId) {
  if (traceId === undefined) delete process.env._X_AMZN_TRACE_ID;
  else process.env._X_AMZN_TRACE_ID = traceId;
}
