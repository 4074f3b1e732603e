/**
 * A room by way of CometD: the library as applications have it, with its acknowledgement extension, by the transport that is asked for.
 *
 * Nothing here is made for this server but the URL. Knows nothing of the page.
 */
import { AckExtension } from '/demo/cometd/AckExtension.js';
import { CometD } from '/demo/cometd/Client.js';

/** After a failure the library waits this much longer each time. Milliseconds. */
const BACKOFF = { backoffIncrement: 500, maxBackoff: 5_000 };

export class BayeuxLink {
  /**
   * @param {string} url @param {string} channel @param {string} type the only transport that is left to the library
   * @param {{ message(message: { data: any, ext?: any }): void, state(state: string, why?: string): void }} listener
   *   `state`: `connecting`, `live`, `retrying`, or `over`, with why
   */
  constructor(url, channel, type, listener) {
    this.channel = channel;
    this.type = type;
    this.subscribed = false;
    const cometd = new CometD();
    this.cometd = cometd;
    cometd.registerExtension('ack', new AckExtension());
    for (const other of cometd.getTransportTypes()) if (other !== type) cometd.unregisterTransport(other);
    cometd.addListener('/meta/handshake', (/** @type {any} */ answer) => {
      this.subscribed = false;
      if (!answer.successful) this.failed(answer, listener);
      // After each handshake, for a server that was started anew knows of no subscription.
      else cometd.subscribe(channel, listener.message, {}, (/** @type {any} */ got) => this.answered(got, listener));
    });
    cometd.addListener('/meta/connect', (/** @type {any} */ answer) => {
      if (!answer.successful) this.failed(answer, listener);
      else if (this.subscribed && !cometd.isDisconnected()) listener.state('live');
    });
    // Its timers run in a worker otherwise, which it makes of a blob: this page's Content-Security-Policy allows none.
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
    // Without an error it is the network's fault, and the library tries again.
    if (advice?.reconnect === 'none') listener.state('over', error);
    else if (!this.cometd.isDisconnected()) listener.state('retrying', error);
  }

  /** Resolves when the server has taken it. @param {any} data @returns {Promise<void>} */
  publish(data) {
    return new Promise((yes, no) => {
      this.cometd.publish(this.channel, data, {}, (/** @type {any} */ answer) => {
        if (answer.successful) yes(); else no(new Error(answer.error ?? 'the server cannot be reached'));
      });
    });
  }

  /** Resolves when the session is over. */
  close() { return new Promise((done) => { this.cometd.disconnect(done); }); }
}
