/**
 * One subscription of a page: its listener, the promise of the server's answer, and an iterator over
 * its messages.
 *
 * Sends nothing to the server; the client does that.
 *
 * @import { Message, Presence, SubscribeOptions } from '../encke.js'
 */
import { EnckeError, Emitter, covers, failure, isAfter } from './base.js';

/**
 * What `subscribe` returns. Awaited, it is the server's answer. Emits `message`, `presence` and
 * `end`.
 */
export class Subscription extends Emitter {
  /** @type {'pending' | 'live' | 'closed'} */
  _state = 'pending';
  /** Messages that came before the answer: history goes first. @type {Message[]} */
  #early = [];
  /** The position up to which the history is complete. Messages on the way may be older. */
  #until = '';
  /** @type {(value: any) => void} */
  #resolve = () => {};
  /**
   * Rejects the promise of the answer; the subscription itself stays.
   * @type {(error: Error) => void}
   */
  _reject = () => {};
  #answered = new Promise((resolve, reject) => {
    this.#resolve = resolve;
    this._reject = reject;
  });

  /**
   * @param {string} n its name between tab and hub
   * @param {string} channel
   * @param {((message: Message) => void) | undefined} listener
   * @param {SubscribeOptions} options
   * @param {(subscription: Subscription) => void} leave tells the client that it was unsubscribed
   */
  constructor(n, channel, listener, { last, presence, conflate }, leave) {
    super();
    this._n = n;
    this.channel = channel;
    this._wants = { last, presence: !!presence || undefined, conflate };
    this._leave = leave;
    if (listener) this.on('message', listener);
    if (typeof presence === 'function') this.on('presence', presence);
    // The client's `error` event reports a refusal that nothing awaits.
    this.#answered.catch(() => {});
  }

  /** @type {PromiseLike<{ channel: string, position?: string }>['then']} */
  then(resolve, reject) { return this.#answered.then(resolve, reject); }

  /** Ends the subscription: it delivers nothing more. */
  unsubscribe() {
    if (this._state === 'closed') return;
    this._end(failure('unsubscribed'));
    this._leave(this);
  }

  /**
   * Iterates over the messages from now on. Keeps a bounded number of them between steps.
   * @returns {AsyncGenerator<Message, void, void>}
   */
  async *[Symbol.asyncIterator]() {
    /** @type {Message[]} */
    const queue = [];
    let wake = () => {};
    let lost = 0;
    const offs = [
      this.on('message', (message) => {
        if (queue.length < ITERATOR_QUEUE_MAX) queue.push(message);
        else lost += 1;
        wake();
      }),
      this.on('end', () => wake()),
    ];
    try {
      while (queue.length || this._state !== 'closed') {
        if (queue.length) yield /** @type {Message} */ (queue.shift());
        else if (lost) throw new EnckeError('client', 'too-slow', `the iterator lost ${lost} messages`);
        else await new Promise((done) => { wake = () => done(undefined); });
      }
    } finally {
      for (const off of offs) off();
    }
  }

  // ---- for the client ----

  /** @param {Message} message */
  _take(message) {
    if (this._state === 'closed' || !covers(this.channel, message.channel) || !isAfter(message.id, this.#until)) return;
    if (this._state === 'pending' && this._wants.last) this.#early.push(message);
    else this._emit('message', message);
  }

  /** @param {Message[]} messages those up to a position @param {string} [until] */
  _addHistory(messages, until = '') {
    if (this._state !== 'pending') return;
    this.#until = until;
    this.#early = [...messages, ...this.#early.filter(({ id }) => isAfter(id, until))];
  }

  /** @param {any} answer */
  _onAnswer({ ok, error }) {
    if (this._state === 'closed') return;
    if (error) return this._end(EnckeError._from({ kind: 'client', ...error }));
    this._state = 'live';
    for (const message of this.#early.splice(0)) this._emit('message', message);
    this.#resolve({ channel: this.channel, position: ok.position });
  }

  /** @param {Presence} presence */
  _onPresence(presence) {
    if (this._state !== 'closed' && this._wants.presence && covers(this.channel, presence.channel)) this._emit('presence', presence);
  }

  /** @param {EnckeError} error */
  _end(error) {
    this._state = 'closed';
    this._reject(error);
    this._emit('end');
  }
}

/** Messages kept for one iterator. A slower page would use ever more memory. */
const ITERATOR_QUEUE_MAX = 10_000;
