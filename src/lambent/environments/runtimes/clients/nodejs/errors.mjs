// Errors in the forms of AWS's Node.js runtime: the payload a caller gets, and the text in the log.

import { types } from 'node:util';

// An error whose name is not that of its class.
class RuntimeError extends Error {
  constructor(name, reason) {
    super(reason instanceof Error ? String(reason) : reason);
    this.name = name;
    Object.defineProperty(this, 'name', { enumerable: false });
    // The stack's first line was written with the class's name.
    const frames = String(this.stack).split('\n').filter((line) => line.startsWith('    at '));
    this.stack = [`${name}: ${this.message}`, ...frames].join('\n');
  }
}

export const importModuleError = (reason) => new RuntimeError('Runtime.ImportModuleError', reason);
export const handlerNotFound = (reason) => new RuntimeError('Runtime.HandlerNotFound', reason);
export const malformedHandlerName = (reason) => new RuntimeError('Runtime.MalformedHandlerName', reason);
export const userCodeSyntaxError = (reason) => new RuntimeError('Runtime.UserCodeSyntaxError', reason);
export const callbackRemoved = (reason) => new RuntimeError('Runtime.CallbackHandlerDeprecated', reason);
export const malformedStreaming = (reason) => new RuntimeError('Runtime.MalformedStreamingHandler', reason);

export function unhandledRejection(reason, promise) {
  const error = new RuntimeError('Runtime.UnhandledPromiseRejection', String(reason));
  error.reason = reason;
  error.promise = promise;
  return error;
}

export function isError(value) {
  return (
    types.isNativeError(value) ||
    (value !== null && typeof value === 'object' && 'name' in value && 'message' in value && 'stack' in value)
  );
}

// The payload: {errorType, errorMessage, trace}.
export function toPayload(error) {
  try {
    if (isError(error)) {
      return {
        errorType: String(error.name).replace(/\x7f/g, '%7F'),
        errorMessage: String(error.message).replace(/\x7f/g, '%7F'),
        trace: String(error.stack).replace(/\x7f/g, '%7F').split('\n'),
      };
    }
    return { errorType: typeof error, errorMessage: String(error), trace: [] };
  } catch {
    return {
      errorType: 'handled',
      errorMessage:
        'callback called with Error argument, but there was a problem while retrieving one or more of its message, ' +
        'name, and stack',
    };
  }
}

// The log's text: a tab and one JSON object with all of the error's own properties.
export function toLogText(error) {
  try {
    return `\t${JSON.stringify(error, (_, value) => withProperties(value))}`;
  } catch {
    return `\t${JSON.stringify(toPayload(error))}`;
  }
}

function withProperties(value) {
  if (!(value instanceof Error)) return value;
  const all = { errorType: value.name, errorMessage: value.message, code: value.code, ...value };
  if (typeof value.stack === 'string') all.stack = value.stack.split('\n');
  return all;
}
