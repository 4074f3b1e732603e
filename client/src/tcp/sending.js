/**
 * One direction of a stream: from the page to the backend.
 *
 * Keeps each byte until the server has confirmed it, so that all others can be sent again after any
 * doubt, and takes no more from the page than the server gives credit for. Sends nothing itself: the
 * uplink collects what is due.
 */
import { EnckeError } from '../base.js';
import { ByteQueue, bytesOf } from './bytes.js';

/** Bytes on their way to the backend. */
export class Sending {
  /** From the first byte that is not confirmed on. */
  #bytes = new ByteQueue();
  /** The offset up to which bytes are under way. */
  #sent = 0;
  /** The offset up to which the page may send. Unknown until the server has answered. */
  #credit = 0;
  /** Writes that the writable has been given and that have not come to an end. */
  #writes = 0;
  /** @type {'none' | 'wanted' | 'due' | 'sent' | 'confirmed'} */
  #end = 'none';
  /** @type {Error | undefined} */
  #error;
  /** Called when there is credit, the end is confirmed, or the stream has failed. @type {(() => void)[]} */
  #waiting = [];
  /** @type {WritableStreamDefaultController | undefined} */
  #controller;

  /**
   * @param {() => void} wake there is something to send
   * @param {(reason: string) => void} reset the page aborts the writable
   */
  constructor(wake, reset) {
    this._wake = wake;
    /** @type {WritableStream<Uint8Array | ArrayBuffer | string>} */
    this.writable = new WritableStream({
      start: (controller) => { this.#controller = controller; },
      write: async (chunk) => {
        try {
          await this.#take(bytesOf(chunk));
        } finally {
          this.#writes -= 1;
          this.#endIfWritten();
        }
      },
      close: async () => {
        // A write that was given after the close is refused, and never ends.
        this.#writes = 0;
        this._finish();
        while (this.#end !== 'confirmed' && !this.#error) await this.#change();
        if (this.#error && this.#end !== 'confirmed') throw this.#error;
      },
      abort: (reason) => reset(`the page aborted the writable: ${reason}`),
    }, { highWaterMark: 1, size: () => {
      // The only notice of a write that waits behind another.
      this.#writes += 1;
      return 1;
    } });
  }

  /** Ends the direction once the writes that were given before are done. */
  _finish() {
    if (this.#end === 'none') this.#end = 'wanted';
    this.#endIfWritten();
  }

  #endIfWritten() {
    if (this.#end !== 'wanted' || this.#writes || this.#error) return;
    this.#end = 'due';
    this._wake();
  }

  /** Resolves once all bytes are under the credit. @param {Uint8Array} bytes */
  async #take(bytes) {
    for (let rest = bytes; rest.length || this.#error;) {
      if (this.#error) throw this.#error;
      if (this.#end !== 'none' && this.#end !== 'wanted') throw new EnckeError('client', 'closed', 'the stream sends no more');
      const part = rest.subarray(0, Math.max(this.#credit - this.#bytes._end, 0));
      this.#bytes._push(part);
      rest = rest.subarray(part.length);
      if (part.length) this._wake();
      if (rest.length) await this.#change();
    }
  }

  #change() { return new Promise((done) => this.#waiting.push(() => done(undefined))); }

  #changed() { for (const done of this.#waiting.splice(0)) done(); }

  // ---- for the uplink ----

  /**
   * The next bytes to send, at most `room`, and whether they are the last.
   * @param {number} room
   * @returns {{ at: number, bytes: Uint8Array, end: boolean } | undefined}
   */
  _next(room) {
    if (this.#error) return undefined;
    const at = this.#sent;
    const all = this.#bytes._end;
    const to = Math.min(all, at + room);
    const end = this.#end === 'due' && to === all;
    if (to === at && !end) return undefined;
    this.#sent = to;
    if (end) this.#end = 'sent';
    return { at, bytes: this.#bytes._copy(at, to), end };
  }

  /** Whatever is not confirmed has to be sent again. */
  _rewind() {
    this.#sent = this.#bytes._start;
    if (this.#end === 'sent') this.#end = 'due';
  }

  /** The server wants the byte at `next`: it has those before. @param {number} next */
  _confirm(next) {
    this.#bytes._drop(next);
    this.#sent = Math.max(this.#sent, this.#bytes._start);
  }

  /** @param {number} credit */
  _allow(credit) {
    this.#credit = Math.max(this.#credit, credit);
    this.#changed();
  }

  /** The server has the end, and so all bytes before it. */
  _confirmEnd() {
    this._confirm(Infinity);
    this.#end = 'confirmed';
    this.#changed();
  }

  /** Whether the server has all bytes and their end. */
  get _hasEnded() { return this.#end === 'confirmed'; }

  /** No more can be sent. @param {Error} error */
  _fail(error) {
    if (this.#error) return;
    this.#error = error;
    this.#bytes = new ByteQueue();
    this.#changed();
    // After the end, the page is not told: its bytes have reached the backend's side.
    if (this.#end !== 'confirmed') this.#controller?.error(error);
  }
}
