'use strict';
// A TCP proxy that breaks connections on purpose: after so many more bytes have come down, all of them are reset.
const net = require('node:net');

/** The requests of a page's own files. */
const PAGE = /^GET \/page\//;

function address(text) {
  const at = text.lastIndexOf(':');
  return { host: text.slice(0, at), port: Number(text.slice(at + 1)) };
}

class Cutter {
  /**
   * @param {string} target host:port
   * @param {string} [pages] host:port of what answers for /page/, so that a page may be of the target's own origin
   */
  constructor(target, pages = target) {
    this.target = address(target);
    this.pages = address(pages);
    this.pairs = new Set();
    this.left = Infinity;
    this.cuts = 0;
    this.server = net.createServer((down) => this.join(down));
  }

  listen() {
    return new Promise((ok) => this.server.listen(0, '127.0.0.1', () => ok(`127.0.0.1:${this.server.address().port}`)));
  }

  join(down) {
    const pair = { down, up: null };
    this.pairs.add(pair);
    const end = () => { this.pairs.delete(pair); pair.up?.destroy(); down.destroy(); };
    const watch = (socket) => { socket.setNoDelay(true); socket.on('error', end); socket.on('close', end); };
    watch(down);
    down.once('data', (first) => {
      pair.up = net.connect(PAGE.test(first.toString('latin1')) ? this.pages : this.target);
      watch(pair.up);
      pair.up.write(first);
      down.pipe(pair.up);
      pair.up.on('data', (bytes) => this.pass(down, bytes));
    });
  }

  pass(down, bytes) {
    if (bytes.length < this.left) {
      this.left -= bytes.length;
      down.write(bytes);
      return;
    }
    // What lies before the cut is delivered, so that the cut falls on just this byte.
    down.write(bytes.subarray(0, this.left));
    this.left = Infinity;
    this.cuts += 1;
    for (const pair of this.pairs) { pair.up?.destroy(); pair.down.end(() => pair.down.destroy()); }
  }

  /** Arms one cut, `bytes` further down. */
  cutAfter(bytes) { this.left = bytes; }

  close() {
    for (const { up, down } of this.pairs) { up?.destroy(); down.destroy(); }
    this.server.close();
  }
}

module.exports = { Cutter };
