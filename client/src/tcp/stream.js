/**
 * One TCP stream of a page: what the page holds in its hands, and what is due at the server.
 *
 * Sends nothing itself: the uplink collects its commands and reports their answers. Each command may
 * be repeated, so after any doubt `_rewind` makes everything due that is not confirmed.
 *
 * @import { CloseInfo, TcpTarget, TcpOptions } from '../../encke.tcp.js'
 */
import { EnckeError, backoff, onAbort, unrefTimeout } from '../base.js';
import { Receiving } from './receiving.js';
import { Sending } from './sending.js';

/**
 * @typedef {object} StreamCommand
 * @property {TcpStream} _stream
 * @property {'open' | 'data' | 'ack' | 'resume' | 'reset'} _kind
 * @property {Record<string, unknown>} _head the command without its bytes
 * @property {Uint8Array} [_bytes]
 * @property {number} _rewinds how often the stream had been rewound: an error of before is stale
 */

/** A stream. */
export class TcpStream {
  /** @type {'unsent' | 'sent' | 'confirmed'} */
  #open = 'unsent';
  /** Whether the server may know of it. */
  #wasSent = false;
  /** @type {'none' | 'due' | 'sent'} */
  #reset = 'none';
  /** Whether a gap may have covered something: the server has to send again. @type {'none' | 'later' | 'due' | 'sent'} */
  #resume = 'none';
  /** The latest request for that. Answers to earlier ones do not count. @type {StreamCommand | undefined} */
  #resumeCommand;
  /** Where the stream was when it last had to be sent again, and how often in a row it was there. */
  #resumedAt = { received: -1, count: 0 };
  /** Whether a gap may have covered something that has not come again. */
  #isUncertain = false;
  /** How the stream ended, while bytes before that may be missing. @type {CloseInfo | undefined} */
  #end;
  /** The server has it no more, and takes no commands. */
  #isOver = false;
  #isClosed = false;
  #rewinds = 0;
  #conflicts = 0;
  #hasOpened = false;
  /** @type {(value?: any) => void} */
  #resolveOpened = () => {};
  /** @type {(error: Error) => void} */
  #rejectOpened = () => {};
  /** @type {(info: CloseInfo) => void} */
  #resolveClosed = () => {};
  #wake;

  /**
   * @param {number} number
   * @param {TcpTarget} target
   * @param {TcpOptions} options
   * @param {() => void} wake there is something to send
   */
  constructor(number, target, { window, signal }, wake) {
    this._number = number;
    this.#wake = wake;
    this._place = { ...(typeof target === 'string' ? { open: target } : { host: target.host, port: target.port }), window };
    this._sending = new Sending(wake, (reason) => this.#abandon(reason));
    this._receiving = new Receiving(Math.min(window ?? WINDOW_BYTES, WINDOW_BYTES), wake);
    this.readable = this._receiving.readable;
    this.writable = this._sending.writable;
    /** @type {Promise<void>} */
    this.opened = new Promise((resolve, reject) => {
      this.#resolveOpened = resolve;
      this.#rejectOpened = reject;
    });
    // A page that waits for `closed` alone need not handle this rejection.
    this.opened.catch(() => {});
    /** @type {Promise<CloseInfo>} */
    this.closed = new Promise((resolve) => { this.#resolveClosed = resolve; });
    if (signal?.aborted) this.reset();
    onAbort(signal, () => this.reset());
  }

  /** Ends the page's direction after what has been written; the backend may go on sending. */
  close() {
    this._sending._finish();
    return this.closed;
  }

  /** Ends both directions at once. */
  reset() { this.#abandon('the page has reset it'); }

  /** @param {string} reason */
  #abandon(reason) {
    if (this.#isClosed) return;
    if (this.#wasSent && !this.#isOver) this.#reset = 'due';
    this._close({ code: 'reset', reason }, true);
    this.#wake();
  }

  /**
   * The stream is over for the page.
   * @param {CloseInfo} info
   * @param {boolean} [isOwn] whether the page wanted it, and reads no more
   */
  _close(info, isOwn) {
    if (this.#isClosed) return;
    this.#isClosed = true;
    const { code, reason } = info;
    const error = new EnckeError(KINDS[code] ?? 'server', code, reason);
    if (code === 'ok') {
      this._sending._confirmEnd();
      this._receiving._conclude();
      this.#opened();
    } else {
      this._sending._fail(error);
      if (isOwn) this._receiving._abort(error);
      else this._receiving._conclude(error);
    }
    if (!this.#hasOpened) this.#rejectOpened(error);
    this.#resolveClosed(info);
    this.#wake();
  }

  #opened() {
    this.#hasOpened = true;
    this.#resolveOpened();
  }

  /** Whether the page is done with it. */
  get _isClosed() { return this.#isClosed; }

  /** Whether the session has to remember it. */
  get _isNeeded() { return !this.#isClosed || this.#reset !== 'none' || (!this.#isOver && this._receiving._isAcking); }

  /** Whether a server knows of it: it ends with the session. */
  get _isOfSession() { return this.#wasSent; }

  /** The server does not have it, or no more. @param {CloseInfo} info */
  _lose(info) {
    this.#isOver = true;
    this.#reset = 'none';
    this._close(info);
  }

  // ---- for the uplink ----

  /**
   * The commands that are due, in order, with at most `room` bytes.
   * @param {number} room
   * @returns {StreamCommand[]}
   */
  _collect(room) {
    /** @type {StreamCommand[]} */
    const commands = [];
    /** @param {StreamCommand['_kind']} kind @param {Record<string, unknown>} more @param {Uint8Array} [bytes] */
    const add = (kind, more, bytes) => commands.push({
      _stream: this, _kind: kind, _head: { stream: this._number, ...more }, _bytes: bytes, _rewinds: this.#rewinds,
    });
    if (this.#isOver) return commands;
    if (this.#reset !== 'none') {
      if (this.#reset === 'due') add('reset', { reset: true });
      this.#reset = 'sent';
      return commands;
    }
    if (this.#open === 'unsent') {
      if (this.#isClosed) return commands;
      this.#open = 'sent';
      this.#wasSent = true;
      add('open', this._place);
    }
    if (this.#resume === 'due') {
      this.#resume = 'sent';
      add('resume', { resume: this._receiving._received });
      this.#resumeCommand = commands.at(-1);
    }
    const data = this._sending._next(room);
    if (data) add('data', { at: data.at, end: data.end || undefined }, data.bytes);
    const ack = this._receiving._ack(commands.length > 0);
    if (ack !== undefined) add('ack', { ack });
    return commands;
  }

  /** What has no answer must be sent again. */
  _rewind() {
    this.#rewinds += 1;
    if (this.#open === 'sent') this.#open = 'unsent';
    if (this.#reset === 'sent') this.#reset = 'due';
    if (this.#resume === 'sent') this.#resume = 'due';
    this._sending._rewind();
    this._receiving._rewind();
  }

  /** @param {StreamCommand} command @param {any} state `{ at, credit }`, neither if it is over */
  _onOk(command, { at, credit }) {
    const { _kind: kind, _head: head } = command;
    this.#conflicts = 0;
    if (kind === 'reset') return this.#forget();
    if (kind === 'open') this.#open = 'confirmed';
    if (kind === 'ack') this._receiving._confirmAck(/** @type {number} */ (head.ack));
    if (command === this.#resumeCommand) this.#resume = 'none';
    if (at !== undefined) this._sending._confirm(at);
    if (kind === 'data' && head.end) this._sending._confirmEnd();
    if (credit !== undefined) this._sending._allow(credit);
  }

  /** @param {StreamCommand} command @param {{ code: string, reason: string }} error */
  _onError({ _kind: kind, _rewinds: rewinds }, { code, reason }) {
    if (kind === 'reset') return this.#forget();
    // An earlier command was refused, and this one with it: both are sent again.
    if (rewinds !== this.#rewinds) return;
    if (code === 'tcp-unknown-stream') {
      // How it ended is on the way, unless a gap has covered it.
      this.#isOver = true;
      if (this.#end) this.#conclude(this.#end);
      else if (this.#isUncertain) unrefTimeout(() => this.#closeUnheard(), END_MAX_MS);
    } else if (code === 'tcp-conflict' && kind !== 'open' && (this.#conflicts += 1) < CONFLICTS_MAX) this._rewind();
    else if (kind === 'open') this._lose({ code, reason });
    else {
      this.#reset = 'due';
      this._close({ code, reason });
    }
  }

  /** The server forgets a stream whose bytes are all acknowledged, and a gap has covered how it ended. */
  #closeUnheard() {
    const hasBothEnds = this._receiving._hasEnded && this._sending._hasEnded;
    this._close({ code: hasBothEnds ? 'ok' : 'unknown', reason: 'it has ended, and a gap covers how' });
  }

  #forget() {
    this.#isOver = true;
    this.#reset = 'none';
  }

  // ---- from the server ----

  /** The session's messages have a gap. */
  _onGap() {
    if (this.#isClosed || !this.#wasSent) return;
    this.#isUncertain = true;
    this.#requestResume();
  }

  #requestResume() {
    this.#resumeCommand = undefined;
    if (this.#resume === 'later') return;
    const { _received: received } = this._receiving;
    const count = received === this.#resumedAt.received ? this.#resumedAt.count + 1 : 0;
    this.#resumedAt = { received, count };
    const request = () => {
      if (this.#isClosed) return;
      this.#resume = 'due';
      this.#wake();
    };
    if (count < RESUMES_MAX) return request();
    // A session that is flooded has one gap after another.
    this.#resume = 'later';
    unrefTimeout(request, backoff(count - RESUMES_MAX));
  }

  /** @param {any} tcp @param {Uint8Array<ArrayBuffer>} bytes */
  _onEvent({ open, at, end, credit, closed }, bytes) {
    if (this.#isClosed) return;
    // What is sent again begins with it.
    if (open) this.#isUncertain = false;
    if (open || at !== undefined) this.#opened();
    if (credit !== undefined) this._sending._allow(credit);
    if (at !== undefined && !(end ? this._receiving._end(at) : this._receiving._take(at, bytes)) && !this.#isUncertain) this._onGap();
    if (closed) this.#onClosed(closed);
  }

  /** @param {CloseInfo} info */
  #onClosed(info) {
    // Bytes before it may be missing: it counts once the server has sent again, knowing of the end.
    const isComplete = !this.#isUncertain || (this.#end && (this.#resume === 'sent' || this.#resume === 'none'));
    if (isComplete || this.#isOver) return this.#conclude(info);
    this.#end = info;
    this.#requestResume();
  }

  /** @param {CloseInfo} info */
  #conclude(info) {
    const isCut = info.code === 'ok' && !this._receiving._hasEnded;
    this._close(isCut ? { code: 'unknown', reason: 'bytes are missing: the server keeps them no more' } : info);
  }
}

/** @type {Record<string, import('../../encke.js').Cause['kind']>} */
const KINDS = { reset: 'client', 'tcp-unknown-target': 'client', 'bad-command': 'client', forbidden: 'auth' };
/** A node's window, unless it is configured otherwise. */
const WINDOW_BYTES = 262_144;
/** Refusals of a stream's bytes in a row after which it is given up. */
const CONFLICTS_MAX = 3;
/** Requests to send the same once more that are made without a pause. */
const RESUMES_MAX = 3;
/** How long a stream that the server has forgotten waits for the envelope that says why. */
const END_MAX_MS = 2_000;
