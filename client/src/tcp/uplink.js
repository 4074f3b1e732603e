/**
 * What the streams of a session have to send: over a WebSocket at once, else by one request at a
 * time, which carries what has become due meanwhile.
 *
 * Keeps no bytes: streams keep what is not confirmed. When commands may be lost, all streams are
 * rewound, and whatever is not confirmed is collected again; the server drops what it has.
 *
 * @import { Connection } from '../connections.js'
 * @import { Link } from '../link.js'
 * @import { EnckeError } from '../base.js'
 * @import { StreamCommand, TcpStream } from './stream.js'
 */
import { backoff } from '../base.js';
import { toBase64, toRecord } from './bytes.js';

/** The commands of one session's streams. */
export class StreamUplink {
  #link;
  #streams;
  /** Commands that a WebSocket has sent and that have no answer, in order. @type {StreamCommand[]} */
  #flying = [];
  /** The WebSocket that has sent them. @type {Connection | undefined} */
  #by;
  /** The commands of the request in flight. @type {StreamCommand[] | undefined} */
  #posted;
  #postedAt = 0;
  #failures = 0;
  /** Runs while commands wait for another attempt. @type {any} */
  #timer;
  #isWoken = false;
  /** Bytes in one request: fewer where a server takes only small ones. */
  #batchBytes = BATCH_BYTES;
  /** The stream that is the first to send: each in turn. */
  #turn = 0;

  /**
   * @param {Link} link
   * @param {Map<number, TcpStream>} streams those of the session; any that is no longer needed is removed
   */
  constructor(link, streams) {
    this.#link = link;
    this.#streams = streams;
    link.on('answer', (answer) => {
      const command = this.#flying.shift();
      if (command && !this.#onAnswer(command, answer)) this.#retryLater();
      this._wake();
    });
    link.on('down', (connection) => connection === this.#by && this._rewind());
    link.on('open', () => {
      // A request in flight would keep a WebSocket waiting; what it carries may come twice.
      if (this.#posted && link._connection?._send) this._rewind();
      clearTimeout(this.#timer);
      this.#timer = undefined;
      this._wake();
    });
  }

  /** Something may be due. What becomes due in one turn goes together. */
  _wake() {
    if (this.#isWoken) return;
    this.#isWoken = true;
    queueMicrotask(() => {
      this.#isWoken = false;
      this.#flush();
    });
  }

  _stop() {
    clearTimeout(this.#timer);
    this.#flying = [];
    this.#posted = this.#by = undefined;
  }

  /** Commands under way may be lost. */
  _rewind() {
    this.#flying = [];
    this.#posted = this.#by = undefined;
    for (const stream of this.#streams.values()) stream._rewind();
  }

  #flush() {
    for (const [number, stream] of this.#streams) if (!stream._isNeeded) this.#streams.delete(number);
    const connection = this.#link._connection;
    if (!connection || this.#timer || this.#posted) return;
    if (!connection._send) return void this.#post();
    for (let commands = this.#collect(); commands.length; commands = this.#collect()) {
      this.#by = connection;
      this.#flying.push(...commands);
      for (const { _head: tcp, _bytes: bytes } of commands) {
        connection._send(/** @type {any} */ (bytes?.length ? toRecord({ tcp }, bytes) : JSON.stringify({ tcp })));
      }
    }
  }

  /**
   * The next commands, with a bounded number of bytes. Streams are opened in the order of their
   * numbers, as the server demands; with bytes they take turns.
   */
  #collect() {
    const streams = [...this.#streams.values()];
    const all = streams.flatMap((stream) => stream._collect(0));
    const first = this.#turn++ % (streams.length || 1);
    const inTurn = [...streams.slice(first), ...streams.slice(0, first)];
    let room = this.#batchBytes;
    for (let given = 1; given && room > 0;) {
      given = 0;
      for (const stream of inTurn) {
        const commands = stream._collect(Math.min(room, PART_BYTES));
        for (const { _bytes: bytes } of commands) room -= bytes?.length ?? 0;
        given += commands.length;
        all.push(...commands);
      }
    }
    return all;
  }

  async #post() {
    const commands = this.#collect();
    if (!commands.length) return;
    this.#posted = commands;
    this.#postedAt = Date.now();
    const texts = commands.map(({ _head: head, _bytes: bytes }) => JSON.stringify({ tcp: bytes?.length ? { ...head, data: toBase64(bytes) } : head }));
    const { _endpoint: endpoint, _place: place } = this.#link;
    let answers;
    try {
      answers = await endpoint._send(texts, place.session);
    } catch (error) {
      if (this.#posted === commands) this.#onFailure(commands, /** @type {EnckeError} */ (error));
      return;
    }
    if (this.#posted !== commands) return;
    this.#posted = undefined;
    const isAnswered = commands.map((command, n) => this.#onAnswer(command, answers[n])).every(Boolean);
    if (isAnswered) this.#failures = 0;
    else this.#retryLater();
    this._wake();
  }

  /** Returns false if the commands have to be sent again later. @param {StreamCommand} command @param {any} answer */
  #onAnswer(command, { ok, error }) {
    const stream = command._stream;
    if (ok) stream._onOk(command, ok.tcp);
    else if (LATER.includes(error.code)) {
      // The commands after it are refused, since they leave a hole, or are repeats by then.
      stream._rewind();
      return false;
    } else stream._onError(command, error);
    return true;
  }

  /** The request was refused as a whole, or lost. @param {StreamCommand[]} commands @param {EnckeError} error */
  #onFailure(commands, error) {
    const { kind, code, status } = error;
    if (status === 413 && this.#batchBytes > BATCH_BYTES_MIN) {
      this.#batchBytes /= 2;
      this._rewind();
      return this._wake();
    }
    if (kind === 'client' && !LATER.includes(code)) {
      this.#posted = undefined;
      for (const command of commands) command._stream._onError(command, error._plain());
      return this._wake();
    }
    this._rewind();
    const connection = this.#link._connection;
    // The link finds out what is wrong and reports it. But a server gives the session of a client that
    // opens one connection after another to none of them: one that has just proved alive is not doubted.
    const isDead = connection && connection._heardAt < this.#postedAt && Date.now() - connection._openedAt > DOUBT_AGAIN_MS;
    if (status === 401 || LOST.includes(code) || (kind === 'network' && isDead)) this.#link._check();
    this.#retryLater(error._after);
  }

  /** @param {number} [after] milliseconds */
  #retryLater(after = 0) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this._wake();
    }, after + backoff(this.#failures));
    this.#failures += 1;
  }
}

/** Bytes in one request, of all streams: a third more in base64. The server takes 1 MiB. */
const BATCH_BYTES = 65_536;
/** Half of that, again and again, down to here. */
const BATCH_BYTES_MIN = 1024;
/** Bytes of one stream before it is another one's turn. */
const PART_BYTES = 16_384;
/** The age from which a connection is doubted when requests fail beside it. */
const DOUBT_AGAIN_MS = 15_000;
/** Refusals after which the link gets another session first. */
const LOST = ['unknown-session', 'no-session'];
/** Refusals that ask for a retry. */
const LATER = ['busy', ...LOST];
