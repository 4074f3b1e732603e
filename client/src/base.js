/**
 * What the other files share: errors, listeners, positions, patterns, random numbers, timers.
 *
 * Knows nothing of connections. Names that begin with `_` are internal: the build shortens them.
 *
 * @import { Cause } from '../encke.js'
 */

/**
 * Why an operation failed. `kind` names the part that has to change: the network, the server, the
 * proof of identity (`auth`), a proxy that buffers or cuts (`middlebox`), or the caller (`client`).
 */
export class EnckeError extends Error {
  /**
   * @param {Cause['kind']} kind
   * @param {string} code
   * @param {string} reason
   * @param {number} [status] of the HTTP response
   * @param {number} [after] milliseconds before another attempt can succeed
   */
  constructor(kind, code, reason, status, after) {
    super(reason);
    this.name = 'EnckeError';
    this.kind = kind;
    this.code = code;
    this.status = status;
    this._after = after;
    /** The node that serves the user instead. @type {string | undefined} */
    this._node = undefined;
  }

  /** As plain data, for listeners and other tabs. @returns {Cause} */
  _plain() {
    const { kind, code, message: reason, status } = this;
    return { kind, code, reason, status };
  }

  /** The reverse of `_plain`. @param {Cause} cause */
  static _from({ kind, code, reason, status }) {
    return new EnckeError(kind, code, reason, status);
  }
}

/**
 * An error that the library detects by itself.
 * @param {keyof typeof CAUSES} code
 * @param {number} [status] of the HTTP response
 */
export function failure(code, status) {
  const [kind, reason] = CAUSES[code];
  return new EnckeError(kind, code, reason, status);
}

/** @type {Record<string, [Cause['kind'], string]>} */
const CAUSES = {
  cut: ['network', 'the connection was cut'],
  silent: ['network', 'the connection went silent'],
  unreachable: ['network', 'the server cannot be reached'],
  'no-answer': ['network', 'the server did not answer in time'],
  offline: ['network', 'there is no network'],
  'outcome-unknown': ['server', 'the publish was sent, but its answer was lost'],
  blocked: ['middlebox', 'the transport is blocked'],
  'held-back': ['middlebox', 'no data arrived in time'],
  'foreign-answer': ['middlebox', 'the answer is not from an Encke server'],
  closed: ['client', 'the client is closed'],
  unsubscribed: ['client', 'the subscription has ended'],
};

/** Listeners by event name. A listener that throws is reported; the others are still called. */
export class Emitter {
  /** @type {Map<string, Set<(value: any) => void>>} */
  #listeners = new Map();

  /**
   * @param {string} name
   * @param {(value: any) => void} listener
   * @param {{ signal?: AbortSignal }} [options]
   * @returns {() => void} removes the listener
   */
  on(name, listener, { signal } = {}) {
    if (signal?.aborted) return () => {};
    const all = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, all.add(listener));
    const off = () => void all.delete(listener);
    onAbort(signal, off);
    return off;
  }

  /** @param {string} name @param {any} [value] */
  _emit(name, value) {
    for (const listener of [...(this.#listeners.get(name) ?? [])]) callSafely(listener, value);
  }
}

/**
 * Calls a listener of the page. Its error is reported as the page's own and goes no further.
 * @param {(value: any) => void} listener
 * @param {any} value
 */
export function callSafely(listener, value) {
  try {
    listener(value);
  } catch (error) {
    if (typeof reportError === 'function') reportError(error);
    else queueMicrotask(() => { throw error; });
  }
}

/** @param {AbortSignal | undefined} signal @param {() => void} work */
export function onAbort(signal, work) { signal?.addEventListener('abort', work, { once: true }); }

/** @param {string} position @returns {string} the run of the server that it belongs to */
export function epochOf(position) {
  return position.slice(0, position.lastIndexOf('-'));
}

/**
 * Whether a message is later than `seen`. Positions of different epochs cannot be compared: the
 * message then counts as later.
 * @param {string} id
 * @param {string} seen
 */
export function isAfter(id, seen) {
  if (!seen || epochOf(id) !== epochOf(seen)) return true;
  const number = (/** @type {string} */ position) => Number(position.slice(position.lastIndexOf('-') + 1));
  return number(id) > number(seen);
}

/** Whether a pattern covers a channel. @param {string} pattern @param {string} channel */
export function covers(pattern, channel) {
  if (pattern === channel) return true;
  // No pattern covers a personal channel.
  if (channel.startsWith('/u/') && channel.split('/').length === 3) return false;
  if (pattern.endsWith('/**')) return channel.startsWith(pattern.slice(0, -2));
  const stem = pattern.slice(0, -1);
  return pattern.endsWith('/*') && channel.startsWith(stem) && !channel.slice(stem.length).includes('/');
}

/** 96 random bits in decimal digits. */
export function randomId() { return crypto.getRandomValues(new Uint32Array(3)).join(''); }

/** @param {Uint8Array} bytes */
export function base64(bytes) {
  let text = '';
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text);
}

/**
 * Milliseconds to wait before attempt `n`, from 0. The whole wait is random, so that many clients
 * do not return at the same moment.
 * @param {number} n
 */
export function backoff(n) {
  return Math.random() * Math.min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS * 2 ** n);
}

/** @param {string} text @returns {any} the value; undefined if the text is not JSON */
export function parseJson(text) { return attempt(() => JSON.parse(text)); }

/**
 * The result of `work`, or undefined if it throws. In a sandboxed frame even reading a property of
 * the platform throws.
 * @param {() => any} work
 * @returns {any}
 */
export function attempt(work) {
  try {
    return work();
  } catch {
    return undefined;
  }
}

/** A timer that does not keep a Node process alive. @param {() => void} work @param {number} ms */
export function unrefTimeout(work, ms) {
  /** @type {any} */
  const timer = setTimeout(work, ms);
  timer?.unref?.();
  return timer;
}

/** Where `encke.tcp.js` puts the function that opens a stream. */
export const TCP = Symbol.for('encke.tcp');
const BACKOFF_FIRST_MS = 400;
const BACKOFF_MAX_MS = 30_000;
