/**
 * One subscription of one page: a listener, a promise that it stands, and an iterator over what comes.
 *
 * Does not talk to the server; its client does.
 *
 * @import { Message, Presence, SubscribeOptions } from '../encke.js'
 */
import { EnckeError, Emitter, covers, guarded, isAfter } from './base.js';

/** What `subscribe` returns. Awaited, it is the server's answer. Emits `presence`, `gap` and `end`. */
export class Subscription extends Emitter {
  /** @type {'asked' | 'held' | 'over'} */
  state = 'asked';
  /** What came while it was asked for: history goes first. @type {Message[]} */
  #early = [];
  /** History has all until there, also what is still on its way to us. */
  #until = '';
  /** @type {(value: any) => void} */
  #yes = () => {};
  /** @type {(error: Error) => void} */
  #no = () => {};
  #confirmed = new Promise((yes, no) => {
    this.#yes = yes;
    this.#no = no;
  });

  /**
   * @param {string} n its name between tab and hub
   * @param {string} channel
   * @param {((message: Message) => void) | undefined} listener
   * @param {SubscribeOptions} options
   * @param {(one: Subscription) => void} leave
   */
  constructor(n, channel, listener, { last, presence, conflate }, leave) {
    super();
    this.n = n;
    this.channel = channel;
    this.listener = listener;
    this.wants = { last, presence: presence ? true : undefined, conflate };
    this.leave = leave;
    if (typeof presence === 'function') this.on('presence', presence);
    // Who does not await it hears of a refusal by the client's `error`.
    this.#confirmed.catch(() => {});
  }

  /** @type {PromiseLike<{ channel: string, position?: string }>['then']} */
  then(yes, no) { return this.#confirmed.then(yes, no); }

  /** Ends it: nothing more is delivered. */
  unsubscribe() {
    if (this.state === 'over') return;
    this.end(new EnckeError('client', 'unsubscribed', 'it was unsubscribed'));
    this.leave(this);
  }

  /** What came until now is kept for whoever iterates, up to a bound. @returns {AsyncGenerator<Message, void, void>} */
  async *[Symbol.asyncIterator]() {
    /** @type {Message[]} */
    const waiting = [];
    let wake = () => {};
    let lost = 0;
    const offs = [
      this.on('message', (message) => {
        if (waiting.length < WAITING_MAX) waiting.push(message);
        else lost += 1;
        wake();
      }),
      this.on('end', () => wake()),
    ];
    try {
      while (waiting.length || this.state !== 'over') {
        if (waiting.length) yield /** @type {Message} */ (waiting.shift());
        else if (lost) throw new EnckeError('client', 'too-slow', `${lost} messages were not taken in time`);
        else await new Promise((done) => { wake = () => done(undefined); });
      }
    } finally {
      for (const off of offs) off();
    }
  }

  // ---- for the client ----

  /** @param {Message} message */
  take(message) {
    if (this.state === 'over' || !covers(this.channel, message.channel) || !isAfter(message.id, this.#until)) return;
    if (this.state === 'asked' && this.wants.last) this.#early.push(message);
    else this.#deliver(message);
  }

  /** What was there until a position. @param {Message[]} messages @param {string} [until] */
  history(messages, until = '') {
    if (this.state !== 'asked') return;
    this.#until = until;
    this.#early = [...messages, ...this.#early.filter(({ id }) => isAfter(id, until))];
  }

  /** @param {any} answer */
  answered({ ok, error }) {
    if (this.state === 'over') return;
    if (error) return this.end(EnckeError.from({ kind: 'client', ...error }));
    this.state = 'held';
    for (const message of this.#early.splice(0)) this.#deliver(message);
    this.#yes({ channel: this.channel, position: ok.position });
  }

  /** @param {Presence} presence */
  present(presence) {
    if (this.state !== 'over' && this.wants.presence && covers(this.channel, presence.channel)) this.emit('presence', presence);
  }

  /** Whoever awaits it is told; it stays wanted. @param {EnckeError} error */
  refused(error) { this.#no(error); }

  /** @param {EnckeError} error */
  end(error) {
    this.state = 'over';
    this.#no(error);
    this.emit('end');
  }

  /** @param {Message} message */
  #deliver(message) {
    if (this.listener) guarded(this.listener, message);
    this.emit('message', message);
  }
}

/** Messages that wait for one iterator. */
const WAITING_MAX = 10_000;
