/**
 * What the other files share: causes, listeners, positions, patterns, chance.
 *
 * Knows nothing of connections.
 *
 * @import { Cause } from '../encke.js'
 */

/**
 * Why something did not work. `kind` tells whose matter it is: the network's, the server's, that of the proof who one is
 * (`auth`), that of something in between that holds back or cuts (`middlebox`), or the caller's own (`client`).
 */
export class EnckeError extends Error {
  /**
   * @param {Cause['kind']} kind
   * @param {string} code
   * @param {string} reason
   * @param {{ status?: number, after?: number }} [more] `after`: milliseconds before it is worth while to try again
   */
  constructor(kind, code, reason, more = {}) {
    super(reason);
    this.name = 'EnckeError';
    this.kind = kind;
    this.code = code;
    this.status = more.status;
    this.after = more.after;
  }

  /** What is told to listeners and to other tabs. @returns {Cause} */
  plain() {
    const { kind, code, message: reason, status } = this;
    return { kind, code, reason, ...(status && { status }) };
  }

  /** The same, after a way as plain data. @param {Cause} cause */
  static from({ kind, code, reason, status }) {
    return new EnckeError(kind, code, reason, { status });
  }
}

/** Listeners by name. One that throws is reported and does not keep the others from hearing. */
export class Emitter {
  /** @type {Map<string, Set<(value: any) => void>>} */
  #listeners = new Map();

  /**
   * @param {string} name
   * @param {(value: any) => void} listener
   * @param {{ signal?: AbortSignal }} [options]
   * @returns {() => void} takes the listener away
   */
  on(name, listener, { signal } = {}) {
    if (signal?.aborted) return () => {};
    const all = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, all.add(listener));
    const off = () => void all.delete(listener);
    signal?.addEventListener('abort', off, { once: true });
    return off;
  }

  /** @param {string} name @param {any} [value] */
  emit(name, value) {
    for (const listener of [...(this.#listeners.get(name) ?? [])]) guarded(listener, value);
  }
}

/** Calls what the page gave us: its errors are its own. @param {(value: any) => void} listener @param {any} value */
export function guarded(listener, value) {
  try {
    listener(value);
  } catch (error) {
    if (typeof reportError === 'function') reportError(error);
    else queueMicrotask(() => { throw error; });
  }
}

/** @param {string} position @returns {string} the run of the server that it belongs to */
export function epochOf(position) {
  return position.slice(0, position.lastIndexOf('-'));
}

/** Whether a message is new to somebody who has seen those up to `seen`. @param {string} id @param {string} seen */
export function isAfter(id, seen) {
  if (!seen || epochOf(id) !== epochOf(seen)) return true;
  const number = (/** @type {string} */ text) => Number(text.slice(text.lastIndexOf('-') + 1));
  return number(id) > number(seen);
}

/** Whether a subscription's name covers a channel. @param {string} pattern @param {string} channel */
export function covers(pattern, channel) {
  if (pattern === channel) return true;
  // Personal channels are matched by no pattern.
  if (channel.startsWith('/u/') && channel.split('/').length === 3) return false;
  if (pattern.endsWith('/**')) return channel.startsWith(pattern.slice(0, -2));
  const stem = pattern.slice(0, -1);
  return pattern.endsWith('/*') && channel.startsWith(stem) && !channel.slice(stem.length).includes('/');
}

/** 96 random bits in digits. */
export function randomId() { return crypto.getRandomValues(new Uint32Array(3)).join(''); }

/** @param {Uint8Array} bytes */
export function base64(bytes) {
  let text = '';
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text);
}

/** Milliseconds to wait before attempt `n`, from 0: all of it by chance, so that no two come at once. @param {number} n */
export function backoff(n) {
  return Math.random() * Math.min(BACKOFF.longest, BACKOFF.first * 2 ** n);
}

/** @param {string} text @returns {any} the value; undefined when it is no JSON */
export function parsed(text) { return allowed(() => JSON.parse(text)); }

/** What a look at the platform finds: where it is forbidden, as in a sandboxed frame, a mere look throws. @param {() => any} look @returns {any} */
export function allowed(look) {
  try {
    return look();
  } catch {
    return undefined;
  }
}

/** A timer that does not keep a program alive that has nothing else to do. @param {() => void} work @param {number} ms */
export function later(work, ms) {
  /** @type {any} */
  const timer = setTimeout(work, ms);
  timer?.unref?.();
  return timer;
}

/** Milliseconds. */
const BACKOFF = { first: 400, longest: 30_000 };
