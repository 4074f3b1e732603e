/**
 * A room through SockJS: the unmodified client, over the given transport. Each string is a command up, and an envelope down.
 *
 * A SockJS object does not reconnect, so this does. The next one resumes after the last message that came. Knows nothing of the
 * page.
 */

/** After a failure, and at most after several. Milliseconds. */
const AGAIN = { first: 500, most: 5_000 };

/** The transports by which a page of another origin would open a hidden frame are left out: this page's origin is the server's. */
const { SockJS } = /** @type {any} */ (globalThis);

export class SockjsLink {
  /** Commands that have no answer yet, oldest first: answers come in their order. @type {Array<(answer: any) => void>} */
  #asked = [];
  /** The position of the last message. @type {string | undefined} */
  #since;
  #wait = AGAIN.first;
  #isClosed = false;
  /** @type {Set<() => void>} */
  #ends = new Set();
  /** @type {any} */
  #socket;

  /**
   * @param {string} url @param {string} channel @param {string} type the only transport that the client may use
   * @param {import('/demo/bridge.js').Listener} listener
   */
  constructor(url, channel, type, listener) {
    Object.assign(this, { url, channel, type, listener });
    listener.state('connecting');
    this.#open();
  }

  #open() {
    const { url, channel, type, listener } = /** @type {any} */ (this);
    const socket = new SockJS(url, null, { transports: [type] });
    this.#socket = socket;
    socket.onopen = () => this.#ask({ subscribe: channel, since: this.#since }).then(() => {
      this.#wait = AGAIN.first;
      listener.state('live');
    }, (error) => listener.state('over', error.message));
    socket.onmessage = (/** @type {{ data: string }} */ { data }) => this.#envelope(JSON.parse(data));
    socket.onclose = (/** @type {{ reason: string }} */ { reason }) => this.#closed(reason);
  }

  /** @param {any} envelope */
  #envelope(envelope) {
    if (envelope.ok || envelope.error) return this.#asked.shift()?.(envelope);
    if (envelope.id === undefined) return undefined;
    this.#since = envelope.id;
    const { channel, listener } = /** @type {any} */ (this);
    if (envelope.channel === channel) listener.message(envelope.from ?? 'a backend', envelope.data);
    return undefined;
  }

  /** @param {string} reason */
  #closed(reason) {
    for (const answer of this.#asked.splice(0)) answer({ error: { reason: 'the connection broke' } });
    for (const ended of this.#ends) ended();
    if (this.#isClosed) return;
    /** @type {any} */ (this).listener.state('retrying', reason);
    setTimeout(() => { if (!this.#isClosed) this.#open(); }, this.#wait);
    this.#wait = Math.min(this.#wait * 2, AGAIN.most);
  }

  /** Sends a command. Resolves with its answer. @param {any} command @returns {Promise<any>} */
  #ask(command) {
    return new Promise((yes, no) => {
      if (this.#socket.readyState !== SockJS.OPEN) return no(new Error('the server cannot be reached'));
      this.#asked.push(({ ok, error }) => { if (ok) yes(ok); else no(new Error(error.reason)); });
      return this.#socket.send(JSON.stringify(command));
    });
  }

  /** Resolves when the server has accepted it. @param {any} data @returns {Promise<void>} */
  publish(data) { return this.#ask({ publish: /** @type {any} */ (this).channel, data }); }

  /** Resolves when the session has ended. What was published before is still reported. @returns {Promise<void>} */
  async close() {
    this.#isClosed = true;
    // Answers and messages of a session have one order: what comes before this answer would be lost by closing now.
    await this.#ask({ ping: 0 }).catch(() => {});
    const { CLOSING, CLOSED } = SockJS;
    return new Promise((done) => {
      if ([CLOSING, CLOSED].includes(this.#socket.readyState)) return done();
      this.#ends.add(done);
      return this.#socket.close();
    });
  }
}
