'use strict';
// TCP streams of the client library in pages: web streams with back-pressure in both directions, over each transport alone, and
// connections that are cut in the middle. Each byte is compared, in the page and at the server.
const assert = require('node:assert/strict');
const net = require('node:net');
const { once } = require('node:events');
const { withSite } = require('./lib/site');

const KINDS = ['ws', 'stream', 'sse', 'longpoll'];
const [UP, DOWN] = [7, 11];
/** Bytes that the kernels and the windows between a page and a server hold: no more may be under way. */
const HELD_MAX = 48 << 20;
/** Round trips of another stream without any progress, after which a direction stands still. */
const STILL = 3;
/** Where the cuts fall: so many bytes further down. Odd on purpose. */
const CUT_AT = [60_013, 4_099];
const LIMIT = { timeout: 60_000 };

/** A server on loopback that knows nothing of Encke; `next` resolves to the next connection. */
async function backend() {
  const [come, waiting, open] = [[], [], new Set()];
  const server = net.createServer({ allowHalfOpen: true, pauseOnConnect: true }, (socket) => {
    open.add(socket.on('error', () => {}));
    const next = waiting.shift();
    if (next) next(socket);
    else come.push(socket);
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return {
    address: `127.0.0.1:${server.address().port}`,
    next: () => (come.length ? Promise.resolve(come.shift()) : new Promise((ok) => waiting.push(ok))),
    close() { server.close(); for (const socket of open) socket.destroy(); },
  };
}

/** One page, one stream, and the server at its other end. */
class Ends {
  constructor(site, page, there, socket) {
    Object.assign(this, { site, page, there, socket, probes: 0 });
  }

  state() { return this.page.evaluate(() => window.transfers.one.state); }

  /** Waits until a claim about the transfer holds. */
  until(claim, ...args) {
    return this.page.waitFor(claim, { ...LIMIT, args }).catch(async (error) => {
      error.message += ` for ${claim}(${args}): ${JSON.stringify(await this.state().catch(String))}, ${this.site.cutter.cuts} cuts`;
      throw error;
    });
  }

  /** Another stream goes there and back. */
  async probe() {
    await this.page.evaluate(() => window.transfers.one.probe());
    const socket = await this.there.next();
    // It is there once the page has ended its direction, too.
    socket.end('!');
    socket.resume();
    this.probes += 1;
    await this.until((count) => window.transfers.one.probes >= count || window.transfers.one.wrong.length > 0, this.probes);
  }

  /** Resolves once a count has not grown while several probes went through. Answers the count. */
  async still(count, what) {
    let [last, same] = [-1, 0];
    while (same < STILL) {
      await this.probe();
      const now = await count();
      same = now === last ? same + 1 : 0;
      last = now;
      assert.ok(now < HELD_MAX, `${what}: ${now} bytes, and no end`);
    }
    assert.ok(last > 0, `${what}: nothing at all`);
    return last;
  }

  /** The server sends as long as it can. */
  flood(noise) {
    const fill = () => {
      while (!this.socket.writableNeedDrain && !this.stopped) {
        const part = noise(60_013);
        this.sent = (this.sent ?? 0) + part.length;
        this.socket.write(part);
      }
      if (this.stopped) this.socket.end();
    };
    this.socket.on('drain', fill);
    fill();
  }

  /** What the server has written and its kernel has not taken does not count. */
  taken() { return this.sent - this.socket.writableLength; }

  /** The server reads to the end, and compares. */
  receive(noise) {
    let got = 0;
    return new Promise((done, fail) => {
      this.socket.on('data', (part) => {
        if (Buffer.compare(part, noise(part.length)) !== 0) fail(new Error(`the server's bytes from ${got} on differ`));
        got += part.length;
      });
      this.socket.on('end', () => done(got));
      this.socket.on('close', () => fail(new Error('the stream was closed before its end')));
      this.socket.resume();
    });
  }
}

/** Neither end reads, and both stand still; then both read on through cuts, to both ends. */
const bothWays = (kind) => async (browser, binary) => {
  const { noise } = await import('./page/noise.mjs');
  const there = await backend();
  try {
    await withSite({ ENCKE_TCP_TARGETS: `there=${there.address}` }, async (site) => {
      const page = await site.page(browser);
      await page.evaluate(() => void import('/page/streams.mjs'));
      await page.waitFor(() => !!window.transfer);
      await page.evaluate((way) => window.transfer('one', '/u/alice', { transports: [way] }), kind);
      const ends = new Ends(site, page, there, await there.next());
      ends.flood(noise(DOWN));
      await page.evaluate((seed) => window.transfers.one.give(seed), UP);
      await ends.still(() => ends.taken(), 'down');
      await ends.still(async () => (await ends.state()).written, 'up');
      assert.equal((await ends.state()).read, 0, 'nobody has read anything');
      // Both read. Each cut is armed by what has arrived: a poll alone would wait for its pause otherwise.
      const received = ends.receive(noise(UP));
      await page.evaluate((seed) => window.transfers.one.take(seed), DOWN);
      for (const [round, bytes] of CUT_AT.entries()) {
        site.cutter.cutAfter(bytes);
        const { read } = await ends.state();
        for (let cuts = site.cutter.cuts; cuts <= round; cuts = site.cutter.cuts) {
          await ends.until((before) => window.transfers.one.read > before || window.transfers.one.wrong.length > 0, (await ends.state()).read);
          assert.deepEqual((await ends.state()).wrong, []);
        }
        await ends.until((before) => window.transfers.one.read >= before + 200_000 || window.transfers.one.wrong.length > 0, read);
      }
      ends.stopped = true;
      ends.socket.emit('drain');
      await page.evaluate(() => { window.transfers.one.stopped = true; });
      await ends.until(() => window.transfers.one.closed !== null || window.transfers.one.wrong.length > 0);
      const end = await ends.state();
      assert.deepEqual([end.wrong, end.closed?.code, end.ended, end.transport], [[], 'ok', true, kind]);
      assert.deepEqual([end.read, await received], [ends.sent, end.written], 'bytes of both directions');
      assert.equal(site.cutter.cuts, CUT_AT.length, 'cuts made');
    })(browser, binary);
  } finally {
    there.close();
  }
};

const STREAMS = KINDS.map((kind) => ({ name: `library: a TCP stream over ${kind}, back-pressure both ways, two cuts`, run: bothWays(kind) }));

module.exports = { STREAMS };
