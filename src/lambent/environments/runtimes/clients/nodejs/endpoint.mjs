// The AWS SDK for JavaScript v2 knows no AWS_ENDPOINT_URL: its requests to *.amazonaws.com are led there. Bundles hold it
// in their own file, so not the SDK is changed but what it asks by: the request of https, and of http (queues' addresses
// may have that scheme), once somebody requires them. The Host header, which is signed, stays as it is; by it the
// endpoint knows which service is meant. Only where AWS's names do not lead there by themselves: at level L0, with
// network.amazonaws=pass, or when the function names certificates of its own.

import Module from 'node:module';

const NAMES = new Set(['http', 'https']);
const OF_AWS = /\.amazonaws\.com(\.cn)?$/i;

// Lead there from now on; without an endpoint, or with one that is of AWS itself, nothing is changed.
export function leadToEndpoint(text) {
  let endpoint;
  try {
    endpoint = new URL(text);
  } catch {
    return;
  }
  if (endpoint.protocol !== 'http:') return;
  const load = Module._load;
  let plain;
  const led = new Set();
  Module._load = function (name, ...rest) {
    const loaded = load.call(this, name, ...rest);
    const bare = typeof name === 'string' ? name.replace(/^node:/, '') : '';
    if (NAMES.has(bare) && !led.has(bare)) {
      led.add(bare);
      // Not before somebody needs it: it is a part of Node.js that takes time to load.
      plain ??= load.call(this, 'http').request;
      loaded.request = leading(loaded.request, plain, endpoint);
    }
    return loaded;
  };
}

function leading(request, plain, endpoint) {
  return function (...given) {
    const options = given[0];
    const host = isOptions(options) ? (options.hostname ?? options.host) : undefined;
    if (typeof host !== 'string' || !OF_AWS.test(host)) return request.apply(this, given);
    const headers = { ...options.headers };
    if (!Object.keys(headers).some((name) => name.toLowerCase() === 'host')) headers.Host = host;
    const changed = { ...options, headers, protocol: 'http:', host: endpoint.hostname, port: endpoint.port || 80 };
    delete changed.hostname;
    delete changed.agent;
    return plain(changed, ...given.slice(1));
  };
}

function isOptions(given) {
  return typeof given === 'object' && given !== null && !(given instanceof URL);
}
