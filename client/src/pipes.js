/**
 * The transports: each opens one connection down, or asks again and again, and hands over envelopes.
 *
 * They do not reconnect, choose or remember; a pipe that has ended stays so. The first envelope of each is an `open`.
 *
 * @import { Way } from './way.js'
 * @import { TransportName } from '../encke.js'
 */
import { EnckeError, parsed, randomId } from './base.js';

/**
 * @typedef {object} Ends who hears of a pipe
 * @property {(pipe: Pipe, envelope: any) => void} took
 * @property {(pipe: Pipe, position: string) => Promise<void>} reached a batch is over, and one is here now; resolves when the next may be asked for
 * @property {(pipe: Pipe, error: EnckeError | undefined) => void} ended undefined: the platform does not tell why
 */

/** One connection down. */
export class Pipe {
  /**
   * @param {TransportName} kind
   * @param {Way} way
   * @param {() => Record<string, string>} place the query that says where to go on from
   * @param {Ends} ends
   */
  constructor(kind, way, place, ends) {
    this.kind = kind;
    this.ends = ends;
    this.stop = new AbortController();
    this.openedAt = 0;
    this.heardAt = Date.now();
    this.messages = 0;
    /** What it was asked with when it opened. */
    this.asked = place();
    /** @type {((text: string) => void) | undefined} sends commands up, where that is possible */
    this.up = undefined;
    this.shut = () => {};
    /** Takes back what it asked, until the owner lets it ask again; only what asks again and again can. */
    this.rest = () => {};
    const run = async () => OPENERS[kind](this, way, place);
    run().then((open) => open || this.end(), (error) => {
      if (error instanceof EnckeError) this.end(error);
      else if (error instanceof SyntaxError) this.end(new EnckeError('middlebox', 'foreign-answer', 'the answer is not this server\'s'));
      else this.end(new EnckeError('network', 'cut', 'the connection was cut'));
    });
  }

  get over() { return this.stop.signal.aborted; }

  /** @param {any} envelope */
  take(envelope) {
    if (this.over) return;
    this.heardAt = Date.now();
    if (envelope && typeof envelope === 'object') this.ends.took(this, envelope);
  }

  /** Ends it without a word to its owner. */
  close() {
    if (this.over) return;
    this.stop.abort();
    this.shut();
  }

  /** @param {EnckeError} [error] */
  end(error) {
    if (this.over) return;
    this.close();
    this.ends.ended(this, error);
  }
}

/** @type {Record<TransportName, (pipe: Pipe, way: Way, place: () => Record<string, string>) => Promise<boolean>>} */
const OPENERS = { ws: openSocket, stream: openStream, sse: openEvents, longpoll: poll, poll };

/** Resolves at once, to true: the pipe goes on. @param {Pipe} pipe @param {Way} way */
async function openSocket(pipe, way) {
  const socket = new way.runtime.WebSocket(way.socketUrl(pipe.asked), ['encke.v1']);
  pipe.shut = () => socket.close();
  pipe.up = (text) => socket.send(text);
  socket.onmessage = ({ data }) => pipe.take(parsed(data));
  socket.onerror = () => pipe.end();
  socket.onclose = () => pipe.end();
  return true;
}

/** @param {Pipe} pipe @param {Way} way */
async function openEvents(pipe, way) {
  const withCredentials = way.options.credentials === 'include';
  const source = new way.runtime.EventSource(way.url('sse', { ...pipe.asked, resume: 'exact' }, true), { withCredentials });
  pipe.shut = () => source.close();
  source.onmessage = ({ data }) => pipe.take(parsed(data));
  // It would come back by itself, but gives up on any HTTP error and never says why.
  source.onerror = () => pipe.end();
  return true;
}

/** Resolves to false when the response is over. @param {Pipe} pipe @param {Way} way */
async function openStream(pipe, way) {
  const response = await way.request('stream', { query: pipe.asked, signal: pipe.stop.signal });
  const reader = /** @type {ReadableStream<Uint8Array>} */ (response.body).getReader();
  const decoder = new TextDecoder();
  let rest = '';
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    pipe.heardAt = Date.now();
    const lines = (rest + decoder.decode(part.value, { stream: true })).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) if (line) pipe.take(parsed(line));
  }
  return false;
}

/** Long poll and poll differ only in who waits. @param {Pipe} pipe @param {Way} way @param {() => Record<string, string>} place */
async function poll(pipe, way, place) {
  const held = pipe.kind === 'longpoll';
  const { signal } = pipe.stop;
  while (!pipe.over) {
    const first = !pipe.openedAt;
    // A session that is taken up says nothing by itself: a command has the first poll answered at once.
    const body = held && first ? '[{"ping":0}]' : undefined;
    const limit = held && !first ? HOLD : undefined;
    const begun = Date.now();
    const stop = new AbortController();
    pipe.shut = pipe.rest = () => stop.abort();
    /** @type {Answer} */
    let answer;
    try {
      answer = await ask(pipe, way, first ? pipe.asked : place(), { body, signal: stop.signal, limit });
    } catch (error) {
      if (stop.signal.aborted && !pipe.over) {
        await pipe.ends.reached(pipe, '');
        continue;
      }
      // A gateway that does not wait as long as the server does: nothing is lost, it is asked again.
      if (held && !first && error instanceof EnckeError && error.code === 'gateway' && Date.now() - begun > CUT_AFTER) continue;
      throw error;
    }
    if (pipe.over) return true;
    const { envelopes, session, position } = answer;
    if (first && !envelopes[0]?.open) pipe.take({ open: { session, position, resumed: true } });
    await give(pipe, answer);
    if (pipe.over) return true;
    if (held && way.options.overlap) await pollTwice(pipe, way, place);
    if (held) continue;
    await pause(envelopes.at(-1)?.advice?.poll ?? 1000, signal);
    await pipe.ends.reached(pipe, '');
  }
  return true;
}

/** @typedef {{ envelopes: any[], session: string, position: string }} Answer */

/** One poll. @param {Pipe} pipe @param {Way} way @param {Record<string, string>} query @param {object} how @returns {Promise<Answer>} */
async function ask(pipe, way, query, how) {
  const response = await way.request(pipe.kind, { query, ...how });
  const named = (/** @type {string} */ name) => response.headers.get(name) ?? '';
  return { envelopes: await response.json(), session: named('Encke-Session'), position: named('Encke-Position') };
}

/** Hands over what a poll brought; resolves when the next may be asked for. @param {Pipe} pipe @param {Answer} answer */
async function give(pipe, { envelopes, position }) {
  for (const envelope of envelopes) if (!envelope.ok && !envelope.advice) pipe.take(envelope);
  if (!pipe.over) await pipe.ends.reached(pipe, position);
}

/**
 * Two long polls at once, so that one is always there to be answered. The server answers them in their order, but each by a connection of
 * its own: an answer that overtakes the other is held until that is in. If it does not come, neither counts, and the position is asked
 * from again. Resolves then. @param {Pipe} pipe @param {Way} way @param {() => Record<string, string>} place
 */
async function pollTwice(pipe, way, place) {
  const both = new AbortController();
  const stop = () => both.abort();
  pipe.rest = stop;
  pipe.stop.signal.addEventListener('abort', stop, { once: true });
  const how = { signal: both.signal, limit: HOLD };
  /** @type {Promise<Answer>[]} */
  const out = [];
  try {
    while (!pipe.over) {
      // The first is at the server before the second: it is the one that is answered first.
      if (!out.length) {
        out.push(ask(pipe, way, place(), how));
        await Promise.race([out[0], pause(AHEAD, both.signal)]);
      }
      const { session } = place();
      out.push(ask(pipe, way, { session, overlap: '1' }, how));
      const [first, second] = out;
      const overdue = second.then(() => pause(OVERDUE, both.signal)).then(() => { throw new Error('overtaken'); });
      // Whichever is not waited for any more is not missed.
      for (const promise of [second, overdue]) promise.catch(() => {});
      const answer = await Promise.race([first, overdue]);
      out.shift();
      await give(pipe, answer);
    }
  } catch {
    // Whatever it is, a single poll from the position meets it again, or nothing is lost.
    if (!pipe.over) await pipe.ends.reached(pipe, '');
  } finally {
    pipe.stop.signal.removeEventListener('abort', stop);
    stop();
  }
}

/** Resolves when a transport has let something through; rejects when it has not. @param {TransportName} kind @param {Way} way */
export function probe(kind, way) {
  return new Promise((pass, fail) => {
    const held = () => end(new EnckeError('middlebox', 'held-back', 'nothing came in time'));
    const timer = setTimeout(held, OPEN_LIMIT);
    /** @param {EnckeError} [error] */
    const end = (error) => {
      clearTimeout(timer);
      close();
      if (error) fail(error);
      else pass(undefined);
    };
    const blocked = () => end(new EnckeError('middlebox', 'blocked', 'it is not let through'));
    const close = (kind === 'ws' ? echo : trial)(kind, way, () => end(), blocked);
  });
}

/** @param {TransportName} _ @param {Way} way @param {() => void} pass @param {() => void} fail @returns {() => void} ends it */
function echo(_, way, pass, fail) {
  // The server sends back what it gets here; no session is touched.
  const socket = new way.runtime.WebSocket(way.socketUrl({ echo: '1' }), ['encke.echo']);
  const word = randomId();
  socket.onopen = () => socket.send(word);
  socket.onmessage = ({ data }) => (data === word ? pass() : fail());
  socket.onerror = fail;
  socket.onclose = fail;
  return () => {
    socket.onerror = socket.onclose = null;
    socket.close();
  };
}

/** A session of its own, ended at once: our own one is not disturbed. @type {typeof echo} */
function trial(kind, way, pass, fail) {
  const pipe = new Pipe(kind, way, () => ({}), {
    took: (_, { open }) => {
      if (!open) return;
      way.send(['{"close":true}'], open.session).catch(() => {});
      pass();
    },
    reached: async () => {},
    ended: fail,
  });
  return () => pipe.close();
}

/** @param {number} ms @param {AbortSignal} signal */
function pause(ms, signal) {
  return new Promise((done) => {
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', end);
      done(undefined);
    };
    const timer = setTimeout(end, ms);
    signal.addEventListener('abort', end);
  });
}

/** Time in which something must come through a transport that works. Milliseconds. */
export const OPEN_LIMIT = 4_000;
/** A long poll is held for 55 s by default, up to two minutes by some servers; one silent for longer is dead. Milliseconds. */
const HOLD = 130_000;
/** The first of two polls has reached the server by then. Milliseconds. */
const AHEAD = 250;
/** An answer that overtook another waits no longer for that. Milliseconds. */
const OVERDUE = 2_000;
/** A long poll that a gateway ends later than that was held, not refused. Milliseconds. */
const CUT_AFTER = 1_000;
