/**
 * The transports: each opens one connection down, or polls repeatedly, and hands over envelopes.
 *
 * A connection does not reconnect, choose or remember; once ended it stays ended. The first
 * envelope of each is an `open`.
 *
 * @import { Endpoint } from './endpoint.js'
 * @import { TransportName } from '../encke.js'
 */
import { EnckeError, failure, onAbort, parseJson, randomId } from './base.js';
import { PING } from './endpoint.js';

/**
 * @typedef {Record<string, string>} Query
 * @typedef {object} Owner
 * @property {(connection: Connection, envelope: any) => void} _onEnvelope
 * @property {(connection: Connection, position: string) => Promise<void>} _onBatch a poll was
 *   answered up to this position; resolves when the next poll may be sent
 * @property {(connection: Connection, error: EnckeError | undefined) => void} _onEnd without an
 *   error where the platform does not say why
 */

/** One connection down. */
export class Connection {
  _abort = new AbortController();
  _createdAt = Date.now();
  /** Milliseconds since 1970; 0 until the link has seen the `open`. */
  _openedAt = 0;
  _heardAt = Date.now();
  /** Messages that were new to the link. */
  _messages = 0;
  /** Sends commands up, where the transport can. @type {((text: string) => void) | undefined} */
  _send;
  _shut = () => {};
  /** Cancels the poll in flight until the owner resolves `_onBatch`. Polling transports only. */
  _suspend = () => {};

  /**
   * @param {TransportName} kind
   * @param {Endpoint} endpoint
   * @param {() => Query} place the query that says where to resume
   * @param {Owner} owner
   */
  constructor(kind, endpoint, place, owner) {
    this._kind = kind;
    this._owner = owner;
    /** The query of the first request. */
    this._query = place();
    const run = async () => OPENERS[kind](this, endpoint, place);
    run().then((open) => open || this._end(), (error) => {
      this._end(error instanceof EnckeError ? error : failure(error instanceof SyntaxError ? 'foreign-answer' : 'cut'));
    });
  }

  get _isOver() { return this._abort.signal.aborted; }

  /** @param {any} envelope */
  _take(envelope) {
    if (this._isOver) return;
    this._heardAt = Date.now();
    if (envelope && typeof envelope === 'object') this._owner._onEnvelope(this, envelope);
  }

  /** Ends the connection without telling the owner. */
  _close() {
    if (this._isOver) return;
    this._abort.abort();
    this._shut();
  }

  /** @param {EnckeError} [error] */
  _end(error) {
    if (this._isOver) return;
    this._close();
    this._owner._onEnd(this, error);
  }
}

/**
 * @type {Record<TransportName, (connection: Connection, endpoint: Endpoint, place: () => Query) => Promise<boolean>>}
 */
const OPENERS = { ws: openSocket, stream: openStream, sse: openEvents, longpoll: poll, poll };

/**
 * Resolves at once, to true: the connection continues.
 * @param {Connection} connection
 * @param {Endpoint} endpoint
 */
async function openSocket(connection, endpoint) {
  const socket = new endpoint._runtime.WebSocket(endpoint._socketUrl(connection._query), ['encke.v1']);
  connection._send = (text) => socket.send(text);
  return attach(connection, endpoint, socket);
}

/** As `openSocket`. @param {Connection} connection @param {Endpoint} endpoint */
async function openEvents(connection, endpoint) {
  const withCredentials = endpoint._options.credentials === 'include';
  const url = endpoint._url('sse', { ...connection._query, resume: 'exact' }, true);
  return attach(connection, endpoint, new endpoint._runtime.EventSource(url, { withCredentials }));
}

/** @param {Connection} connection @param {Endpoint} endpoint @param {WebSocket | EventSource} source */
function attach(connection, endpoint, source) {
  connection._shut = () => source.close();
  source.onmessage = ({ data }) => connection._take(endpoint._decode(data));
  // An EventSource would retry by itself, but it gives up on any HTTP error and never says why.
  source.onerror = /** @type {WebSocket} */ (source).onclose = () => connection._end();
  return true;
}

/**
 * Resolves to false when the response is over.
 * @param {Connection} connection
 * @param {Endpoint} endpoint
 */
async function openStream(connection, endpoint) {
  const response = await endpoint._request('stream', { query: connection._query, signal: connection._abort.signal });
  const reader = /** @type {ReadableStream<Uint8Array>} */ (response.body).getReader();
  const decoder = new TextDecoder();
  let rest = '';
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    connection._heardAt = Date.now();
    const lines = (rest + decoder.decode(part.value, { stream: true })).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) if (line) connection._take(parseJson(line));
  }
  return false;
}

/**
 * Long poll and poll. They differ in where the wait is: at the server, or here.
 * @param {Connection} connection
 * @param {Endpoint} endpoint
 * @param {() => Query} place
 */
async function poll(connection, endpoint, place) {
  const held = connection._kind === 'longpoll';
  while (!connection._isOver) {
    const first = !connection._openedAt;
    // The server holds a poll that resumes a session without news. A command makes it answer at once.
    const body = held && first ? `[${PING}]` : undefined;
    const limit = held && !first ? POLL_HOLD_MAX_MS : undefined;
    const begun = Date.now();
    const stop = new AbortController();
    connection._shut = connection._suspend = () => stop.abort();
    /** @type {Answer} */
    let answer;
    try {
      answer = await ask(connection, endpoint, first ? connection._query : place(), { body, signal: stop.signal, limit });
    } catch (error) {
      if (stop.signal.aborted && !connection._isOver) {
        await connection._owner._onBatch(connection, '');
        continue;
      }
      // A gateway with a shorter limit than the server ended the poll: nothing is lost.
      if (held && !first && error instanceof EnckeError && error.code === 'gateway' && Date.now() - begun > GATEWAY_HOLD_MS) continue;
      throw error;
    }
    const { envelopes, session, position } = answer;
    if (first && !envelopes[0]?.open) connection._take({ open: { session, position, resumed: true } });
    await deliver(connection, answer);
    if (held) {
      if (endpoint._options.overlap && !connection._isOver) await overlapPolls(connection, endpoint, place);
    } else if (!connection._isOver) {
      await delay(envelopes.at(-1)?.advice?.poll ?? 1000, connection._abort.signal);
      await connection._owner._onBatch(connection, '');
    }
  }
  return true;
}

/** @typedef {{ envelopes: any[], session: string, position: string }} Answer */

/**
 * One poll.
 * @param {Connection} connection
 * @param {Endpoint} endpoint
 * @param {Query} query
 * @param {object} how
 * @returns {Promise<Answer>}
 */
async function ask(connection, endpoint, query, how) {
  return readAnswer(await endpoint._request(connection._kind, { query, ...how }));
}

/** @param {Response} response @returns {Promise<Answer>} */
export async function readAnswer(response) {
  const header = (/** @type {string} */ name) => response.headers.get(`Encke-${name}`) ?? '';
  return { envelopes: await response.json(), session: header('Session'), position: header('Position') };
}

/**
 * Hands over what a poll brought; resolves when the next may be sent.
 * @param {Connection} connection
 * @param {Answer} answer
 */
async function deliver(connection, { envelopes, position }) {
  for (const envelope of envelopes) if (!envelope.ok && !envelope.advice) connection._take(envelope);
  if (!connection._isOver) await connection._owner._onBatch(connection, position);
}

/**
 * Keeps two long polls at the server, so that one is always waiting there. The server answers them
 * in order, but each over its own connection: an answer that overtakes the other is held until the
 * other arrives. If that does not arrive, neither counts, and polling resumes from the position.
 * @param {Connection} connection
 * @param {Endpoint} endpoint
 * @param {() => Query} place
 */
async function overlapPolls(connection, endpoint, place) {
  const both = new AbortController();
  const { signal } = both;
  const stop = () => both.abort();
  connection._shut = connection._suspend = stop;
  const how = { signal, limit: POLL_HOLD_MAX_MS };
  /** @type {Promise<Answer>[]} */
  const polls = [];
  try {
    while (!connection._isOver) {
      // The server answers first the poll that reached it first.
      if (!polls.length) {
        polls.push(ask(connection, endpoint, place(), how));
        await Promise.race([polls[0], delay(HEAD_START_MS, signal)]);
      }
      const { session } = place();
      polls.push(ask(connection, endpoint, { session, overlap: '1' }, how));
      const [first, second] = polls;
      const overdue = second.then(() => delay(OVERTAKEN_MAX_MS, signal)).then(() => { throw new Error(); });
      // Nothing awaits these after the race: their rejections must not count as unhandled.
      for (const promise of [second, overdue]) promise.catch(() => {});
      const answer = await Promise.race([first, overdue]);
      polls.shift();
      await deliver(connection, answer);
    }
  } catch {
    // The next single poll meets the same error again, or nothing is lost.
    if (!connection._isOver) await connection._owner._onBatch(connection, '');
  } finally {
    stop();
  }
}

/**
 * Resolves when data has come through a transport; rejects otherwise.
 * @param {TransportName} kind
 * @param {Endpoint} endpoint
 */
export function probe(kind, endpoint) {
  return new Promise((pass, fail) => {
    /** @param {EnckeError} [error] */
    const end = (error) => {
      clearTimeout(timer);
      close();
      if (error) fail(error);
      else pass(undefined);
    };
    const close = (kind === 'ws' ? probeSocket : probeSession)(kind, endpoint, () => end(), () => end(failure('blocked')));
    const timer = setTimeout(() => end(failure('held-back')), OPEN_MAX_MS);
  });
}

/**
 * @param {TransportName} _
 * @param {Endpoint} endpoint
 * @param {() => void} pass
 * @param {() => void} fail
 * @returns {() => void} ends the probe
 */
function probeSocket(_, endpoint, pass, fail) {
  // The server echoes each message; no session takes part.
  const socket = new endpoint._runtime.WebSocket(endpoint._socketUrl({ echo: '1' }), ['encke.echo']);
  const word = randomId();
  socket.onopen = () => socket.send(word);
  socket.onmessage = ({ data }) => (data === word ? pass() : fail());
  socket.onerror = socket.onclose = fail;
  return () => {
    socket.onerror = socket.onclose = null;
    socket.close();
  };
}

/**
 * Opens a session of its own and ends it: the link's session is not disturbed.
 * @type {typeof probeSocket}
 */
function probeSession(kind, endpoint, pass, fail) {
  const connection = new Connection(kind, endpoint, () => ({}), {
    _onEnvelope: (_, { open }) => {
      if (!open) return;
      endpoint._endSession(open.session);
      pass();
    },
    _onBatch: async () => {},
    _onEnd: fail,
  });
  return () => connection._close();
}

/**
 * Resolves after a while, or as soon as the signal aborts.
 * @param {number} ms
 * @param {AbortSignal} signal
 */
function delay(ms, signal) {
  return new Promise((done) => {
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', end);
      done(undefined);
    };
    const timer = setTimeout(end, ms);
    onAbort(signal, end);
  });
}

/** Time for the first data of a transport that works. */
export const OPEN_MAX_MS = 4_000;
/** Silence after which a long poll is dead: servers hold one for 55 s, some for two minutes. */
const POLL_HOLD_MAX_MS = 130_000;
/** Time in which the first of two polls reaches the server. */
const HEAD_START_MS = 250;
/** How long an answer that overtook another waits for it. */
const OVERTAKEN_MAX_MS = 2_000;
/** A long poll that a gateway ends later than that was held, not refused. */
const GATEWAY_HOLD_MS = 1_000;
