// Resolves bare imports of ES modules in the directories of NODE_PATH when node's own search found nothing.
// A module for Module.register (its own thread), for Module.registerHooks, and, before there was either (node older
// than 18.19), for --experimental-loader, which gives it nothing: it takes NODE_PATH as it is when first needed.

import { delimiter } from 'node:path';
import { pathToFileURL } from 'node:url';

let directories;

export async function initialize(data) {
  directories = data;
}

export async function resolve(specifier, context, next) {
  try {
    return await next(specifier, context);
  } catch (error) {
    if (!isMissingPackage(error, specifier)) throw error;
    directories ??= (process.env.NODE_PATH ?? '').split(delimiter).filter(Boolean);
    for (const parentURL of parents(directories)) {
      try {
        return await next(specifier, { ...context, parentURL });
      } catch {
        continue;
      }
    }
    throw error;
  }
}

export function resolveSync(places) {
  return (specifier, context, next) => {
    try {
      return next(specifier, context);
    } catch (error) {
      if (!isMissingPackage(error, specifier)) throw error;
      for (const parentURL of parents(places)) {
        try {
          return next(specifier, { ...context, parentURL });
        } catch {
          continue;
        }
      }
      throw error;
    }
  };
}

function isMissingPackage(error, specifier) {
  const isMissing = error?.code === 'ERR_MODULE_NOT_FOUND' || error?.code === 'MODULE_NOT_FOUND';
  return isMissing && !/^([./]|[a-z]+:)/.test(specifier);
}

// As if a file beside each node_modules directory had asked.
function parents(places) {
  return places.map((place) => pathToFileURL(`${place.replace(/\/node_modules$/, '')}/index.mjs`).href);
}
