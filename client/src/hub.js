/**
 * What the one connection serves: the subscriptions and publishes of all tabs, and what goes out to them.
 *
 * Lives in the tab that leads. Tabs are told by notes, which are plain data, as they go over a BroadcastChannel; it does not
 * matter to the hub which tab is its own. A channel is subscribed to once, however many tabs want it.
 *
 * @import { Place } from '../encke.js'
 * @import { Command } from './uplink.js'
 * @import { Way } from './way.js'
 */
import { covers, isAfter, later } from './base.js';
import { Link } from './link.js';
import { OPEN_LIMIT } from './pipes.js';
import { Uplink } from './uplink.js';

/**
 * @typedef {{ last?: number, presence?: boolean, conflate?: number }} Wants
 * @typedef {{ n: string, channel: string, wants: Wants, fresh?: boolean }} Wanted one subscription of a tab; fresh: not confirmed yet
 * @typedef {{ tab: string, n: string }} Waiter
 * @typedef {object} Held one subscription at the server
 * @property {Wants} wants what all tabs together want; `last` is what it began with
 * @property {any} answer undefined until the server has said yes
 * @property {Waiter[]} waiters
 * @property {any[]} recent the last messages, for tabs that come later
 * @property {string} [since] where to begin, for one that was confirmed and is asked for anew
 * @property {Command} [asked] what is to be answered; answers to older questions do not count
 */

/** The side of the connection that has it. */
export class Hub {
  /** @type {Map<string, Map<string, Wanted>>} by tab, by number */
  #tabs = new Map();
  /** @type {Map<string, Held>} by channel or pattern */
  #held = new Map();
  /** Where the last gap of the session began. */
  #gapFrom = '';
  /** @type {Map<string, { count: number, users: Set<string> }>} who is there, by channel */
  #present = new Map();

  /**
   * @param {Way} way
   * @param {Place} place where to go on from
   * @param {(note: any) => void} tell all tabs, or the one in `to`
   */
  constructor(way, place, tell) {
    this.way = way;
    this.tell = tell;
    const link = this.link = new Link(way, place, () => this.#channels());
    this.uplink = new Uplink(link, way.options.grace);
    link.on('status', (status) => {
      tell({ status, place: { ...link.place } });
      if (status.state === 'refused') this.uplink.refuse(status.cause);
    });
    link.on('open', (open) => this.#opened(open));
    link.on('message', (message) => this.#message(message));
    link.on('gap', (gap) => {
      this.#gapFrom = gap.from;
      tell({ gap, place: { ...link.place } });
    });
    link.on('presence', (presence) => this.#presence(presence));
    link.on('forbidden', () => this.#askAgain(link.place.position));
  }

  /** A note of a tab. @param {any} note */
  take(note) {
    const { tab } = note;
    if (note.hello) this.#hello(tab, note.hello);
    else if (note.subscribe) this.#subscribe(tab, note.subscribe);
    else if (note.unsubscribe) this.#unsubscribe(tab, note.unsubscribe);
    else if (note.publish) this.#publish(tab, note.publish);
    else if (note.bye) this.gone(tab);
    // By a timer: a page that is frozen may still hear of messages.
    else if (note.ask) later(() => this.tell({ to: tab }), 0);
    else if (note.nudge) this.link.nudge();
    else if (note.reconnect) this.link.open();
  }

  /** The tab is no more. @param {string} tab */
  gone(tab) {
    for (const n of [...(this.#tabs.get(tab)?.keys() ?? [])]) this.#unsubscribe(tab, n);
    this.#tabs.delete(tab);
  }

  /** Tabs beside one. @param {string} own */
  others(own) { return [...this.#tabs.keys()].filter((tab) => tab !== own); }

  /** Ends the connection; the session too, where nobody goes on with it. @param {boolean} session */
  stop(session) {
    const { place, way } = this.link;
    this.link.stop();
    this.uplink.stop();
    if (session && place.session) way.send(['{"close":true}'], place.session, true).catch(() => {});
  }

  // ---- tabs ----

  /** @param {string} tab @param {{ place: Place, wanted: Wanted[] }} hello */
  #hello(tab, { place, wanted }) {
    const known = this.#tabs.has(tab);
    this.#tabs.set(tab, this.#tabs.get(tab) ?? new Map());
    const { link } = this;
    // First of all: a tab listens to nobody who has not welcomed it.
    this.tell({ to: tab, welcome: { status: link.status, place: { ...link.place } } });
    for (const one of wanted) this.#subscribe(tab, one);
    // It has seen less than we: what it missed comes again, and who has it already drops it.
    if (known || !place.position || place.session !== link.place.session || !isAfter(link.place.position, place.position)) return;
    link.rewind(place);
  }

  /** @param {string} tab @param {Wanted} wanted */
  #subscribe(tab, wanted) {
    const mine = this.#tabs.get(tab);
    if (!mine || mine.has(wanted.n)) return;
    mine.set(wanted.n, wanted);
    const { channel, wants } = wanted;
    const waiter = { tab, n: wanted.n };
    const held = this.#held.get(channel);
    if (channel === this.way.personal) return this.#confirm(waiter, { ok: { subscribe: channel } });
    if (!held) {
      // One that another leader had is at the server already, with its history told. What other tabs want we hear soon;
      // until then they are to miss nothing.
      const known = wanted.fresh === false;
      const first = known ? { presence: wants.presence } : wants;
      const answer = known ? { ok: { subscribe: channel } } : undefined;
      this.#held.set(channel, { wants: first, answer, waiters: [waiter], recent: [] });
      if (known && wants.conflate) later(() => this.#unite(channel), SETTLED);
      return this.#ask(channel);
    }
    if (wanted.fresh !== false) this.#unite(channel);
    this.#catchUp(waiter, wanted, held);
  }

  /** What is asked for is what all tabs together want: the shortest pace, none before any, and presence if one does. @param {string} channel */
  #unite(channel) {
    const held = this.#held.get(channel);
    if (!held) return;
    const all = this.#wanted(channel);
    const presence = all.some((wants) => wants.presence) || undefined;
    const conflate = all.every((wants) => wants.conflate) ? Math.min(...all.map((wants) => wants.conflate ?? 0)) : undefined;
    if (presence === held.wants.presence && conflate === held.wants.conflate) return;
    held.wants = { ...held.wants, presence, conflate };
    this.#ask(channel);
  }

  /** @param {string} channel @returns {Wants[]} */
  #wanted(channel) {
    const all = [...this.#tabs.values()].flatMap((tab) => [...tab.values()]);
    return all.filter((one) => one.channel === channel).map(({ wants }) => wants);
  }

  /** A tab that comes to a subscription which is there already. @param {Waiter} waiter @param {Wanted} wanted @param {Held} held */
  async #catchUp(waiter, wanted, held) {
    const { tab, n } = waiter;
    const { wants: { last, presence }, fresh, channel } = wanted;
    if (fresh !== false && last) {
      const history = await this.#recent(channel, last, held);
      if (history.messages.length) this.tell({ to: tab, history: { n, ...history } });
      // Refused or given up meanwhile: asked for anew.
      if (this.#held.get(channel) !== held) return void (this.#tabs.get(tab)?.delete(n) && this.#subscribe(tab, wanted));
    }
    if (held.answer) this.#confirm(waiter, held.answer);
    else held.waiters.push(waiter);
    if (fresh === false || !presence) return;
    for (const [name, { count, users }] of this.#present) {
      if (covers(channel, name)) this.tell({ to: tab, presence: { channel: name, count, users: [...users] }, n });
    }
  }

  /**
   * The last messages until a position, as kept, or by a session of its own: ours would get them as new ones. What comes to
   * us and is not after that position is among them, or older.
   * @param {string} channel @param {number} last @param {Held} held @returns {Promise<{ messages: any[], until?: string }>}
   */
  async #recent(channel, last, held) {
    const { recent, wants } = held;
    const kept = { messages: recent.slice(-last), until: recent.at(-1)?.id };
    if (recent.length >= last || wants.conflate || ((wants.last ?? 0) >= last && recent.length < RECENT)) return kept;
    let session = '';
    const ask = async (/** @type {Record<string, string>} */ query, /** @type {number} */ limit) => {
      const response = await this.way.request('longpoll', { query, limit });
      session = response.headers.get('Encke-Session') ?? '';
      const until = response.headers.get('Encke-Position') ?? '';
      return { messages: (await response.json()).filter((/** @type {any} */ one) => one.channel && covers(channel, one.channel)), until };
    };
    try {
      const found = await ask({ channels: channel, last: `${last}` }, OPEN_LIMIT);
      // Other shards may not have answered yet.
      if (found.messages.length || (held.answer && !channel.endsWith('*'))) return found;
      return await ask({ session }, RECALL_LIMIT);
    } catch {
      return kept;
    } finally {
      if (session) this.way.send(['{"close":true}'], session).catch(() => {});
    }
  }

  /** @param {string} tab @param {string} n */
  #unsubscribe(tab, n) {
    const wanted = this.#tabs.get(tab)?.get(n);
    if (!wanted) return;
    this.#tabs.get(tab)?.delete(n);
    const { channel } = wanted;
    if (this.#wanted(channel).length) return this.#unite(channel);
    if (!this.#held.delete(channel)) return;
    const text = JSON.stringify({ unsubscribe: channel });
    this.uplink.add({ text, sort: 'subscription', answered: () => {} });
  }

  /** @param {string} tab @param {{ key: string, text: string }} publish */
  #publish(tab, { key, text }) {
    this.uplink.add({ text, sort: 'publish', answered: (answer) => this.tell({ to: tab, answer: { n: key, ...answer } }) });
    const { state, cause } = this.link.status;
    if (state === 'refused') this.uplink.refuse(cause);
  }

  // ---- subscriptions at the server ----

  /** Those that are named whenever a session begins: confirmed, for one that is forbidden would refuse all. */
  #channels() {
    const names = [];
    let chars = 0;
    for (const [channel, { answer, wants }] of this.#held) {
      chars += encodeURIComponent(channel).length;
      if (answer && isPlain(wants) && chars < CHANNELS_CHARS) names.push(channel);
    }
    return names.join(',');
  }

  /** @param {string} channel @param {string} [from] @param {Command[]} [first] takes it, to be sent before all else */
  #ask(channel, from, first) {
    const held = /** @type {Held} */ (this.#held.get(channel));
    // One that was never sent keeps its place among the publishes.
    if (first && held.asked && !held.answer && held.asked.sentAt === undefined) return;
    const since = from ?? held.since;
    const { presence, conflate } = held.wants;
    const last = held.answer ? undefined : held.wants.last;
    const text = JSON.stringify({ subscribe: channel, ...(since ? { since } : { last }), presence: presence || undefined, conflate });
    /** @type {Command} */
    const asked = held.asked = {
      text,
      sort: 'subscription',
      answered: (answer) => {
        if (held.asked !== asked || this.#held.get(channel) !== held) return;
        this.#asked(channel, held, answer, since);
      },
    };
    if (first) first.push(asked);
    else this.uplink.add(asked);
  }

  /** @param {string} channel @param {Held} held @param {any} answer @param {string} [since] */
  #asked(channel, held, answer, since) {
    // The session went meanwhile: the next one is told anew.
    if (answer.error?.code === 'unknown-session' || answer.error?.code === 'no-session') return;
    if (answer.error) this.#held.delete(channel);
    else {
      held.since = undefined;
      held.answer = { ok: { subscribe: channel, position: answer.ok.position } };
    }
    // Told already, of all.
    if (since && answer.ok?.resumed === false && since !== this.#gapFrom) this.tell({ gap: { from: since, to: answer.ok.position, channel } });
    for (const waiter of held.waiters.splice(0)) this.#confirm(waiter, answer);
  }

  /** @param {Waiter} waiter @param {any} answer */
  #confirm({ tab, n }, answer) {
    if (answer.error) this.#tabs.get(tab)?.delete(n);
    this.tell({ to: tab, answer: { n, ...answer } });
  }

  /** @param {{ fresh: boolean, since?: string, pipe: import('./pipes.js').Pipe }} open */
  #opened({ fresh, since, pipe }) {
    if (fresh) {
      this.uplink.forgetSubscriptions();
      const named = pipe.asked.channels?.split(',') ?? [];
      /** @type {Command[]} */
      const first = [];
      for (const [channel, held] of this.#held) {
        if (!held.answer || !named.includes(channel)) this.#ask(channel, held.answer && since, first);
      }
      this.uplink.first(first);
    }
    this.uplink.flush();
  }

  /** No session is to begin with these; each is asked for by itself. @param {string} since */
  #askAgain(since) {
    this.uplink.forgetSubscriptions();
    /** @type {Command[]} */
    const first = [];
    for (const [channel, held] of this.#held) {
      if (held.answer) held.since = since;
      held.answer = undefined;
      this.#ask(channel, undefined, first);
    }
    this.uplink.first(first);
  }

  // ---- what comes ----

  /** @param {any} message */
  #message(message) {
    for (const [pattern, { recent }] of this.#held) {
      if (!covers(pattern, message.channel) || !isAfter(message.id, recent.at(-1)?.id ?? '')) continue;
      recent.push(message);
      if (recent.length > RECENT) recent.shift();
    }
    this.tell({ message, place: { ...this.link.place } });
  }

  /** @param {any} presence */
  #presence(presence) {
    const { channel, count, users, came = [], left = [] } = presence;
    const there = this.#present.get(channel) ?? { count: 0, users: new Set() };
    if (users) there.users = new Set(users);
    for (const user of came) there.users.add(user);
    for (const user of left) there.users.delete(user);
    there.count = count ?? there.users.size;
    this.#present.set(channel, there);
    this.tell({ presence });
  }
}

/** Whether a subscription says no more than its channel. @param {Wants} wants */
function isPlain({ presence, conflate }) { return !presence && !conflate; }

/** By then, other tabs have told a new leader what they want. Milliseconds. */
const SETTLED = 2_000;
/** Time for all shards to say what they remember. Milliseconds. */
const RECALL_LIMIT = 1_000;
/** Messages of a subscription that are kept for tabs that come later. */
const RECENT = 100;
/** Characters of channels in a URL; a request's head has 16 KiB. */
const CHANNELS_CHARS = 6_000;
