// npm's unmodified sockjs-client in Node, with each of its transports that run there forced. Those that need a page
// (htmlfile, jsonp, frames) are the browsers' to test.
import { createRequire } from 'node:module';
import { assert, services, wire } from './rig.mjs';
import { Inbox } from '../bayeux/page/inbox.mjs';

const require = createRequire(import.meta.url);
const { Cutter } = require('../browser/lib/cutter.js');
const all = services();

const LIBRARIES = ['sockjs-client', 'sockjs-client-1.0'].map((name) => ({
  name: `sockjs-client ${require(`${name}/package.json`).version}`, SockJS: require(name),
}));
const TRANSPORTS = ['websocket', 'xhr-streaming', 'eventsource', 'xhr-polling'];

/** Texts that are awkward to carry. Half of a pair is among them only where it is not compared. */
const AWKWARD = ['', ' ', 'a', '"', '\\', '[]', 'o', 'h', 'c[1000,""]', '\u0000\b\f\n\r\t\u001f\u007f', '%41%80%', 'é☄\u2028\u2029\u200c\ufeff\uffff',
  '\u{1f600}', '</script><!--', '\r\n\r\ndata: x', 'x'.repeat(5000), '\u{10ffff}'.repeat(500)];

/** A client, and what came to it. */
class Client {
  constructor(SockJS, url, transports) {
    this.got = new Inbox(`messages by ${transports}`);
    this.closed = new Inbox('close event');
    this.opened = new Inbox('open event');
    this.socket = new SockJS(url, null, { transports });
    this.socket.onopen = () => this.opened.push(this.socket.transport);
    this.socket.onmessage = ({ data }) => this.got.push(data);
    this.socket.onclose = ({ code, reason, wasClean }) => this.closed.push({ code, reason, wasClean });
  }

  async open() {
    await Promise.race([this.opened.count(1), this.closed.count(1).then(([why]) => assert.fail(`closed: ${JSON.stringify(why)}`))]);
    return this.socket.transport;
  }

  /** The close event. */
  async end() { return (await this.closed.count(1))[0]; }

  close() { this.socket.close(); }
}

function suite({ name, SockJS }, transport) {
  const connect = async (service) => {
    const client = new Client(SockJS, service.base, [transport]);
    assert.equal(await client.open(), transport);
    return client;
  };
  const it = (claim, work) => wire(`${name}, ${transport}: ${claim}`, work);

  it('all that is said comes back in its order', async () => {
    const client = await connect(all.echo);
    const texts = [...AWKWARD, ...Array.from({ length: 200 }, (_, n) => `${n}`), ...AWKWARD];
    for (const text of texts) client.socket.send(text);
    assert.deepEqual(await client.got.count(texts.length), texts);
    client.close();
    assert.deepEqual(await client.end(), { code: 1000, reason: 'Normal closure', wasClean: true });
  });

  it('more than fits into one response comes all the same', async () => {
    const client = await connect(all.echo);
    const texts = Array.from({ length: 100 }, (_, n) => `${n} ${'y'.repeat(300)}`);
    for (const text of texts) {
      client.socket.send(text);
      // One after the other, so that they do not share a frame.
      if (texts.indexOf(text) % 10 === 9) await client.got.count(texts.indexOf(text) + 1);
    }
    assert.deepEqual(await client.got.count(texts.length), texts);
    client.close();
  });

  it('the server\'s close is told with its code and words', async () => {
    const client = new Client(SockJS, all.close.base, [transport]);
    assert.deepEqual(await client.end(), { code: 3000, reason: 'Go away!', wasClean: true });
    assert.equal(client.opened.all.length, 1);
  });

  it('a message of 256 KiB comes whole', async () => {
    const client = await connect(all.amplify);
    client.socket.send('18');
    const [text] = await client.got.count(1);
    assert.equal(text.length, 262144);
    client.close();
  });

  it('a session ends when its client goes', async () => {
    const [one, other] = [await connect(all.broadcast), await connect(all.broadcast)];
    one.socket.send('both');
    for (const client of [one, other]) assert.deepEqual(await client.got.count(1), ['both']);
    other.close();
    await other.end();
    one.socket.send('alone');
    assert.deepEqual(await one.got.count(2), ['both', 'alone']);
    one.close();
  });

  // In Node the library's XHR does not notice a response that breaks off.
  if (transport === 'xhr-streaming') return;

  it('a cut is told, and the next connection works', async () => {
    const proxy = new Cutter(new URL(all.echo.base).host);
    const base = `http://${await proxy.listen()}/echo`;
    const client = new Client(SockJS, base, [transport]);
    await client.open();
    await proxy.refuse();
    // An event source comes again by itself, and learns that its session is over.
    await proxy.listen();
    const { code } = await client.end();
    assert.ok([1002, 1006].includes(code), `${code}`);
    const again = new Client(SockJS, base, [transport]);
    await again.open();
    again.socket.send('again');
    assert.deepEqual(await again.got.count(1), ['again']);
    again.close();
    proxy.close();
  });
}

for (const library of LIBRARIES) {
  for (const transport of TRANSPORTS) suite(library, transport);

  wire(`${library.name}: it chooses the socket, and where there is none a stream`, async () => {
    for (const [service, transport] of [[all.echo, 'websocket'], [all.disabled_websocket_echo, 'xhr-streaming'], [all.cookie_needed_echo, 'websocket']]) {
      const client = new Client(library.SockJS, service.base);
      assert.equal(await client.open(), transport);
      client.socket.send('chosen');
      assert.deepEqual(await client.got.count(1), ['chosen']);
      client.close();
    }
  });

  wire(`${library.name}: a missing service is reported`, async () => {
    const client = new Client(library.SockJS, `${all.echo.base}/nothing`);
    const { code, wasClean } = await client.end();
    assert.deepEqual([code, wasClean], [1002, false]);
  });
}
