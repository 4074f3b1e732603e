// The page of the browser tests: makes clients on request, and keeps them by a number. The libraries are as they were
// published; what they see is a page of theirs.
import * as cometd from '/page/cometd/cometd.js';
import { cometdClient } from '/page/cometd.mjs';
import { fayeClient } from '/page/faye.mjs';

const MAKERS = { cometd: (url, options) => cometdClient(cometd, url, options), faye: (url, options) => fayeClient(window.Faye, url, options) };

const client = { one: undefined, inboxes: [] };
const state = () => ({ type: client.one.type, clientId: client.one.clientId });

/** What can be asked of the page. Answers are JSON: an inbox is named by its number. */
window.ask = {
  make(name, url, options) { client.one = MAKERS[name](url, options); },
  /** `channels` are subscribed as soon as the handshake is answered, so that nothing that waits is missed. */
  async open(channels) {
    const early = channels.map((channel) => client.one.subscribe(channel));
    const answer = await client.one.open();
    client.inboxes = await Promise.all(early);
    return { answer, ...state() };
  },
  failedConnect() { return client.one.failedConnect(); },
  async subscribe(channel) { client.inboxes.push(await client.one.subscribe(channel)); return client.inboxes.length - 1; },
  async subscribed(channel, times) { await client.one.subscribed(channel, times); return state(); },
  unsubscribe(channel) { return client.one.unsubscribe(channel).then(() => null); },
  async batch(publishes) { await Promise.all(client.one.batch(() => publishes.map(([to, data]) => client.one.publish(to, data)))); },
  async disconnect() { await client.one.disconnect(); },
  count(inbox, wanted) { return client.inboxes[inbox].count(wanted); },
  /** All that came, once the number has. */
  numbered(inbox, n) { return client.inboxes[inbox].until((all) => all.some(({ data }) => data.n === n) && all, `number ${n}`); },
  /** As an application does before its page is unloaded. */
  reload() {
    client.one.cometd.reload();
    // From now on only the next page is ready.
    window.isReady = false;
  },
};
window.isReady = true;
