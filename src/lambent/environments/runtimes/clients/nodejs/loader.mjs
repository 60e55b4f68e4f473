// From _HANDLER ("directory/file.object.function") to the function itself.

import { existsSync, readFileSync } from 'node:fs';
import Module, { createRequire } from 'node:module';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import * as errors from './errors.mjs';

const PARTS = /^([^.]*)\.(.*)$/;
const MISSING = new Set(['MODULE_NOT_FOUND', 'ERR_MODULE_NOT_FOUND']);
const CALLBACK_TEXT =
  'AWS Lambda has removed support for callback-based function handlers starting with Node.js 24. ' +
  'You need to modify this function to use a supported handler signature to use Node.js 24 or later. ' +
  'For more information see https://docs.aws.amazon.com/lambda/latest/dg/nodejs-handler.html.';

// Return the handler; throws Runtime.* errors and what the function's own code throws.
export async function loadHandler(root, name, { hasCallbacks, streaming }) {
  if (name.includes('..')) {
    throw errors.malformedHandlerName(
      `'${name}' is not a valid handler name. Use absolute paths when specifying root directories in handler names.`,
    );
  }
  const file = path.basename(name);
  const directory = name.slice(0, name.lastIndexOf(file));
  const parts = PARTS.exec(file);
  if (parts === null || parts.length !== 3) throw errors.malformedHandlerName('Bad handler');
  // Requires and hooks follow the variables, which came after the process's start.
  Module._initPaths();
  const module = await loadModule(root, directory, parts[1]);
  const handler = resolve(module, parts[2]);
  if (handler === undefined || handler === null) {
    throw errors.handlerNotFound(`${name} is undefined or not exported`);
  }
  if (typeof handler !== 'function') throw errors.handlerNotFound(`${name} is not a function`);
  if (!hasCallbacks && handler.length >= 3 && handler[streaming] === undefined) {
    throw errors.callbackRemoved(CALLBACK_TEXT);
  }
  return handler;
}

function resolve(module, names) {
  const walk = (from) => names.split('.').reduce((value, each) => value?.[each], from);
  return walk(module) ?? walk(module?.default);
}

async function loadModule(root, directory, name) {
  const place = path.resolve(root, directory, name);
  // Errors name the runtime's own file at the end of the chain of requires, as on AWS.
  const require = createRequire(path.join(process.env.LAMBDA_RUNTIME_DIR ?? '/var/runtime', 'index.mjs'));
  try {
    for (const suffix of ['', '.js', '.mjs', '.cjs']) {
      const file = place + suffix;
      if (!existsSync(file)) continue;
      const isModule = suffix === '.mjs' || (suffix === '.js' && isModulePackage(place, root));
      return await (isModule ? importModule(file) : requireModule(require, file));
    }
    return require(require.resolve(name, { paths: [root, path.join(root, directory)] }));
  } catch (error) {
    if (error instanceof SyntaxError) throw errors.userCodeSyntaxError(error);
    if (MISSING.has(error?.code)) throw errors.importModuleError(error);
    throw error;
  }
}

async function requireModule(require, file) {
  try {
    return require(file);
  } catch (error) {
    if (error?.code !== 'ERR_REQUIRE_ESM' && error?.code !== 'ERR_REQUIRE_ASYNC_MODULE') throw error;
    return importModule(file);
  }
}

async function importModule(file) {
  await searchNodePath(path.dirname(file));
  return import(pathToFileURL(file).href);
}

// Whether the nearest package.json says "type": "module".
function isModulePackage(place, root) {
  let directory = path.dirname(place);
  for (;;) {
    try {
      return JSON.parse(readFileSync(path.join(directory, 'package.json'), 'utf8')).type === 'module';
    } catch (error) {
      if (error?.code !== 'ENOENT') return false;
    }
    if (directory === root || directory === path.dirname(directory)) return false;
    directory = path.dirname(directory);
  }
}

// ES modules do not look at NODE_PATH by themselves; on AWS they find the SDK and layers there all the same.
async function searchNodePath(directory) {
  const reachable = new Set();
  for (let at = directory; ; at = path.dirname(at)) {
    reachable.add(path.join(at, 'node_modules'));
    if (at === path.dirname(at)) break;
  }
  const places = (process.env.NODE_PATH ?? '').split(path.delimiter);
  const missed = places.filter((each) => each.endsWith('/node_modules') && !reachable.has(each) && existsSync(each));
  if (missed.length === 0) return;
  if (typeof Module.registerHooks === 'function') {
    const { resolveSync } = await import('./node_path.mjs');
    Module.registerHooks({ resolve: resolveSync(missed) });
  } else if (typeof Module.register === 'function') {
    Module.register('./node_path.mjs', import.meta.url, { data: missed });
  }
}
