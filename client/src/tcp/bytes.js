/**
 * Bytes: a queue that is addressed by offsets in a stream, and the ways in which bytes travel.
 *
 * Knows nothing of streams and connections.
 */
import { base64, parseJson } from '../base.js';

/**
 * The bytes of a stream from one offset to another. Kept in blocks at fixed offsets, so that many
 * small writes cost no more than one large.
 */
export class ByteQueue {
  /** @type {Uint8Array[]} */
  #blocks = [];
  /** The offset at which the first block begins: a multiple of the size. */
  #base = 0;
  /** The offset of the first byte that is kept. */
  _start = 0;
  /** The offset behind the last byte. */
  _end = 0;

  /** Adds a copy: the caller may use its array again. @param {Uint8Array} bytes */
  _push(bytes) {
    for (let rest = bytes; rest.length;) {
      const at = this._end % BLOCK_BYTES;
      if (this._end === this.#base + this.#blocks.length * BLOCK_BYTES) this.#blocks.push(new Uint8Array(BLOCK_BYTES));
      const part = rest.subarray(0, BLOCK_BYTES - at);
      /** @type {Uint8Array} */ (this.#blocks.at(-1)).set(part, at);
      this._end += part.length;
      rest = rest.subarray(part.length);
    }
  }

  /** A copy of the bytes between two offsets. @param {number} from @param {number} to */
  _copy(from, to) {
    const copy = new Uint8Array(to - from);
    for (let at = from; at < to;) {
      const block = Math.floor((at - this.#base) / BLOCK_BYTES);
      const begin = at % BLOCK_BYTES;
      const part = this.#blocks[block].subarray(begin, begin + to - at);
      copy.set(part, at - from);
      at += part.length;
    }
    return copy;
  }

  /** Drops the bytes before an offset. @param {number} to */
  _drop(to) {
    this._start = Math.min(Math.max(this._start, to), this._end);
    const blocks = Math.floor((this._start - this.#base) / BLOCK_BYTES);
    this.#blocks.splice(0, blocks);
    this.#base += blocks * BLOCK_BYTES;
  }
}

/**
 * Bytes of what a page may write.
 * @param {unknown} data
 * @returns {Uint8Array}
 */
export function bytesOf(data) {
  if (typeof data === 'string') return new TextEncoder().encode(data);
  if (data instanceof ArrayBuffer) return new Uint8Array(data);
  if (ArrayBuffer.isView(data)) return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  throw new TypeError('a stream takes a Uint8Array, an ArrayBuffer or a string');
}

/** @param {Uint8Array} bytes @returns {string} */
export function toBase64(bytes) {
  return /** @type {any} */ (bytes).toBase64?.() ?? base64(bytes);
}

/** @param {string} text @returns {Uint8Array<ArrayBuffer>} */
export function fromBase64(text) {
  return /** @type {any} */ (Uint8Array).fromBase64?.(text) ?? Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
}

/**
 * A record: how a WebSocket carries a header and raw bytes in one message.
 * @param {object} header
 * @param {Uint8Array} payload
 */
export function toRecord(header, payload) {
  const head = new TextEncoder().encode(JSON.stringify(header));
  const record = new Uint8Array(HEAD_LENGTH_BYTES + head.length + payload.length);
  new DataView(record.buffer).setUint16(0, head.length);
  record.set(head, HEAD_LENGTH_BYTES);
  record.set(payload, HEAD_LENGTH_BYTES + head.length);
  return record;
}

/**
 * The envelope that a record stands for: its header, and the payload as `data`.
 * @param {ArrayBuffer} record
 */
export function fromRecord(record) {
  const length = new DataView(record).getUint16(0);
  const header = parseJson(new TextDecoder().decode(new Uint8Array(record, HEAD_LENGTH_BYTES, length)));
  return { ...header, data: new Uint8Array(record, HEAD_LENGTH_BYTES + length) };
}

/** A block holds one command's bytes. An idle stream that has sent keeps at most one block. */
const BLOCK_BYTES = 16_384;
/** The number before a record's header takes two bytes, big-endian. */
const HEAD_LENGTH_BYTES = 2;
