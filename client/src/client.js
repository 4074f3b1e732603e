/**
 * What a page has in its hand: `connect`, and the client that it returns.
 *
 * One tab of an origin leads and has the connection; the others speak with it over a BroadcastChannel. A lock decides who
 * leads, and passes to the next when the leader goes, which then goes on from the same place. A leader that stands still
 * keeps its lock: when it does not answer, another tab steals the lock and leads; once it goes on, it finds its lock gone and
 * follows. Where locks or channel are missing or refuse, each tab leads itself.
 *
 * @import { ConnectOptions, Message, Place, PublishOptions, Status, SubscribeOptions } from '../encke.js'
 */
import { EnckeError, Emitter, allowed, base64, isAfter, later, randomId } from './base.js';
import { Choice } from './choice.js';
import { Hub } from './hub.js';
import { watchPage } from './page.js';
import { Subscription } from './subscription.js';
import { Way } from './way.js';

/**
 * Connects to a user's URL, such as `/u/alice`.
 * @param {string | URL} url
 * @param {ConnectOptions} [options]
 */
export function connect(url, options = {}) {
  return new Encke(new Way(url, options), options);
}

/** Tells elements which client was connected last. */
export const news = new Emitter();

/** One page's client. Emits `state`, `message`, `gap`, `presence` and `error`. */
export class Encke extends Emitter {
  #tab = randomId();
  #count = 0;
  /** @type {Place} */
  #place = { session: '', position: '', seen: '' };
  /** @type {Status} */
  #status = { state: 'connecting', cause: null, transport: null, why: '', tried: [] };
  /** @type {Map<string, Subscription>} */
  #subscriptions = new Map();
  /** @type {Map<string, { text: string, yes: (id: string) => void, no: (error: Error) => void }>} publishes without an answer */
  #publishes = new Map();
  /** @type {Hub | undefined} there while this tab leads */
  #hub;
  /** @type {BroadcastChannel | undefined} */
  #bus;
  /** @type {string | undefined} the tab that leads and knows of us */
  #leader;
  /** Gives up the lock, and ends waiting for it. */
  #away = new AbortController();
  /** Whether the leader has said something since it was last looked. */
  #heardLeader = false;
  /** Times that the lock was stolen from this tab since a leader last welcomed it. */
  #robbed = 0;
  /** @type {any} */
  #vigil;
  #unwatch = () => {};

  /** @param {Way} way @param {ConnectOptions} options */
  constructor(way, options) {
    super();
    this.way = way;
    this.options = options;
    // Throws where nothing can be used: here, and not when this tab leads, which nobody would hear of.
    new Choice(options, way.runtime, '');
    this.#unwatch = watchPage({
      nudge: () => this.#tell({ nudge: true }),
      changed: () => this.#hub?.link.networkChanged(),
      offline: () => this.#hub?.link.offline(),
      hide: (kept) => this.#leave(kept ? 'kept' : 'gone'),
      show: () => this.#join(),
    });
    options.signal?.addEventListener('abort', () => this.close(), { once: true });
    Encke.latest = this;
    news.emit('latest', this);
    if (options.signal?.aborted) this.close();
    else this.#join();
  }

  /** @type {Encke | undefined} for elements that are not told whose state they show */
  static latest;

  get status() { return this.#status; }
  get state() { return this.#status.state; }
  get cause() { return this.#status.cause; }
  get transport() { return this.#status.transport; }
  get why() { return this.#status.why; }
  get tried() { return this.#status.tried; }
  get session() { return this.#place.session; }
  get position() { return this.#place.position; }
  get leads() { return !!this.#hub; }

  /**
   * @param {string} channel a channel or a pattern
   * @param {((message: Message) => void) | SubscribeOptions} [listener]
   * @param {SubscribeOptions} [options]
   */
  subscribe(channel, listener, options = {}) {
    const [hear, wants] = typeof listener === 'function' ? [listener, options] : [undefined, listener ?? options];
    const one = new Subscription(`s${++this.#count}`, channel, hear, wants, (over) => {
      this.#subscriptions.delete(over.n);
      this.#tell({ unsubscribe: over.n });
    });
    if (this.state === 'closed' || wants.signal?.aborted) one.end(closed());
    else {
      wants.signal?.addEventListener('abort', () => one.unsubscribe(), { once: true });
      this.#subscriptions.set(one.n, one);
      this.#tell({ subscribe: wanted(one) });
      this.#refuse();
    }
    return one;
  }

  /** Ends all subscriptions of this page to a channel or pattern. @param {string} channel */
  unsubscribe(channel) {
    for (const one of [...this.#subscriptions.values()]) if (one.channel === channel) one.unsubscribe();
  }

  /**
   * Publishes once, now or when there is a connection again; resolves to the message's id.
   * @param {string} channel
   * @param {unknown} data bytes, or anything that JSON can say
   * @param {PublishOptions} [options] an aborted signal ends the waiting; what was sent is sent
   * @returns {Promise<string>}
   */
  async publish(channel, data, { signal } = {}) {
    signal?.throwIfAborted();
    if (typeof Blob === 'function' && data instanceof Blob) data = await data.arrayBuffer();
    const bytes = bytesOf(data);
    const json = bytes ? `"${base64(bytes)}","encoding":"base64"` : JSON.stringify(data);
    if (json === undefined) throw new TypeError('data cannot be said in JSON');
    if (this.state === 'closed') throw closed();
    const { queue = QUEUE } = this.options;
    if (this.#publishes.size >= queue) throw new EnckeError('client', 'queue-full', `${queue} publishes wait already`);
    const n = `${this.#tab}-${++this.#count}`;
    const text = `{"publish":${JSON.stringify(channel)},"data":${json},"key":"${n}"}`;
    return new Promise((yes, no) => {
      signal?.addEventListener('abort', () => no(signal.reason), { once: true });
      this.#publishes.set(n, { text, yes, no });
      this.#tell({ publish: { key: n, text } });
    });
  }

  /** Tries again at once, also after `refused`. */
  reconnect() { this.#tell({ reconnect: true }); }

  /** Ends this client. The session ends too, unless another tab goes on with it. */
  close() {
    if (this.state === 'closed') return;
    this.#unwatch();
    this.#leave('gone');
    for (const one of this.#subscriptions.values()) one.end(closed());
    for (const { no } of this.#publishes.values()) no(closed());
    this.#subscriptions.clear();
    this.#publishes.clear();
    this.#shows({ ...this.#status, state: 'closed', cause: null, transport: null, at: undefined });
    if (Encke.latest === this) Encke.latest = undefined;
  }

  // ---- tabs ----

  #join() {
    const { locks, BroadcastChannel: Channel } = this.way.runtime;
    const { share = isPage() } = this.options;
    this.#away = new AbortController();
    if (!share || !locks || !Channel) return this.#lead();
    this.#bus = allowed(() => new Channel(this.#name));
    if (!this.#bus) return this.#lead();
    this.#bus.onmessage = ({ data }) => this.#heard(data);
    /** @type {any} */ (this.#bus).unref?.();
    const { signal } = this.#away;
    // Held as long as the tab lives: the leader learns by it that a tab is gone.
    this.#hold(`${this.#name} ${this.#tab}`, { signal }, () => this.#hello());
    this.#hold(this.#name, { signal }, () => this.#lead());
    // What it says first is a question to the leader, too.
    this.#watch(1);
  }

  get #name() { return `encke ${this.way.base.href}`; }

  /**
   * Holds a lock until this tab goes. A lock that was granted and ends before is stolen.
   * @param {string} name @param {LockOptions} options @param {() => void} work
   */
  #hold(name, options, work) {
    const { signal } = this.#away;
    let held = false;
    const failed = () => {
      if (signal.aborted) return;
      const alone = !held || ++this.#robbed > ROBBED_MAX;
      // The session goes on with who leads now.
      if (held) this.#leave('kept');
      if (alone) this.#alone();
      else this.#join();
    };
    // Which may throw instead of rejecting.
    const ask = async () => this.way.runtime.locks?.request(name, options, async () => {
      if (signal.aborted) return;
      held = true;
      work();
      await released(signal);
    });
    ask().catch(failed);
  }

  /** Tabs cannot find each other here, as in a sandboxed frame. */
  #alone() {
    this.#part();
    this.#away = new AbortController();
    this.#lead();
  }

  /** Asks the leader now and then whether it is there, and takes its place when it is not. @param {number} [asked] how often it has not answered */
  #watch(asked = 0) {
    clearTimeout(this.#vigil);
    this.#heardLeader = false;
    this.#vigil = later(() => {
      if (this.#heardLeader) return this.#watch();
      // Twice: this tab itself may have slept, and the leader have had no time to answer.
      if (asked > 1) return this.#hold(this.#name, { steal: true }, () => this.#lead());
      this.#tell({ ask: true });
      this.#watch(asked + 1);
    }, asked ? ANSWER + Math.random() * ANSWER : this.#place.heartbeat ?? HEARTBEAT);
  }

  #lead() {
    if (this.#hub) return;
    clearTimeout(this.#vigil);
    const hub = new Hub(this.way, this.#place, (note) => {
      if (hub !== this.#hub) return;
      if (note.to !== this.#tab && (note.to || hub.others(this.#tab).length)) this.#post({ ...note, by: this.#tab });
      if (!note.to || note.to === this.#tab) this.#told(note);
    });
    this.#hub = hub;
    this.#hello();
    this.#post({ lead: true });
    hub.link.open();
  }

  /** Tells the leader all that this tab wants, and all that has not been answered. */
  #hello() {
    this.#tell({ hello: { place: this.#place, wanted: [...this.#subscriptions.values()].map(wanted) } });
    for (const [key, { text }] of this.#publishes) this.#tell({ publish: { key, text } });
  }

  /** @param {any} note */
  #tell(note) {
    if (this.#hub) this.#hub.take({ ...note, tab: this.#tab });
    else this.#post({ ...note, tab: this.#tab });
  }

  /** @param {any} note */
  #post(note) {
    try {
      this.#bus?.postMessage(note);
    } catch {
      this.#alone();
    }
  }

  /** @param {any} note from another tab */
  #heard(note) {
    if (note.lead) {
      this.#leader = undefined;
      return this.#hello();
    }
    if (note.by) return this.#hub ? undefined : this.#saidBy(note);
    if (!this.#hub) return;
    const hub = this.#hub;
    if (note.hello && !hub.others('').includes(note.tab)) {
      const { signal } = this.#away;
      this.way.runtime.locks?.request(`${this.#name} ${note.tab}`, { signal }, () => hub.gone(note.tab)).catch(() => {});
    }
    hub.take(note);
  }

  /** @param {any} note of the leader, or of one that was */
  #saidBy(note) {
    if (note.to && note.to !== this.#tab) return;
    // The first that answers to the newest `lead`: one that stood still may answer as well, later.
    if (note.welcome) {
      this.#leader ??= note.by;
      this.#robbed = 0;
    }
    if (note.by === this.#leader) this.#heardLeader = true;
    // A new leader goes on from where we said that we are; what others say of later places would make a hole.
    if (note.by === this.#leader || note.answer) this.#told(note);
  }

  /** @param {'kept' | 'gone'} how whether the page may come back as it is */
  #leave(how) {
    const hub = this.#hub;
    if (!hub) this.#tell({ bye: true });
    this.#hub = undefined;
    // Another tab takes the session up; a page that may come back will.
    hub?.stop(how === 'gone' && !hub.others(this.#tab).length);
    this.#part();
  }

  /** From the other tabs. */
  #part() {
    clearTimeout(this.#vigil);
    this.#away.abort();
    this.#bus?.close();
    this.#bus = this.#leader = undefined;
  }

  // ---- what the leader says ----

  /** @param {any} note */
  #told({ status, message, gap, presence, answer, history, welcome, place, n }) {
    if (welcome) {
      // The place of a tab that has none yet is its leader's.
      if (!this.#place.position) this.#place = welcome.place;
      return this.#shows(welcome.status);
    }
    if (message) this.#message(message, place);
    else if (place) this.#place = { ...place, seen: this.#place.seen };
    if (status) this.#shows(status);
    if (gap) this.emit('gap', gap);
    if (presence) this.#presence(presence, n);
    if (history) this.#subscriptions.get(history.n)?.history(history.messages.map(unpacked), history.until);
    if (answer) this.#answered(answer);
  }

  /** @param {any} envelope @param {Place} place */
  #message(envelope, place) {
    if (!isAfter(envelope.id, this.#place.seen)) return;
    this.#place = place;
    const message = unpacked(envelope);
    for (const one of [...this.#subscriptions.values()]) one.take(message);
    this.emit('message', message);
  }

  /** @param {any} presence @param {string} [n] the one subscription that it is for */
  #presence(presence, n) {
    if (!n) this.emit('presence', presence);
    for (const one of this.#subscriptions.values()) if (!n || one.n === n) one.present(presence);
  }

  /** @param {any} answer */
  #answered(answer) {
    const error = answer.error && EnckeError.from({ kind: 'client', ...answer.error });
    const publish = this.#publishes.get(answer.n);
    if (publish) {
      this.#publishes.delete(answer.n);
      if (error) publish.no(error);
      else publish.yes(answer.ok.id);
      return;
    }
    const one = this.#subscriptions.get(answer.n);
    if (!one) return;
    one.answered(answer);
    if (!error) return;
    this.#subscriptions.delete(answer.n);
    this.emit('error', error);
  }

  /** @param {Status} status */
  #shows(status) {
    this.#status = status;
    this.#refuse();
    this.emit('state', status);
  }

  /** Nobody is kept waiting for a server that refuses; subscriptions stand again after `reconnect()`. */
  #refuse() {
    const { state, cause } = this.#status;
    if (state === 'refused' && cause) for (const one of this.#subscriptions.values()) one.refused(EnckeError.from(cause));
  }
}

/** @param {Subscription} one */
function wanted({ n, channel, wants, state }) { return { n, channel, wants, fresh: state === 'asked' }; }

/** Bytes come as base64 and are handed on as bytes. @param {any} envelope @returns {Message} */
function unpacked(envelope) {
  if (envelope.encoding !== 'base64') return envelope;
  return { ...envelope, data: Uint8Array.from(atob(envelope.data), (char) => char.charCodeAt(0)) };
}

/** @param {unknown} data @returns {Uint8Array | undefined} */
function bytesOf(data) {
  if (data instanceof ArrayBuffer) return new Uint8Array(data);
  return ArrayBuffer.isView(data) ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength) : undefined;
}

/** Whether tabs may be meant: in a page or a worker of one. */
function isPage() {
  const scope = /** @type {any} */ (globalThis);
  return !!(scope.document ?? scope.WorkerGlobalScope);
}

/** @param {AbortSignal} signal */
function released(signal) {
  return new Promise((done) => { signal.addEventListener('abort', () => done(undefined), { once: true }); });
}

function closed() { return new EnckeError('client', 'closed', 'the client is closed'); }

/** Time for the answer of a leader, at least, and how often it is asked where the server's heartbeat is not known. Milliseconds. */
const ANSWER = 2_000;
const HEARTBEAT = 25_000;
/** Where tabs steal the lock from each other more often, and hear nothing of each other, each leads itself. */
const ROBBED_MAX = 1;
/** Publishes without an answer that one page may have. */
const QUEUE = 1_000;
