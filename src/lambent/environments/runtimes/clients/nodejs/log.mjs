// The console as AWS's Node.js runtime gives it: text lines "time, request id, level, message" or JSON lines.
// Line ends inside a text message are carriage returns, so that one call stays one record.

import { format } from 'node:util';

const LEVELS = { TRACE: 1, DEBUG: 2, INFO: 3, WARN: 4, ERROR: 5, FATAL: 6 };
const METHODS = {
  trace: 'TRACE',
  debug: 'DEBUG',
  log: 'INFO',
  info: 'INFO',
  warn: 'WARN',
  error: 'ERROR',
  fatal: 'FATAL',
};

export class FunctionLog {
  #isJson;
  #lowest;
  requestId = undefined;
  tenantId = undefined;

  constructor(variables) {
    this.#isJson = (variables.AWS_LAMBDA_LOG_FORMAT ?? '').toUpperCase() === 'JSON';
    this.#lowest = LEVELS[(variables.AWS_LAMBDA_LOG_LEVEL ?? '').toUpperCase()] ?? LEVELS.TRACE;
  }

  // Put this log behind the global console.
  install() {
    for (const [method, level] of Object.entries(METHODS)) {
      console[method] = LEVELS[level] < this.#lowest ? () => {} : (...values) => this.#write(level, values);
    }
  }

  // Report an error of the function: `title` is "Invoke Error", "Uncaught Exception" or "Unhandled Promise Rejection".
  report(title, error, text) {
    this.#write('ERROR', this.#isJson ? [title, error] : [title, text]);
  }

  #write(level, values) {
    process.stdout.write(`${this.#isJson ? this.#jsonLine(level, values) : this.#textLine(level, values)}\n`);
  }

  #textLine(level, values) {
    const line = `${new Date().toISOString()}\t${this.requestId}\t${level}\t${format(...values)}`;
    return line.replace(/\n/g, '\r');
  }

  #jsonLine(level, values) {
    const line = { timestamp: new Date().toISOString(), level, requestId: this.requestId };
    if (this.tenantId !== undefined) line.tenantId = this.tenantId;
    if (values.length === 1) {
      line.message = values[0];
      try {
        return JSON.stringify(line, replaceErrors);
      } catch {
        line.message = format(values[0]);
        return JSON.stringify(line);
      }
    }
    line.message = format(...values);
    const error = values.find((value) => value instanceof Error);
    if (error !== undefined) {
      line.errorType = error.constructor?.name ?? 'UnknownError';
      line.errorMessage = error.message;
      line.stackTrace = typeof error.stack === 'string' ? error.stack.split('\n') : [];
    }
    return JSON.stringify(line);
  }
}

function replaceErrors(_, value) {
  if (!(value instanceof Error)) return value;
  const stackTrace = typeof value.stack === 'string' ? value.stack.split('\n') : value.stack;
  return { errorType: value.constructor?.name ?? 'UnknownError', errorMessage: value.message, stackTrace, ...value };
}
