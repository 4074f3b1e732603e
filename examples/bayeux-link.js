/**
 * A room through CometD: the unmodified library with its acknowledgement extension, over the given transport.
 *
 * Only the URL is specific to this server. Knows nothing of the page.
 */
import { AckExtension } from '/demo/cometd/AckExtension.js';
import { CometD } from '/demo/cometd/Client.js';

/** After a failure the library waits this much longer each time. Milliseconds. */
const BACKOFF = { backoffIncrement: 500, maxBackoff: 5_000 };

export class BayeuxLink {
  /**
   * @param {string} url @param {string} channel @param {string} type the only transport that the library may use
   * @param {import('/demo/bridge.js').Listener} listener
   */
  constructor(url, channel, type, listener) {
    this.channel = channel;
    this.type = type;
    this.subscribed = false;
    const cometd = new CometD();
    const message = (/** @type {any} */ { data, ext }) => listener.message(ext?.from ?? 'a backend', data);
    this.cometd = cometd;
    cometd.registerExtension('ack', new AckExtension());
    for (const other of cometd.getTransportTypes()) if (other !== type) cometd.unregisterTransport(other);
    cometd.addListener('/meta/handshake', (/** @type {any} */ answer) => {
      this.subscribed = false;
      if (!answer.successful) this.failed(answer, listener);
      // After each handshake, because a restarted server has no subscriptions.
      else cometd.subscribe(channel, message, {}, (/** @type {any} */ got) => this.answered(got, listener));
    });
    cometd.addListener('/meta/connect', (/** @type {any} */ answer) => {
      if (!answer.successful) this.failed(answer, listener);
      else if (this.subscribed && !cometd.isDisconnected()) listener.state('live');
    });
    // By default its timers run in a worker made of a blob, which this page's Content-Security-Policy does not allow.
    cometd.configure({ url: new URL(url, location.href).href, useWorkerScheduler: false, logLevel: 'error', ...BACKOFF });
    listener.state('connecting');
    cometd.handshake();
  }

  /** @param {any} answer @param {{ state(state: string, why?: string): void }} listener */
  answered(answer, listener) {
    this.subscribed = answer.successful;
    if (answer.successful) listener.state('live'); else this.failed(answer, listener);
  }

  /** @param {any} answer @param {{ state(state: string, why?: string): void }} listener */
  failed({ error, advice }, listener) {
    // Without an error the network failed, and the library retries.
    if (advice?.reconnect === 'none') listener.state('over', error);
    else if (!this.cometd.isDisconnected()) listener.state('retrying', error);
  }

  /** Resolves when the server has accepted it. @param {any} data @returns {Promise<void>} */
  publish(data) {
    return new Promise((yes, no) => {
      this.cometd.publish(this.channel, data, {}, (/** @type {any} */ answer) => {
        if (answer.successful) yes(); else no(new Error(answer.error ?? 'the server cannot be reached'));
      });
    });
  }

  /** Resolves when the session has ended. */
  close() { return new Promise((done) => { this.cometd.disconnect(done); }); }
}
