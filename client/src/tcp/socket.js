/**
 * The TCPSocket that pages of the years before WebSockets were written for: `open(host, port)`,
 * `onopen`, `onread`, `onclose(code)`. Strings go both ways: text, or one character a byte.
 *
 * @import { Encke } from '../../encke.tcp.js'
 * @import { TcpStream } from './stream.js'
 */
import { callSafely } from '../base.js';

const [INITIALISED, OPENING, OPEN, CLOSING, CLOSED] = [1, 2, 3, 4, 5];

/** A socket. It is opened once. */
export class TCPSocket {
  /** The client whose streams it uses. @type {Encke | undefined} */
  static client;

  readyState = INITIALISED;
  /** @type {(() => void) | null | undefined} */
  onopen;
  /** @type {((data: string) => void) | null | undefined} */
  onread;
  /** @type {((code: number) => void) | null | undefined} */
  onclose;
  /** @type {TcpStream | undefined} */
  #stream;
  /** @type {WritableStreamDefaultWriter | undefined} */
  #writer;
  #isBinary = false;

  /**
   * @param {string} host a host, or without a port the name of a target
   * @param {number | string} [port]
   * @param {boolean} [isBinary]
   */
  open(host, port, isBinary = false) {
    if (this.readyState !== INITIALISED) throw new Error('a TCPSocket is opened once');
    const { client } = TCPSocket;
    if (!client) throw new Error('TCPSocket.client is not set');
    this.#isBinary = isBinary;
    const stream = this.#stream = /** @type {any} */ (client.tcp(Number(port) ? { host, port: Number(port) } : host));
    this.#writer = stream.writable.getWriter();
    // Its failures show in `closed`.
    this.#writer?.closed.catch(() => {});
    this.readyState = OPENING;
    this.#run(stream);
  }

  /** @param {string} data text; in binary mode, characters from 0 to 255 */
  send(data) {
    if (this.readyState !== OPEN) throw new Error('the TCPSocket is not open');
    const bytes = this.#isBinary ? Uint8Array.from(data, (char) => char.charCodeAt(0)) : data;
    this.#writer?.write(bytes).catch(() => {});
  }

  /** Ends it after what was sent. */
  close() {
    if (this.readyState === INITIALISED) this.readyState = CLOSED;
    if (this.readyState > OPEN) return;
    const isEarly = this.readyState === OPENING;
    this.readyState = CLOSING;
    if (isEarly) this.#stream?.reset();
    else this.#stream?.close();
  }

  /** Ends it at once. */
  reset() {
    if (this.readyState === INITIALISED) this.readyState = CLOSED;
    if (this.readyState === CLOSED) return;
    this.readyState = CLOSING;
    this.#stream?.reset();
  }

  /** @param {TcpStream} stream */
  async #run(stream) {
    const hasOpened = await stream.opened.then(() => true, () => false);
    if (hasOpened && this.readyState === OPENING) {
      this.readyState = OPEN;
      this.#call(this.onopen);
    }
    await this.#read(stream).catch(() => {});
    // The backend has ended it. Such pages know of no half of a connection.
    if (this.readyState < CLOSING) this.readyState = CLOSING;
    if (hasOpened) stream.close();
    const { code } = await stream.closed;
    this.readyState = CLOSED;
    this.#call(this.onclose, CODES[code] ?? CODE_OTHERWISE);
  }

  /** @param {TcpStream} stream */
  async #read(stream) {
    // It keeps the bytes of a character until the last one is there.
    const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
    const reader = stream.readable.getReader();
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      this.#give(this.#isBinary ? Array.from(part.value, (byte) => String.fromCharCode(byte)).join('') : decoder.decode(part.value, { stream: true }));
    }
    if (!this.#isBinary) this.#give(decoder.decode());
  }

  /** @param {string} data */
  #give(data) { if (data && this.readyState === OPEN) this.#call(this.onread, data); }

  /** @param {((value: any) => void) | null | undefined} listener @param {any} [value] */
  #call(listener, value) { if (listener) callSafely((given) => listener.call(this, given), value); }
}

/** The codes that such pages know, by those of streams. @type {Record<string, number>} */
const CODES = {
  ok: 201, reset: 103, expired: 101, idle: 101, unknown: 101,
  'backend-timeout': 104, 'backend-refused': 108, 'backend-unknown': 108, 'backend-reset': 109, limit: 108, 'too-many-streams': 108,
  forbidden: 106, 'tcp-unknown-target': 106, 'origin-refused': 106, 'foreign-user': 106, 'no-token': 106, 'bad-token': 106, 'token-expired': 106,
  'bad-command': 102,
};
/** A protocol error. */
const CODE_OTHERWISE = 110;
