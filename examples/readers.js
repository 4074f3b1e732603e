/**
 * One small reader for each transport, without the library, as plain as the platform allows.
 *
 * `open` gets a function that builds URLs, and callbacks for envelopes and the end; it returns a function that stops the
 * reader. The caller resumes. `held` is true if the reader occupies one of the browser's few connections to a host.
 */

/**
 * @typedef {object} Hearing
 * @property {(envelope: any) => void} took
 * @property {(reason: string) => void} ended called at most once, and not after a stop
 * @typedef {(name: string, query?: Record<string, string>) => string} Url called for each request, since the position changes
 * @typedef {{ name: string, held: boolean, about: string, once?: true, open: (url: Url, hearing: Hearing) => () => void }} Reader
 *   `once`: not retried if nothing arrived. WebKit passes parts only to images, and does not release the connection
 */

/** WebKit counts WebSockets among the six connections to a host; other engines do not. */
const SOCKETS_COUNT = /AppleWebKit/.test(navigator.userAgent) && !/Chrom/.test(navigator.userAgent);

/** @type {Reader['open']} */
function ws(url, { took, ended }) {
  const socket = new WebSocket(url('ws').replace(/^http/, 'ws'), ['encke.v1']);
  socket.onmessage = ({ data }) => took(JSON.parse(data));
  socket.onclose = () => ended('closed');
  return () => {
    socket.onclose = socket.onmessage = null;
    socket.close();
  };
}

/** @type {Reader['open']} */
function sse(url, { took, ended }) {
  const source = new EventSource(url('sse'));
  const stop = () => source.close();
  source.onmessage = ({ data }) => took(JSON.parse(data));
  source.onerror = () => {
    // Its own retry gives up for good on some errors; the caller's does not.
    stop();
    ended('cut');
  };
  return stop;
}

/**
 * Reads a response as it arrives.
 * @param {string} address @param {(bytes: Uint8Array) => void} chunk @param {Hearing} hearing @returns {() => void}
 */
function body(address, chunk, { ended }) {
  const stop = new AbortController();
  const read = async () => {
    const response = await fetch(address, { cache: 'no-store', signal: stop.signal });
    if (!response.ok || !response.body) throw new Error(`status ${response.status}`);
    const reader = response.body.getReader();
    for (let part = await reader.read(); !part.done; part = await reader.read()) chunk(part.value);
    throw new Error('the response ended');
  };
  read().catch((error) => {
    if (stop.signal.aborted) return;
    // A response that failed here may still hold its connection.
    stop.abort();
    ended(error.message);
  });
  return () => stop.abort();
}

/** @type {Reader['open']} */
function stream(url, hearing) {
  const decoder = new TextDecoder();
  let held = '';
  return body(url('stream'), (bytes) => {
    const lines = (held + decoder.decode(bytes, { stream: true })).split('\n');
    held = /** @type {string} */ (lines.pop());
    for (const line of lines) if (line.trim()) hearing.took(JSON.parse(line));
  }, hearing);
}

/** @type {Reader['open']} */
function multipart(url, hearing) {
  const decoder = new TextDecoder();
  let held = new Uint8Array();
  return body(url('multipart'), (bytes) => {
    const all = new Uint8Array(held.length + bytes.length);
    all.set(held);
    all.set(bytes, held.length);
    held = all;
    for (let part = firstPart(held, decoder); part; part = firstPart(held, decoder)) {
      held = held.slice(part.end);
      if (part.text) hearing.took(JSON.parse(part.text));
    }
  }, hearing);
}

/** The first complete part, and its end: a head, an empty line, and `Content-Length` bytes. @param {Uint8Array} bytes @param {TextDecoder} decoder */
function firstPart(bytes, decoder) {
  const end = headEnd(bytes);
  if (end < 0) return undefined;
  const length = Number(/Content-Length: *(\d+)/i.exec(decoder.decode(bytes.subarray(0, end)))?.[1] ?? 0);
  if (bytes.length < end + length) return undefined;
  return { text: decoder.decode(bytes.subarray(end, end + length)), end: end + length };
}

/** @param {Uint8Array} bytes @returns {number} just after the empty line; -1 when there is none yet */
function headEnd(bytes) {
  for (let at = 3; at < bytes.length; at += 1) {
    if (bytes[at] === 10 && bytes[at - 1] === 13 && bytes[at - 2] === 10 && bytes[at - 3] === 13) return at + 1;
  }
  return -1;
}

/** @param {string} name @returns {Reader['open']} an endless document in a hidden frame, which calls a function of this page */
function inFrame(name) {
  return (url, { took, ended }) => {
    const callback = globalName(took);
    const frame = document.createElement('iframe');
    frame.className = 'offstage';
    frame.title = name;
    frame.tabIndex = -1;
    frame.setAttribute('aria-hidden', 'true');
    const stop = () => {
      frame.onload = null;
      frame.remove();
      forget(callback);
    };
    frame.onload = () => {
      stop();
      ended('the document ended');
    };
    frame.src = url(name, { callback });
    document.body.append(frame);
    return stop;
  };
}

/**
 * Repeats a request until stopped.
 * @param {string} name @param {(envelopes: any[]) => number} pause milliseconds until the next request
 * @returns {Reader['open']}
 */
function asking(name, pause) {
  return (url, { took, ended }) => {
    const stop = new AbortController();
    const ask = async () => {
      while (!stop.signal.aborted) {
        const response = await fetch(url(name), { cache: 'no-store', signal: stop.signal });
        if (!response.ok) throw new Error(`status ${response.status}`);
        const envelopes = await response.json();
        envelopes.forEach(took);
        await new Promise((done) => setTimeout(done, pause(envelopes)));
      }
    };
    ask().catch((error) => stop.signal.aborted || ended(error.message));
    return () => stop.abort();
  };
}

/** A script element cannot be cancelled: after a stop the pending one still delivers, and no other follows. @type {Reader['open']} */
function jsonp(url, { took, ended }) {
  let wanted = true;
  const callback = globalName((/** @type {any[]} */ envelopes) => envelopes.forEach(took));
  const ask = () => {
    const script = document.createElement('script');
    const over = () => {
      script.remove();
      if (!wanted) forget(callback);
    };
    script.onload = () => {
      over();
      if (wanted) ask();
    };
    script.onerror = () => {
      over();
      if (wanted) ended('the script did not load');
      wanted = false;
      forget(callback);
    };
    script.src = url('jsonp', { callback });
    document.head.append(script);
  };
  ask();
  return () => { wanted = false; };
}

let named = 0;

/** Makes a function global, for scripts of the server; returns its name. @param {(value: any) => void} call */
function globalName(call) {
  named += 1;
  const name = `enckeDemo${named}`;
  /** @type {any} */ (window)[name] = call;
  return name;
}

/** @param {string} name */
function forget(name) {
  delete /** @type {any} */ (window)[name];
}

/** @param {any[]} envelopes */
const advised = (envelopes) => envelopes.at(-1)?.advice?.poll ?? 1000;

/** @type {Reader[]} */
export const READERS = [
  { name: 'ws', held: SOCKETS_COUNT, open: ws, about: 'WebSocket: one bidirectional connection.' },
  { name: 'stream', held: true, open: stream, about: 'fetch, reading an endless response: one envelope per line.' },
  { name: 'sse', held: true, open: sse, about: 'Server-sent events, by the browser’s own EventSource.' },
  { name: 'longpoll', held: true, open: asking('longpoll', () => 0), about: 'A request that is answered when there is a message. Passes every proxy.' },
  { name: 'poll', held: false, open: asking('poll', advised), about: 'Requests at the interval that the server advises, which is also the delay.' },
  { name: 'jsonp', held: true, open: jsonp, about: 'The long poll as a script element, for pages that cannot use anything else.' },
  { name: 'multipart', held: true, once: true, open: multipart, about: 'multipart/x-mixed-replace: each part replaces the one before.' },
  { name: 'frame', held: true, open: inFrame('frame'), about: 'The forever frame: a hidden endless document, one script per event.' },
  { name: 'htmlfile', held: true, open: inFrame('htmlfile'), about: 'The forever frame in the format for Internet Explorer’s htmlfile object.' },
];
