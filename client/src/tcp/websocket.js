/**
 * A TCP stream in the shape of a WebSocket, for libraries that are given one: each piece that
 * arrives is one binary message. TCP knows no messages, so their borders mean nothing.
 *
 * @import { Encke, TcpTarget, WebSocketOptions } from '../../encke.tcp.js'
 * @import { TcpStream } from './stream.js'
 */
import { callSafely } from '../base.js';
import { bytesOf } from './bytes.js';

const [CONNECTING, OPEN, CLOSING, CLOSED] = [0, 1, 2, 3];

/**
 * @param {Encke} client
 * @param {TcpTarget} target
 * @param {WebSocketOptions} [options]
 */
export function webSocket(client, target, options) { return new TcpWebSocket(client, target, options); }

/** All members are its own or its prototype's: some libraries look whether each is there. */
export class TcpWebSocket extends EventTarget {
  static CONNECTING = CONNECTING;
  static OPEN = OPEN;
  static CLOSING = CLOSING;
  static CLOSED = CLOSED;
  CONNECTING = CONNECTING;
  OPEN = OPEN;
  CLOSING = CLOSING;
  CLOSED = CLOSED;

  /** @type {((event: any) => void) | null} */
  onopen = null;
  /** @type {((event: any) => void) | null} */
  onmessage = null;
  /** @type {((event: any) => void) | null} */
  onerror = null;
  /** @type {((event: any) => void) | null} */
  onclose = null;
  /** @type {BinaryType} */
  binaryType = 'blob';
  bufferedAmount = 0;
  readyState = CONNECTING;
  extensions = '';
  protocol;
  url;
  /** @type {TcpStream} */
  #stream;
  #writer;
  #decoder;
  /** Ends when what was sent before has been handed over. */
  #sent = Promise.resolve();
  /** What the page gave to `close`. */
  #code = 1000;
  #reason = '';
  #isLeaving = false;

  /** @param {Encke} client @param {TcpTarget} target @param {WebSocketOptions} [options] */
  constructor(client, target, { text, protocol = '', ...options } = {}) {
    super();
    this.protocol = protocol;
    this.url = `tcp:${typeof target === 'string' ? target : `//${target.host}:${target.port}`}`;
    this.#decoder = text ? new TextDecoder('utf-8', { ignoreBOM: true }) : undefined;
    const stream = this.#stream = /** @type {any} */ (client.tcp(target, options));
    this.#writer = stream.writable.getWriter();
    // Its failures show in `closed`.
    this.#writer.closed.catch(() => {});
    this.#run();
  }

  /** @param {string | ArrayBuffer | ArrayBufferView | Blob} data */
  send(data) {
    if (this.readyState === CONNECTING) throw new DOMException('the socket is not open yet', 'InvalidStateError');
    // A copy: the caller may use its array again while it waits here.
    const bytes = data instanceof Blob ? data.arrayBuffer() : bytesOf(data).slice();
    const size = data instanceof Blob ? data.size : /** @type {Uint8Array} */ (bytes).length;
    this.bufferedAmount += size;
    if (this.readyState !== OPEN) return;
    this.#sent = this.#sent.then(async () => {
      await this.#writer.write(bytesOf(await bytes));
      this.bufferedAmount -= size;
    }).catch(() => {});
  }

  /** @param {number} [code] 1000 or 3000 to 4999 @param {string} [reason] */
  close(code, reason = '') {
    if (code !== undefined && code !== 1000 && !(code >= 3000 && code <= 4999)) {
      throw new DOMException('the code must be 1000 or from 3000 to 4999', 'InvalidAccessError');
    }
    if (this.readyState >= CLOSING) return;
    const isEarly = this.readyState === CONNECTING;
    this.readyState = CLOSING;
    this.#isLeaving = true;
    if (code !== undefined) [this.#code, this.#reason] = [code, reason];
    if (isEarly) this.#stream.reset();
    else this.#finish();
  }

  /** Ends the direction to the backend after all that was sent. */
  #finish() {
    this.readyState = CLOSING;
    this.#sent.then(() => this.#stream.close());
  }

  async #run() {
    const stream = this.#stream;
    const hasOpened = await stream.opened.then(() => true, () => false);
    if (hasOpened && !this.#isLeaving) {
      this.readyState = OPEN;
      this.#tell(new Event('open'));
    }
    await this.#read().catch(() => {});
    // The backend has sent its last byte, and nobody waits for what the page might still send.
    if (hasOpened) this.#finish();
    const { code, reason } = await stream.closed;
    this.readyState = CLOSED;
    const wasClean = code === 'ok';
    if (!wasClean && !this.#isLeaving) this.#tell(new Event('error'));
    this.#tell(wasClean ? new SocketCloseEvent(this.#code, this.#reason, true) : new SocketCloseEvent(1006, `${code}: ${reason}`, false));
  }

  async #read() {
    const decoder = this.#decoder;
    const reader = this.#stream.readable.getReader();
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      if (this.readyState !== OPEN) continue;
      const { value } = part;
      if (decoder) this.#tellText(decoder.decode(value, { stream: true }));
      else this.#tell(new MessageEvent('message', { data: this.binaryType === 'blob' ? new Blob([value]) : value.slice().buffer }));
    }
    if (decoder && this.readyState === OPEN) this.#tellText(decoder.decode());
  }

  /** @param {string} text */
  #tellText(text) { if (text) this.#tell(new MessageEvent('message', { data: text })); }

  /** @param {Event} event */
  #tell(event) {
    const handler = /** @type {any} */ (this)[`on${event.type}`];
    if (typeof handler === 'function') callSafely((value) => handler.call(this, value), event);
    this.dispatchEvent(event);
  }
}

/** A `CloseEvent`, which not every platform has. */
class SocketCloseEvent extends Event {
  /** @param {number} code @param {string} reason @param {boolean} wasClean */
  constructor(code, reason, wasClean) {
    super('close');
    this.code = code;
    this.reason = reason;
    this.wasClean = wasClean;
  }
}
