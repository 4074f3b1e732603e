// The libraries under test, as they come from the registry, in this Node.
import { createRequire } from 'node:module';
import { cometdClient } from './page/cometd.mjs';
import { fayeClient } from './page/faye.mjs';

const require = createRequire(import.meta.url);

/** The version that is installed under a name. */
export const version = (name) => require(`./node_modules/${name}/package.json`).version;

/** Cookies by client, as if each ran in a browser of its own. `context` is what the library hands on to its requests. */
function cookieJars() {
  const jars = new WeakMap();
  return {
    retrieveCookies(context, uri, done) {
      jars.set(uri, context?.jar ?? {});
      done(null, Object.values(jars.get(uri)));
    },
    storeCookie(uri, header, done) {
      const [pair] = header.split(';');
      jars.get(uri)[pair.split('=')[0].trim()] = pair.trim();
      done();
    },
  };
}

const withToken = ({ token, ...options }) => (token ? { ...options, handshake: { ext: { token } } } : options);

function cometdOf(library) {
  return (url, options) => cometdClient(library, url, withToken({ context: { jar: {} }, ...options }));
}

/** CometD 9, which is made of modules. One version of CometD for each process: both adapt the same global `window`. */
export async function cometd9(cookies = cookieJars()) {
  const { adapt } = await import('cometd-nodejs-client-2');
  adapt({ cookies });
  return cometdOf(await import('cometd-9'));
}

/** CometD 7, the last that was made for `require`, and the last in which every extension is a file of its own. */
export function cometd7() {
  require('cometd-nodejs-client').adapt({ cookies: cookieJars() });
  const library = { ...require('cometd') };
  for (const name of ['Ack', 'TimeStamp', 'TimeSync']) library[`${name}Extension`] = require(`cometd/${name}Extension`);
  return cometdOf(library);
}

export function faye() {
  const library = require('faye');
  return (url, { token, ...options }) => {
    const outgoing = (message, pass) => pass(message.channel === '/meta/handshake' ? { ...message, ext: { token } } : message);
    return fayeClient(library, url, token ? { ...options, extension: { outgoing } } : options);
  };
}
