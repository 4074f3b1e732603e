/**
 * The subscriptions and publishes of all tabs over one link, and what the server sends back.
 *
 * Lives in the tab that leads. It exchanges notes with tabs: plain data, as a BroadcastChannel
 * carries it. The hub does not know which tab is its own. It subscribes to a channel once, however
 * many tabs subscribe to it.
 *
 * @import { Place } from '../encke.js'
 * @import { Command } from './uplink.js'
 * @import { Endpoint } from './endpoint.js'
 */
import { covers, isAfter, unrefTimeout } from './base.js';
import { OPEN_MAX_MS, readAnswer } from './connections.js';
import { Link } from './link.js';
import { Uplink } from './uplink.js';

/**
 * @typedef {{ last?: number, presence?: boolean, conflate?: number }} Wants
 * @typedef {{ n: string, channel: string, wants: Wants, fresh?: boolean }} TabSubscription a
 *   subscription of a tab; `fresh`: not confirmed yet
 * @typedef {{ tab: string, n: string }} Waiter a tab's subscription without an answer
 * @typedef {object} HubSubscription a subscription at the server
 * @property {Wants} _wants what all tabs together want; `last` is what the first tab wanted
 * @property {any} _answer undefined until the server has confirmed it
 * @property {Waiter[]} _waiters
 * @property {any[]} _recent the latest messages, for tabs that subscribe later
 * @property {string} [_since] where to resume, if it was confirmed and is requested again
 * @property {Command} [_request] the latest request; answers to earlier ones do not count
 */

/** The leader's side of the tabs. */
export class Hub {
  /** By tab, then by `n`. @type {Map<string, Map<string, TabSubscription>>} */
  #tabs = new Map();
  /** By channel or pattern. @type {Map<string, HubSubscription>} */
  #subscriptions = new Map();
  /** Where the last gap of the session began. */
  #gapFrom = '';
  /** Presence by channel. @type {Map<string, { count: number, users: Set<string> }>} */
  #presence = new Map();

  /**
   * @param {Endpoint} endpoint
   * @param {Place} place where to resume
   * @param {(note: any) => void} tell sends a note to all tabs, or to the one in `to`
   */
  constructor(endpoint, place, tell) {
    this._endpoint = endpoint;
    this._tell = tell;
    const link = this._link = new Link(endpoint, place, () => this.#channels());
    this._uplink = new Uplink(link, endpoint._options.grace);
    link.on('status', (status) => {
      this.#tellPlace({ status });
      if (status.state === 'refused') this._uplink._rejectPublishes(status.cause);
    });
    link.on('open', (open) => this.#onOpen(open));
    link.on('message', (message) => this.#onMessage(message));
    link.on('gap', (gap) => {
      this.#gapFrom = gap.from;
      this.#tellPlace({ gap });
    });
    link.on('presence', (presence) => this.#onPresence(presence));
    link.on('forbidden', () => this.#requestAll(link._place.position));
  }

  /** Handles a note from a tab. @param {any} note */
  _handle(note) {
    const { tab } = note;
    if (note.hello) this.#onHello(tab, note.hello);
    else if (note.subscribe) this.#subscribe(tab, note.subscribe);
    else if (note.unsubscribe) this.#unsubscribe(tab, note.unsubscribe);
    else if (note.publish) this.#publish(tab, note.publish);
    else if (note.bye) this._removeTab(tab);
    // By a timer: in a frozen page, events may still be handled while timers stand still.
    else if (note.ask) unrefTimeout(() => this._tell({ to: tab }), 0);
    else if (note.nudge) this._link._check();
    else if (note.reconnect) this._link._open();
  }

  /** @param {string} tab */
  _removeTab(tab) {
    for (const n of [...(this.#tabs.get(tab)?.keys() ?? [])]) this.#unsubscribe(tab, n);
    this.#tabs.delete(tab);
  }

  /** @param {string} own */
  _otherTabs(own) { return [...this.#tabs.keys()].filter((tab) => tab !== own); }

  /** @param {boolean} session whether the session ends, too */
  _stop(session) {
    const { session: id } = this._link._place;
    this._link._stop();
    this._uplink._stop();
    if (session && id) this._endpoint._endSession(id, true);
  }

  /** @param {any} note */
  #tellPlace(note) { this._tell({ ...note, place: { ...this._link._place } }); }

  // ---- tabs ----

  /** @param {string} tab @param {{ place: Place, wanted: TabSubscription[] }} hello */
  #onHello(tab, { place, wanted }) {
    const known = this.#tabs.has(tab);
    this.#tabs.set(tab, this.#tabs.get(tab) ?? new Map());
    const { _status: status, _place: own } = this._link;
    // Before all else: a tab ignores the notes of a leader that has not welcomed it.
    this._tell({ to: tab, welcome: { status, place: { ...own } } });
    for (const subscription of wanted) this.#subscribe(tab, subscription);
    // The tab has seen less than the link has: the messages since then come again, and tabs that
    // have them drop them.
    if (!known && place.position && place.session === own.session && isAfter(own.position, place.position)) this._link._rewind(place);
  }

  /** @param {string} tab @param {TabSubscription} subscription */
  #subscribe(tab, subscription) {
    const mine = this.#tabs.get(tab);
    const { n, channel, wants, fresh } = subscription;
    if (!mine || mine.has(n)) return;
    mine.set(n, subscription);
    const waiter = { tab, n };
    const held = this.#subscriptions.get(channel);
    const ok = { subscribe: channel };
    if (channel === this._endpoint._personalChannel) this.#confirm(waiter, { ok });
    else if (held) {
      if (fresh !== false) this.#combine(channel);
      this.#join(waiter, subscription, held);
    } else {
      // If an earlier leader had it, the server has it already and the tab has its history. Until
      // the other tabs have said what they want, no message may be conflated.
      const known = fresh === false;
      this.#subscriptions.set(channel, {
        _wants: known ? { presence: wants.presence } : wants, _answer: known ? { ok } : undefined, _waiters: [waiter], _recent: [],
      });
      if (known && wants.conflate) unrefTimeout(() => this.#combine(channel), TABS_SETTLED_MS);
      this.#request(channel);
    }
  }

  /**
   * Requests what all tabs together want: the least conflation, and presence if one wants it.
   * @param {string} channel
   */
  #combine(channel) {
    const held = this.#subscriptions.get(channel);
    if (!held) return;
    const all = this.#allWants(channel);
    const presence = all.some((wants) => wants.presence) || undefined;
    const conflate = Math.min(...all.map((wants) => wants.conflate ?? 0)) || undefined;
    if (presence === held._wants.presence && conflate === held._wants.conflate) return;
    held._wants = { ...held._wants, presence, conflate };
    this.#request(channel);
  }

  /** @param {string} channel @returns {Wants[]} */
  #allWants(channel) {
    const all = [...this.#tabs.values()].flatMap((tab) => [...tab.values()]);
    return all.filter((one) => one.channel === channel).map(({ wants }) => wants);
  }

  /**
   * A tab joins a subscription that the hub has.
   * @param {Waiter} waiter
   * @param {TabSubscription} subscription
   * @param {HubSubscription} held
   */
  async #join(waiter, subscription, held) {
    const { tab, n } = waiter;
    const { wants: { last, presence }, fresh, channel } = subscription;
    if (fresh !== false && last) {
      const history = await this.#recent(channel, last, held);
      if (history.messages.length) this._tell({ to: tab, history: { n, ...history } });
      // The hub's subscription was refused or given up meanwhile: the tab's needs another.
      if (this.#subscriptions.get(channel) !== held) return void (this.#tabs.get(tab)?.delete(n) && this.#subscribe(tab, subscription));
    }
    if (held._answer) this.#confirm(waiter, held._answer);
    else held._waiters.push(waiter);
    if (fresh === false || !presence) return;
    for (const [name, { count, users }] of this.#presence) {
      if (covers(channel, name)) this._tell({ to: tab, presence: { channel: name, count, users: [...users] }, n });
    }
  }

  /**
   * The latest messages up to a position: those that the hub keeps, or those that a session of their
   * own gets. The link's session would deliver them as new. Messages that the link gets and that are
   * not after the position are among them, or older.
   * @param {string} channel
   * @param {number} last
   * @param {HubSubscription} held
   * @returns {Promise<{ messages: any[], until?: string }>}
   */
  async #recent(channel, last, held) {
    const { _recent: recent, _wants: wants } = held;
    const kept = { messages: recent.slice(-last), until: recent.at(-1)?.id };
    if (recent.length >= last || wants.conflate || ((wants.last ?? 0) >= last && recent.length < RECENT_LEN_MAX)) return kept;
    let session = '';
    const ask = async (/** @type {Record<string, string>} */ query, /** @type {number} */ limit) => {
      const answer = await readAnswer(await this._endpoint._request('longpoll', { query, limit }));
      session = answer.session;
      return { messages: answer.envelopes.filter((one) => one.channel && covers(channel, one.channel)), until: answer.position };
    };
    try {
      const found = await ask({ channels: channel, last: `${last}` }, OPEN_MAX_MS);
      // Other shards of the server may not have answered yet.
      if (found.messages.length || (held._answer && !channel.endsWith('*'))) return found;
      return await ask({ session }, RECALL_MAX_MS);
    } catch {
      return kept;
    } finally {
      if (session) this._endpoint._endSession(session);
    }
  }

  /** @param {string} tab @param {string} n */
  #unsubscribe(tab, n) {
    const mine = this.#tabs.get(tab);
    const channel = mine?.get(n)?.channel;
    if (!channel) return;
    mine?.delete(n);
    if (this.#allWants(channel).length) this.#combine(channel);
    else if (this.#subscriptions.delete(channel)) this._uplink._add({ _text: JSON.stringify({ unsubscribe: channel }), _onAnswer: () => {} });
  }

  /** @param {string} tab @param {{ key: string, text: string }} publish */
  #publish(tab, { key: n, text }) {
    this._uplink._add({ _text: text, _isPublish: true, _onAnswer: (answer) => this.#answer({ tab, n }, answer) });
    const { state, cause } = this._link._status;
    if (state === 'refused') this._uplink._rejectPublishes(cause);
  }

  // ---- subscriptions at the server ----

  /**
   * Channels that a new session starts with: only confirmed ones, as a forbidden one refuses all.
   */
  #channels() {
    const names = [];
    let chars = 0;
    for (const [channel, { _answer: answer, _wants: { presence, conflate } }] of this.#subscriptions) {
      chars += encodeURIComponent(channel).length;
      if (answer && !presence && !conflate && chars < CHANNELS_CHARS_MAX) names.push(channel);
    }
    return names.join(',');
  }

  /**
   * @param {string} channel
   * @param {string} [from] where to resume
   * @param {Command[]} [first] takes the request, to be sent before all else
   */
  #request(channel, from, first) {
    const held = /** @type {HubSubscription} */ (this.#subscriptions.get(channel));
    const { _answer: answer, _request: earlier, _wants: { last, presence, conflate } } = held;
    // A request that was never sent keeps its place among the publishes.
    if (first && earlier && !answer && earlier._sentAt === undefined) return;
    const since = from ?? held._since;
    /** @type {Command} */
    const request = held._request = {
      _text: JSON.stringify({ subscribe: channel, ...(since ? { since } : { last: answer ? undefined : last }), presence: presence || undefined, conflate }),
      _onAnswer: (found) => {
        if (held._request === request && this.#subscriptions.get(channel) === held) this.#onAnswer(channel, held, found, since);
      },
    };
    if (first) first.push(request);
    else this._uplink._add(request);
  }

  /**
   * @param {string} channel
   * @param {HubSubscription} held
   * @param {any} answer
   * @param {string} [since]
   */
  #onAnswer(channel, held, answer, since) {
    const { ok, error } = answer;
    // The session has ended: the next one is asked again.
    if (error?.code === 'unknown-session' || error?.code === 'no-session') return;
    if (error) this.#subscriptions.delete(channel);
    else {
      held._since = undefined;
      held._answer = { ok: { subscribe: channel, position: ok.position } };
      // Tabs know of a gap of the session already.
      if (since && ok.resumed === false && since !== this.#gapFrom) this._tell({ gap: { from: since, to: ok.position, channel } });
    }
    for (const waiter of held._waiters.splice(0)) this.#confirm(waiter, answer);
  }

  /** @param {Waiter} waiter @param {any} answer */
  #confirm(waiter, answer) {
    if (answer.error) this.#tabs.get(waiter.tab)?.delete(waiter.n);
    this.#answer(waiter, answer);
  }

  /** @param {Waiter} waiter @param {any} answer */
  #answer({ tab, n }, answer) { this._tell({ to: tab, answer: { n, ...answer } }); }

  /** @param {{ fresh: boolean, query: Record<string, string> }} open */
  #onOpen({ fresh, query: { since, channels } }) {
    if (fresh) {
      const named = channels?.split(',') ?? [];
      this.#requestFirst((channel, held, first) => {
        if (!held._answer || !named.includes(channel)) this.#request(channel, held._answer && since, first);
      });
    }
    this._uplink._flush();
  }

  /**
   * Requests each subscription by itself, since a session may start with none.
   * @param {string} since
   */
  #requestAll(since) {
    this.#requestFirst((channel, held, first) => {
      if (held._answer) held._since = since;
      held._answer = undefined;
      this.#request(channel, undefined, first);
    });
  }

  /**
   * Replaces the requests to an earlier session.
   * @param {(channel: string, held: HubSubscription, first: Command[]) => void} request
   */
  #requestFirst(request) {
    /** @type {Command[]} */
    const first = [];
    this._uplink._dropSubscriptions();
    for (const [channel, held] of this.#subscriptions) request(channel, held, first);
    this._uplink._addFirst(first);
  }

  // ---- messages ----

  /** @param {any} message */
  #onMessage(message) {
    for (const [pattern, { _recent: recent }] of this.#subscriptions) {
      if (!covers(pattern, message.channel) || !isAfter(message.id, recent.at(-1)?.id ?? '')) continue;
      recent.push(message);
      if (recent.length > RECENT_LEN_MAX) recent.shift();
    }
    this.#tellPlace({ message });
  }

  /** @param {any} presence */
  #onPresence(presence) {
    const { channel, count, users, came = [], left = [] } = presence;
    const present = users ? new Set(users) : this.#presence.get(channel)?.users ?? new Set();
    for (const user of came) present.add(user);
    for (const user of left) present.delete(user);
    this.#presence.set(channel, { count: count ?? present.size, users: present });
    this._tell({ presence });
  }
}

/** Time in which the other tabs tell a new leader what they want. */
const TABS_SETTLED_MS = 2_000;
/** Time for all shards of the server to send their recent messages. */
const RECALL_MAX_MS = 1_000;
/** Messages of one subscription kept for tabs that subscribe later. The server keeps more. */
const RECENT_LEN_MAX = 100;
/** Characters of channels in a URL. The server takes a request head of 16 KiB. */
const CHANNELS_CHARS_MAX = 6_000;
