// A client in a page, driven from here by the words that the clients in Node have.
import fs from 'node:fs';
import http from 'node:http';
import { fileURLToPath } from 'node:url';

const folder = (path) => fileURLToPath(new URL(path, import.meta.url));
const SOURCES = [folder('page/'), folder('node_modules/faye/client/')];

/** Serves the page and the libraries under /page/, from an origin of its own; the cutter makes it the server's origin too. */
export async function servePages() {
  const known = new Map();
  for (const source of SOURCES) for (const name of fs.readdirSync(source)) known.set(`/page/${name}`, source + name);
  for (const name of fs.readdirSync(folder('node_modules/cometd-9'))) known.set(`/page/cometd/${name}`, folder(`node_modules/cometd-9/${name}`));
  const server = http.createServer((request, response) => {
    const file = known.get(request.url);
    if (!file) return response.writeHead(404, { connection: 'close' }).end();
    const type = file.endsWith('.html') ? 'text/html' : 'text/javascript';
    // Closed after each: on the server's own address the next request on the connection would be for the server.
    response.writeHead(200, { 'content-type': `${type}; charset=utf-8`, connection: 'close' });
    return response.end(fs.readFileSync(file));
  });
  await new Promise((ok) => server.listen(0, '127.0.0.1', ok));
  const at = `127.0.0.1:${server.address().port}`;
  return { at, close() { server.close(); server.closeAllConnections(); } };
}

/** Makes clients of a library in pages of a browser: of the same origin as the URL that they use, or else of the one that is given. */
export const remote = (browser, library, { host } = {}) => (url, options) => new Remote(browser, library, url, options, host ?? new URL(url).host);

class Remote {
  constructor(browser, library, url, options, host) {
    Object.assign(this, { browser, library, url, options, page: null, home: `http://${host}/page/index.html` });
  }

  async ask(word, ...values) {
    const result = await this.page.evaluate(
      (name, given) => Promise.resolve(window.ask[name](...given)).then((good) => ({ good: good ?? null }), (bad) => ({ bad: String(bad?.message ?? bad) })),
      word, values);
    if ('bad' in result) throw new Error(result.bad);
    return result.good;
  }

  /** Opens the page, or loads it again, and makes the client in it. */
  async load() {
    this.page ??= await this.browser.newPage();
    await this.page.bringToFront();
    await this.page.goto(this.home, { wait: 'load' });
    const isReady = () => this.page.waitFor(() => window.isReady === true, { timeout: 10000 });
    // WebKit may say that a page is loaded while the one before, of the same address, is still there: then the question goes with that one.
    await isReady().catch(isReady);
    await this.ask('make', this.library, this.url, this.options);
  }

  async failedConnect() {
    await this.load();
    return this.ask('failedConnect');
  }

  /** Opens the page with a client, which subscribes with its handshake. */
  async open(channels = []) {
    await this.load();
    const { answer, ...state } = await this.ask('open', channels);
    Object.assign(this, state);
    this.early = channels.map((_, inbox) => this.inbox(inbox));
    return answer;
  }

  async subscribe(channel) {
    return this.inbox(await this.ask('subscribe', channel));
  }

  inbox(number) { return { count: (wanted) => this.ask('count', number, wanted), numbered: (n) => this.ask('numbered', number, n) }; }

  async subscribed(channel, times) { Object.assign(this, await this.ask('subscribed', channel, times)); }
  unsubscribe(channel) { return this.ask('unsubscribe', channel); }
  publish(channel, data) { return this.ask('batch', [[channel, data]]); }
  batch(publishes) { return this.ask('batch', publishes); }
  disconnect() { return this.ask('disconnect'); }
  reload() { return this.ask('reload'); }
  async close() { await this.page?.close(); }
}
