/**
 * A page that uses the client library as any page would, and keeps what it saw for the test to read.
 *
 * The library is the server's own `/encke.js`, or `/encke.classic.js`, as it is. Query: `from` (the server's origin, when the
 * page is of another one), `build=classic`, `clock=ahead` (a clock that can be put forward), `begin` (the argument of a call of `window.begin` while the page is still loading).
 */

import { awkward } from './awkward.mjs';

const query = new URLSearchParams(location.search);
const from = query.get('from') ?? '';

/** Puts the clock forward. Whatever looks at it every ten seconds does so every tenth of one. */
if (query.get('clock')) {
  let ahead = 0;
  const { now } = Date;
  const every = setInterval;
  Date.now = () => now() + ahead;
  window.setInterval = (work, ms) => every(work, ms === 10_000 ? 100 : ms);
  window.putForward = (ms) => { ahead += ms; };
}

/** The clients of this page by name, and what each saw. */
window.clients = {};
window.seen = {};

/**
 * Connects and subscribes.
 * @param {string} name
 * @param {string} url
 * @param {{ channel: string, last?: number, tokens?: string[], options?: object }} how `tokens`: handed out one after the other
 */
window.begin = async (name, url, { channel, last, tokens, options = {} }) => {
  const saw = window.seen[name] = { seq: [], said: [], wrong: [], gaps: [], states: [], outcomes: [], refused: '' };
  const token = tokens ? () => tokens.shift() ?? Promise.reject(new Error('no more')) : undefined;
  let client;
  try {
    client = (await library).connect(`${from}${url}`, { ...(token && { token }), ...options });
  } catch (error) {
    saw.refused = `${error.name}: ${error.message}`;
    return;
  }
  window.clients[name] = client;
  const note = ({ state, cause, transport }) => {
    const { kind, code, status } = cause ?? {};
    saw.states.push({ state, kind, code, status, transport, leads: client.leads, at: Date.now() });
  };
  client.on('state', note);
  client.on('gap', (gap) => saw.gaps.push(gap));
  client.on('error', (error) => saw.wrong.push(`error ${error.code}`));
  client.subscribe(channel, ({ data }) => {
    if (data?.n === undefined) return void saw.said.push(data);
    saw.seq.push(data.n);
    if (data.text !== awkward(data.n)) saw.wrong.push(`text of ${data.n}`);
  }, { last }).then(() => { saw.subscribed = true; }, (error) => { saw.outcomes.push(error.code); });
};

/** Publishes values; what came of each is kept in order of the answers. */
window.say = (name, channel, values) => {
  for (const value of values) {
    window.clients[name].publish(channel, value).then(() => 'ok', (error) => error.code)
      .then((outcome) => window.seen[name].outcomes.push(outcome));
  }
};

/** How a client stands now. */
window.stands = (name) => {
  const { state, cause, transport, session, leads, why } = window.clients[name];
  return { state, cause, transport, session, leads, why, count: window.seen[name].seq.length };
};

/** A build without modules makes one global. */
function classic() {
  return new Promise((done, failed) => {
    const script = document.createElement('script');
    script.src = `${from}/encke.classic.js`;
    script.onload = () => done(window.Encke);
    script.onerror = () => failed(new Error('the classic build did not load'));
    document.head.append(script);
  });
}

const library = query.get('build') === 'classic' ? classic() : import(`${from}/encke.js`);
window.library = await library;
if (query.get('begin')) await window.begin(...JSON.parse(query.get('begin')));
