// The Faye library behind the same words as CometD's: for Node and for pages.
import { Inbox } from './inbox.mjs';

/**
 * @param {object} library  what `require('faye')` gives
 * @param {string} url
 * @param {{type: string, extension?: object}} options  `type` is the only transport that is left to it
 */
export function fayeClient(library, url, { type, extension }) {
  return new Client(library, url, type, extension);
}

const TYPES = ['in-process', 'websocket', 'eventsource', 'long-polling', 'cross-origin-long-polling', 'callback-polling'];
/** Faye sends its handshake by one of these, whatever it uses afterwards. */
const FIRST = ['long-polling', 'callback-polling'];

class Client {
  constructor(library, url, type, extension) {
    // Half a second after a failure it tries again, instead of five.
    this.faye = new library.Client(url, { retry: 0.5 });
    this.wanted = type;
    this.metas = new Inbox(`meta messages of ${type}`);
    this.subscriptions = new Map();
    const kept = FIRST.includes(type) ? [type] : [type, ...FIRST];
    for (const other of TYPES) if (!kept.includes(other)) this.faye.disable(other);
    this.faye.addExtension({
      incoming: (message, pass) => {
        if (message.channel.startsWith('/meta/')) {
          this.metas.push(message);
          // What a subscription was answered after a restart is known from here alone.
          if (message.channel === '/meta/subscribe') this.answered(message);
        }
        pass(message);
      },
    });
    if (extension) this.faye.addExtension(extension);
  }

  get clientId() { return this.faye._dispatcher.clientId; }
  /** By what its messages go. Faye has no word of its own for it. */
  get type() { return this.faye._dispatcher.connectionType; }

  async open() {
    // `connect` tells only of the good end.
    this.faye.connect(() => {});
    const answer = await this.metas.until((all) => all.find(({ channel }) => channel === '/meta/handshake'), 'a handshake');
    if (!answer.successful) throw Object.assign(new Error(`handshake: ${answer.error}`), { answer });
    await this.typed();
    return answer;
  }

  /** Begins, and resolves to what the first connect was answered that failed, and to what became of the client. */
  async failedConnect() {
    this.faye.connect(() => {});
    const { error, advice } = await this.metas.until((all) => all.find((m) => m.channel === '/meta/connect' && !m.successful), 'a failed connect');
    await new Promise((done) => { setTimeout(done); });
    const handshakes = this.metas.all.filter(({ channel }) => channel === '/meta/handshake').length;
    return { error, advice, handshakes, isOver: this.faye._advice.reconnect === 'none' };
  }

  /** Resolves once it has gone over from the transport of its handshake to the one that is wanted, as seen when a connect is answered. */
  typed() { return this.metas.until(() => this.type === this.wanted, `transport ${this.wanted}`); }

  answered({ subscription, successful }) {
    for (const channel of [subscription].flat()) if (successful) this.subscriptions.get(channel)?.answers.push(channel);
  }

  async subscribe(channel) {
    const one = { got: new Inbox(`events of ${channel} by ${this.wanted}`), answers: new Inbox(`answers to the subscription of ${channel}`) };
    this.subscriptions.set(channel, one);
    one.handle = this.faye.subscribe(channel).withChannel((at, data) => one.got.push({ channel: at, data }));
    await new Promise((yes, no) => { one.handle.then(() => yes(), no); });
    return one.got;
  }

  /** Resolves once the server has taken the subscription so many times. */
  subscribed(channel, times) { return this.subscriptions.get(channel).answers.count(times); }

  async unsubscribe(channel) {
    const before = this.metas.all.length;
    this.subscriptions.get(channel).handle.cancel();
    this.subscriptions.delete(channel);
    await this.metas.until((all) => all.slice(before).find((m) => m.channel === '/meta/unsubscribe'), 'an answer to unsubscribe');
  }

  publish(channel, data) { return new Promise((yes, no) => { this.faye.publish(channel, data).then(() => yes(), no); }); }

  /** All that is sent in one turn of the loop goes in one request. */
  batch(work) { return work(); }

  disconnect() { return new Promise((yes, no) => { this.faye.disconnect().then(() => yes(), no); }); }

  close() { this.faye.disconnect(); }
}
