// The CometD library behind the few words that the tests use: for Node and for pages, for its versions 4 to 9.
import { Inbox } from './inbox.mjs';

/**
 * @param {object} library  `CometD` and the extensions' classes
 * @param {string} url
 * @param {{type: string, extensions?: string[], context?: object, handshake?: object, configure?: object}} options
 *   `type` is the only transport that is left to it; `context` goes to the transport; `handshake` is merged into its handshake
 */
export function cometdClient(library, url, { type, extensions = [], context, handshake = {}, configure = {} }) {
  return new Client(library, url, { type, extensions, context, handshake, configure });
}

class Client {
  constructor(library, url, options) {
    const cometd = new library.CometD();
    this.cometd = cometd;
    this.options = options;
    this.metas = new Inbox(`meta messages of ${options.type}`);
    this.subscriptions = new Map();
    this.extensions = {};
    for (const name of options.extensions) {
      this.extensions[name] = new library[`${name}Extension`]();
      cometd.registerExtension(name.toLowerCase(), this.extensions[name]);
    }
    for (const type of cometd.getTransportTypes()) if (type !== options.type) cometd.unregisterTransport(type);
    if (options.context) cometd.findTransport(options.type).context = options.context;
    for (const channel of ['/meta/handshake', '/meta/connect', '/meta/disconnect']) {
      cometd.addListener(channel, (message) => this.metas.push(message));
    }
    cometd.addListener('/meta/handshake', (message) => { if (message.successful) this.resubscribe(); });
    cometd.configure({ url, backoffIncrement: 100, logLevel: 'error', ...options.configure });
  }

  get clientId() { return this.cometd.getClientId(); }
  /** A property in newer versions, a method in older ones. */
  get type() { const transport = this.cometd.getTransport(); return transport?.type ?? transport?.getType(); }
  get connects() { return this.metas.all.filter(({ channel }) => channel === '/meta/connect'); }

  /** Resolves once the first connect was answered, to the handshake's answer; fails if the handshake does. */
  async open() {
    const answer = await new Promise((done) => { this.cometd.handshake(this.options.handshake, done); });
    if (!answer.successful) throw Object.assign(new Error(`handshake: ${answer.error ?? JSON.stringify(answer.failure)}`), { answer });
    await this.connected();
    return answer;
  }

  /** Begins, and resolves to what the first connect was answered that failed, and to what became of the client. */
  async failedConnect() {
    this.cometd.handshake(this.options.handshake);
    const { error, advice } = await this.metas.until((all) => all.find((m) => m.channel === '/meta/connect' && !m.successful), 'a failed connect');
    // The library tells its listeners first, and acts then.
    await new Promise((done) => { setTimeout(done); });
    const handshakes = this.metas.all.filter(({ channel }) => channel === '/meta/handshake').length;
    return { error, advice, handshakes, isOver: this.cometd.isDisconnected() };
  }

  /** Resolves once a connect was answered well after the first `from` meta messages. */
  connected(from = 0) {
    return this.metas.until((all) => all.slice(from).find((m) => m.channel === '/meta/connect' && m.successful), 'a good connect');
  }

  /** After a new handshake the server knows none of them: an application of CometD subscribes in its handshake listener. */
  resubscribe() {
    this.cometd.batch(() => {
      for (const [channel, one] of this.subscriptions) one.handle = this.cometd.subscribe(channel, one.push, {}, one.answered);
    });
  }

  /** Resolves to what comes on the channel. Before the handshake it only notes what to subscribe with it. */
  subscribe(channel) {
    const got = new Inbox(`events of ${channel} by ${this.options.type}`);
    return new Promise((yes, no) => {
      const one = {
        got,
        push: ({ channel: at, data, ext, id, timestamp }) => got.push({ channel: at, data, ext, id, timestamp }),
        answers: new Inbox(`answers to the subscription of ${channel}`),
        answered: (answer) => {
          one.answers.push(answer);
          if (answer.successful) yes(got); else no(new Error(answer.error));
        },
      };
      this.subscriptions.set(channel, one);
      if (!this.cometd.isDisconnected()) one.handle = this.cometd.subscribe(channel, one.push, {}, one.answered);
    });
  }

  /** Resolves once the server has taken the subscription so many times. */
  subscribed(channel, times) { return this.subscriptions.get(channel).answers.until((all) => all.filter((m) => m.successful).length >= times, `${times} subscriptions`); }

  unsubscribe(channel) {
    const { handle } = this.subscriptions.get(channel);
    this.subscriptions.delete(channel);
    return settled((answered) => this.cometd.unsubscribe(handle, {}, answered));
  }

  publish(channel, data) { return settled((answered) => this.cometd.publish(channel, data, {}, answered)); }

  /** Listens on a service channel, to which no client subscribes. */
  listen(channel) {
    const got = new Inbox(`messages on ${channel}`);
    // A publish's own answer comes by the same name, and has no data.
    this.cometd.addListener(channel, (message) => { if ('data' in message) got.push(message); });
    return got;
  }

  batch(work) { let result; this.cometd.batch(() => { result = work(); }); return result; }

  /** Ends the session properly; resolves when the server has answered. */
  disconnect() { return settled((answered) => this.cometd.disconnect(answered)); }

  close() { if (!this.cometd.isDisconnected()) this.cometd.disconnect(); }
}

/** A promise for an answer with `successful`. */
function settled(ask) {
  return new Promise((yes, no) => {
    ask((answer) => (answer.successful ? yes(answer) : no(Object.assign(new Error(answer.error ?? JSON.stringify(answer.failure)), { answer }))));
  });
}
