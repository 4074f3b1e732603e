/**
 * A page with TCP streams of the client library, which is the server's own. It sends and expects bytes that look random and
 * are the same for the same seed, and keeps how far it is for the test to read.
 */
import { connect } from '/encke.js';
import { tcp } from '/encke.tcp.js';
import { noise } from './noise.mjs';

/** A stream, and what became of it. */
class Transfer {
  read = 0;
  written = 0;
  probes = 0;
  /** What went wrong, as texts. */
  wrong = [];
  closed = null;
  ended = false;

  constructor(url, options) {
    this.client = connect(url, options);
    this.stream = tcp(this.client, 'there');
    this.reader = this.stream.readable.getReader();
    this.writer = this.stream.writable.getWriter();
    this.stream.closed.then((end) => { this.closed = end; });
  }

  note(work) { work.catch((error) => this.wrong.push(`${error.code ?? error.name}: ${error.message}`)); }

  /** Reads so many bytes, or to the end, and compares them. */
  take(seed, count = Infinity) {
    this.expected ??= noise(seed);
    this.note((async () => {
      while (this.read < count) {
        const { done, value } = await this.reader.read();
        if (done) { this.ended = true; return; }
        const expected = this.expected(value.length);
        const at = value.findIndex((byte, index) => byte !== expected[index]);
        if (at >= 0) throw new Error(`byte ${this.read + at} differs`);
        this.read += value.length;
      }
    })());
  }

  /** Writes until it is told to stop, and ends the direction. A write resolves when there is room for its bytes. */
  give(seed) {
    const more = noise(seed);
    this.note((async () => {
      for (let size = 1; !this.stopped; size = size * 7 % 60_013 + 1) {
        await this.writer.write(more(size));
        this.written += size;
      }
      await this.writer.close();
    })());
  }

  /** Another stream of the same session goes through meanwhile. */
  probe() {
    this.note((async () => {
      const stream = tcp(this.client, 'there');
      const reader = stream.readable.getReader();
      const { value } = await reader.read();
      if (String(value) !== '33') throw new Error(`the probe got ${value}`);
      stream.close();
      await stream.closed;
      this.probes += 1;
    })());
  }

  /** How it stands. */
  get state() {
    const { read, written, probes, wrong, closed, ended, client } = this;
    return { read, written, probes, wrong, closed, ended, transport: client.transport };
  }
}

window.transfers = {};
window.transfer = (name, url, options) => { window.transfers[name] = new Transfer(url, options); };
