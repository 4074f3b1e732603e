'use strict';
// A TCP proxy that breaks connections on purpose: after so many more bytes have come down, all of them are reset. It can
// also take no more of them, or fall silent as a link does that died without a word.
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
  constructor(target, pages) {
    this.target = address(target);
    this.pages = pages ? address(pages) : this.target;
    this.pairs = new Set();
    this.left = Infinity;
    this.cuts = 0;
    this.silent = false;
    this.server = net.createServer((down) => this.join(down));
  }

  /** Listens; again on the same port after `refuse`. */
  listen() {
    const port = this.port ?? 0;
    return new Promise((ok, no) => this.server.once('error', no).listen(port, '127.0.0.1', () => {
      this.port = this.server.address().port;
      ok(`127.0.0.1:${this.port}`);
    }));
  }

  join(down) {
    const pair = { down, up: null, to: null, dead: this.silent };
    this.pairs.add(pair);
    pair.end = () => { this.pairs.delete(pair); pair.up?.destroy(); down.destroy(); };
    down.setNoDelay(true).on('error', pair.end).on('close', pair.end);
    down.on('data', (bytes) => {
      if (pair.dead) return;
      // A page's own file may be asked for on a connection that was the target's before.
      const to = PAGE.test(bytes.toString('latin1', 0, 16)) ? this.pages : this.target;
      if (to !== pair.to) this.connect(pair, to);
      pair.up.write(bytes);
    });
  }

  connect(pair, to) {
    pair.up?.removeListener('close', pair.end).destroy();
    pair.to = to;
    pair.up = net.connect(to).setNoDelay(true).on('error', pair.end).on('close', pair.end);
    pair.up.on('data', (bytes) => pair.dead || this.pass(pair.down, bytes));
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

  /** Cuts all connections and takes no more, until it listens again. */
  async refuse() {
    const closed = new Promise((ok) => this.server.close(ok));
    for (const { up, down } of this.pairs) { up?.destroy(); down.destroy(); }
    await closed;
  }

  /** Open and new connections pass nothing any more, and neither side notices. */
  fallSilent() {
    this.silent = true;
    for (const pair of this.pairs) pair.dead = true;
  }

  /** New connections pass again. */
  speak() { this.silent = false; }

  /** Those that fell silent are ended, as by a machine that knows them no more. */
  endSilent() { for (const pair of this.pairs) if (pair.dead) pair.end(); }

  close() {
    for (const { up, down } of this.pairs) { up?.destroy(); down.destroy(); }
    this.server.close();
  }
}

module.exports = { Cutter };
