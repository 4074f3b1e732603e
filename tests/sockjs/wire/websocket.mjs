// WebSocket (RFC 6455) by hand: the handshake's answer as it came, one frame at a time.
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import { Link } from './link.mjs';
import { answerOn, requestText } from './http.mjs';

export const KEY = 'x3JJHMbDL1EzLkh9GBhXDw==';
export const ACCEPT = 'HSmrc0sMlYUkAGmm5OPpG2HaGWk=';

/** The headers of a handshake. */
export const upgrade = (version = '13', more = {}) => ({
  Upgrade: 'websocket', Connection: 'Upgrade', 'Sec-WebSocket-Version': version, 'Sec-WebSocket-Key': KEY, ...more,
});

/** A frame from a client, masked. */
export function frame(opcode, payload) {
  const bytes = Buffer.from(payload);
  const length = bytes.length;
  const head = length < 126 ? Buffer.from([0x80 | opcode, 0x80 | length]) : Buffer.alloc(length < 65536 ? 4 : 10);
  if (length >= 126) {
    head[0] = 0x80 | opcode;
    head[1] = 0x80 | (length < 65536 ? 126 : 127);
    if (length < 65536) head.writeUInt16BE(length, 2);
    else head.writeBigUInt64BE(BigInt(length), 2);
  }
  const mask = crypto.randomBytes(4);
  return Buffer.concat([head, mask, bytes.map((byte, at) => byte ^ mask[at % 4])]);
}

export const TEXT = 1;
export const BINARY = 2;

/** A socket that is open. */
export class Socket {
  /** Opens one below a service. `early` is sent together with the handshake. */
  static async open(service, path, { headers = upgrade(), early = [] } = {}) {
    const link = await Link.to(service.base);
    link.write(Buffer.concat([requestText(service.base, 'GET', service.path + path, { headers }), ...early]));
    const answer = await answerOn(link);
    assert.equal(answer.status, 101, `the handshake is refused with ${answer.status}`);
    return new Socket(link, answer);
  }

  constructor(link, answer) { Object.assign(this, { link, answer }); }

  send(text) { this.link.write(frame(TEXT, text)); }

  sendBytes(bytes) { this.link.write(frame(BINARY, bytes)); }

  /** The next frame: `{ opcode, text }`; the end of the connection counts as a close without a code. */
  async frame() {
    const [first, second] = await this.link.take(2).catch((error) => (this.link.over ? [0x88, 0] : Promise.reject(error)));
    assert.equal(first & 0xf0, 0x80, 'a fragment, or compressed');
    assert.equal(second & 0x80, 0, 'a server masks nothing');
    let length = second & 0x7f;
    if (length === 126) length = (await this.link.take(2)).readUInt16BE();
    else if (length === 127) length = Number((await this.link.take(8)).readBigUInt64BE());
    const payload = length ? await this.link.take(length) : Buffer.alloc(0);
    return { opcode: first & 15, payload };
  }

  /** The next message as text. A close is `{ code, reason }`, with code 1005 where it has none. Pings are answered. */
  async recv() {
    for (;;) {
      const { opcode, payload } = await this.frame();
      if (opcode === TEXT) return payload.toString('utf8');
      if (opcode === 8) return { code: payload.length ? payload.readUInt16BE() : 1005, reason: payload.toString('utf8', 2) };
      if (opcode === 9) this.link.write(frame(10, payload));
    }
  }

  /** Says that it is over, and goes. */
  close() {
    if (!this.link.over) this.link.write(frame(8, Buffer.from([0x03, 0xe8])));
    this.link.finish();
    this.link.socket.resume();
  }
}
