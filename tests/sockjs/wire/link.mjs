// A TCP connection that is read piece by piece, with a limit for each wait: what HTTP clients hide is what is tested.
import net from 'node:net';

/** Longest wait for anything that should come, in milliseconds. */
const LIMIT = 15000;

export class Link {
  /** Connects to the host of a URL. */
  static to(base) {
    const { hostname, port } = new URL(base);
    const socket = net.connect({ host: hostname, port: Number(port) || 80 });
    return new Promise((done, fail) => {
      socket.once('error', fail);
      socket.once('connect', () => { socket.off('error', fail); done(new Link(socket)); });
    });
  }

  constructor(socket) {
    this.socket = socket.setNoDelay(true);
    this.bytes = Buffer.alloc(0);
    this.over = false;
    this.error = null;
    this.wake = () => {};
    socket.on('data', (more) => { this.bytes = Buffer.concat([this.bytes, more]); this.wake(); });
    for (const end of ['end', 'close']) socket.on(end, () => { this.over = true; this.wake(); });
    socket.on('error', (error) => { this.error = error; this.over = true; this.wake(); });
  }

  write(bytes) { this.socket.write(bytes); }

  /** Ends our side; the other may still send. */
  finish() { this.socket.end(); }

  destroy() { this.socket.destroy(); }

  /** Closes with a reset. */
  reset() { this.socket.resetAndDestroy(); }

  /** Waits for more bytes or the end. */
  more(what) {
    return new Promise((done, fail) => {
      const seen = this.bytes.subarray(-200).toString('latin1');
      const limit = setTimeout(() => fail(new Error(`no ${what} came in ${LIMIT} ms; last was ${JSON.stringify(seen)}`)), LIMIT);
      this.wake = () => { clearTimeout(limit); this.wake = () => {}; done(); };
    });
  }

  /** Takes what `find` makes of the bytes: `{ used, value }`, or nothing as long as there are too few. */
  async read(what, find) {
    for (;;) {
      const found = find(this.bytes);
      if (found) {
        this.bytes = this.bytes.subarray(found.used);
        return found.value;
      }
      if (this.over) throw new Error(`the connection ended (${this.error?.code ?? 'closed'}) before a ${what}: ${JSON.stringify(this.bytes.toString('latin1'))}`);
      await this.more(what);
    }
  }

  /** A line, without its end. */
  line() {
    return this.read('line', (bytes) => {
      const end = bytes.indexOf('\n');
      return end < 0 ? undefined : { used: end + 1, value: bytes.toString('latin1', 0, end).replace(/\r$/, '') };
    });
  }

  /** So many bytes. */
  take(count) {
    return this.read(`${count} bytes`, (bytes) => (bytes.length < count ? undefined : { used: count, value: Buffer.from(bytes.subarray(0, count)) }));
  }

  /** All that still comes, once the connection has ended. */
  async rest() {
    while (!this.over) await this.more('end of the connection');
    const { bytes } = this;
    this.bytes = Buffer.alloc(0);
    return bytes;
  }

  /** Resolves once the connection is closed with nothing more sent; fails if something was. */
  async closed() {
    const bytes = await this.rest();
    if (bytes.length > 0) throw new Error(`something came before the end: ${JSON.stringify(bytes.toString('latin1'))}`);
  }
}
