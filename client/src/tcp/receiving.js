/**
 * One direction of a stream: from the backend to the page.
 *
 * Drops what comes twice, detects a hole, and acknowledges only what the page's program has taken:
 * the server then reads no more from the backend than the page reads from here.
 */
import { unrefTimeout } from '../base.js';

/** Bytes on their way to the page's program. */
export class Receiving {
  /** @type {Uint8Array<ArrayBuffer>[]} */
  #chunks = [];
  /** The offset of the next byte. */
  _received = 0;
  #taken = 0;
  #messagesTaken = 0;
  /** What the server was told, and what it has confirmed to have heard. */
  #acked = 0;
  #ackConfirmed = 0;
  #isAckDue = false;
  /** @type {any} */
  #ackTimer;
  /** Whether the backend has sent its last byte, and all are here. */
  _hasEnded = false;
  /** Nobody reads any more: bytes count as taken when they come. */
  #isCancelled = false;
  /** The stream is over, and all bytes are acknowledged whether they are read or not. */
  #isConcluded = false;
  /** @type {Error | undefined} */
  #error;
  /** Resolves the pull that waits. @type {(() => void) | undefined} */
  #pulled;
  /** @type {ReadableStreamDefaultController<Uint8Array<ArrayBuffer>> | undefined} */
  #controller;

  /**
   * @param {number} window bytes that the page has room for
   * @param {() => void} wake there is something to acknowledge
   */
  constructor(window, wake) {
    this._window = window;
    this._wake = wake;
    /** @type {ReadableStream<Uint8Array<ArrayBuffer>>} */
    this.readable = new ReadableStream({
      start: (controller) => { this.#controller = controller; },
      pull: () => new Promise((done) => {
        this.#pulled = () => done(undefined);
        this.#deliver();
      }),
      cancel: () => this._discard(),
    // Without a queue of its own: what is pulled is what the program reads.
    }, { highWaterMark: 0 });
  }

  /** Drops what has come and what comes, so that the backend is not held up. */
  _discard() {
    this.#isCancelled = true;
    this.#pulled = undefined;
    for (const chunk of this.#chunks.splice(0)) this.#took(chunk.length);
  }

  /** Hands over one chunk if it is asked for; the end and an error, once nothing is left before them. */
  #deliver() {
    const pulled = this.#pulled;
    const chunk = pulled && this.#chunks.shift();
    if (chunk) {
      this.#controller?.enqueue(chunk);
      this.#took(chunk.length);
    }
    if (this.#chunks.length || this.#isCancelled) {
      if (!chunk) return;
    } else if (this._hasEnded || this.#error) {
      if (this.#error) this.#controller?.error(this.#error);
      else this.#controller?.close();
      this.#isCancelled = true;
    } else if (!chunk) return;
    this.#pulled = undefined;
    pulled?.();
  }

  /** @param {number} bytes */
  #took(bytes) {
    if (this.#isConcluded) return;
    this.#taken += bytes;
    this.#messagesTaken += 1;
    if (this.#taken - this.#acked >= this._window / ACK_PART || this.#messagesTaken >= ACK_MESSAGES) this.#ackNow();
    else this.#ackTimer ??= unrefTimeout(() => this.#ackNow(), ACK_MAX_MS);
  }

  #ackNow() {
    clearTimeout(this.#ackTimer);
    this.#ackTimer = undefined;
    if (this.#taken <= this.#acked) return;
    this.#isAckDue = true;
    this._wake();
  }

  // ---- for the uplink ----

  /**
   * The offset to acknowledge, if that is due.
   * @param {boolean} isEarly whether another command is sent anyway
   * @returns {number | undefined}
   */
  _ack(isEarly) {
    if (this.#taken <= this.#acked || !(this.#isAckDue || isEarly)) return undefined;
    this.#isAckDue = false;
    this.#messagesTaken = 0;
    clearTimeout(this.#ackTimer);
    this.#ackTimer = undefined;
    this.#acked = this.#taken;
    return this.#acked;
  }

  /** @param {number} offset */
  _confirmAck(offset) { this.#ackConfirmed = Math.max(this.#ackConfirmed, offset); }

  /** Acknowledgements without an answer have to be sent again. */
  _rewind() {
    this.#acked = this.#ackConfirmed;
    this.#isAckDue = this.#taken > this.#acked;
  }

  /** Whether an acknowledgement is due or without an answer. */
  get _isAcking() { return this.#taken > this.#ackConfirmed; }

  // ---- from the server ----

  /**
   * Takes bytes from an offset on. Returns whether those before them are there.
   * @param {number} at
   * @param {Uint8Array<ArrayBuffer>} bytes
   */
  _take(at, bytes) {
    if (at > this._received) return false;
    const fresh = bytes.subarray(this._received - at);
    if (!fresh.length) return true;
    this._received += fresh.length;
    if (this.#isCancelled) this.#took(fresh.length);
    else this.#chunks.push(fresh);
    this.#deliver();
    return true;
  }

  /** The backend has sent its last byte. @param {number} at @returns {boolean} whether all are there */
  _end(at) {
    if (at > this._received) return false;
    this._hasEnded = true;
    this.#deliver();
    return true;
  }

  /**
   * The stream is over: nothing more comes, and the server need not keep what has come.
   * @param {Error} [error]
   */
  _conclude(error) {
    this.#isConcluded = true;
    this.#error = error;
    this._hasEnded ||= !error;
    this.#taken = this._received;
    this.#ackNow();
    this.#deliver();
  }

  /** The page wants nothing of it any more. @param {Error} error */
  _abort(error) {
    clearTimeout(this.#ackTimer);
    this.#isConcluded = true;
    this.#chunks = [];
    this.#error = error;
    this.#deliver();
  }
}

/** The part of the window after which the program's progress is told at once. */
const ACK_PART = 4;
/** Messages after which it is told at once: the server counts them, too. */
const ACK_MESSAGES = 4;
/** How late a smaller progress is told. */
const ACK_MAX_MS = 100;
