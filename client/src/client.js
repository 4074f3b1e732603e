/**
 * `connect`, and the client that it returns to the page.
 *
 * One tab of an origin leads: it has the link to the server, and the other tabs reach it over a
 * BroadcastChannel. A lock decides which tab leads. It passes to another tab when the leader goes,
 * and that tab resumes the session. A frozen leader keeps its lock: when it does not answer, another
 * tab steals the lock and leads; once the frozen tab runs again, it finds its lock gone and follows.
 * Where locks or channels are missing or forbidden, each tab leads itself.
 *
 * @import { ConnectOptions, Message, Place, PublishOptions, Status, SubscribeOptions } from '../encke.js'
 */
import { EnckeError, Emitter, TCP, attempt, base64, failure, isAfter, onAbort, randomId, unrefTimeout } from './base.js';
import { Choice } from './choice.js';
import { Endpoint } from './endpoint.js';
import { Hub } from './hub.js';
import { watchPage } from './page.js';
import { Subscription } from './subscription.js';

/**
 * Connects to a user's URL, such as `/u/alice`.
 * @param {string | URL} url
 * @param {ConnectOptions} [options]
 */
export function connect(url, options = {}) {
  return new Encke(new Endpoint(url, options), options);
}

/** Emits `latest` when a client connects: the elements that are given no client show the latest. */
export const latestChanged = new Emitter();

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
  /**
   * Publishes without an answer.
   * @type {Map<string, { text: string, resolve: (id: string) => void, reject: (error: Error) => void }>}
   */
  #publishes = new Map();
  /** Present while this tab leads. @type {Hub | undefined} */
  #hub;
  /** @type {BroadcastChannel | undefined} */
  #broadcast;
  /** The leader that has welcomed this tab. @type {string | undefined} */
  #leader;
  /** Releases the locks of this tab and cancels its requests for them. */
  #leaving = new AbortController();
  /** Whether the leader has sent a note since the last check. */
  #heardLeader = false;
  /** How often this tab's lock was stolen since a leader welcomed it. */
  #locksStolen = 0;
  /** @type {any} */
  #leaderTimer;
  #unwatch = () => {};

  /** @param {Endpoint} endpoint @param {ConnectOptions} options */
  constructor(endpoint, options) {
    super();
    this._endpoint = endpoint;
    this._options = options;
    // Throws if no transport is left: here, where the page sees it, and not when this tab leads.
    new Choice(options, endpoint._runtime, '');
    this.#unwatch = watchPage({
      _onWake: () => this.#tell({ nudge: true }),
      _onNetworkChange: () => this.#hub?._link._networkChanged(),
      _onOffline: () => this.#hub?._link._offline(),
      _onHide: (mayReturn) => this.#leave(mayReturn),
      _onShow: () => this.#join(),
    });
    onAbort(options.signal, () => this.close());
    Encke._latest = this;
    latestChanged._emit('latest');
    if (options.signal?.aborted) this.close();
    else this.#join();
  }

  /** @type {Encke | undefined} */
  static _latest;

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
    const subscription = new Subscription(`s${++this.#count}`, channel, hear, wants, ({ _n: n }) => {
      this.#subscriptions.delete(n);
      this.#tell({ unsubscribe: n });
    });
    if (this.state === 'closed' || wants.signal?.aborted) subscription._end(failure('closed'));
    else {
      onAbort(wants.signal, () => subscription.unsubscribe());
      this.#subscriptions.set(subscription._n, subscription);
      this.#tell({ subscribe: describe(subscription) });
      this.#rejectSubscriptions();
    }
    return subscription;
  }

  /** Ends all subscriptions of this page to a channel or pattern. @param {string} channel */
  unsubscribe(channel) {
    for (const one of this.#all()) if (one.channel === channel) one.unsubscribe();
  }

  /**
   * Publishes once, now or as soon as there is a connection; resolves to the message's id.
   * @param {string} channel
   * @param {unknown} data bytes, or a value that JSON can express
   * @param {PublishOptions} [options] aborting the signal ends the wait, and takes back nothing
   * @returns {Promise<string>}
   */
  async publish(channel, data, { signal } = {}) {
    signal?.throwIfAborted();
    if (typeof Blob === 'function' && data instanceof Blob) data = await data.arrayBuffer();
    const bytes = bytesOf(data);
    const json = bytes ? `"${base64(bytes)}","encoding":"base64"` : JSON.stringify(data);
    if (json === undefined) throw new TypeError('JSON cannot express the data');
    if (this.state === 'closed') throw failure('closed');
    const { queue = QUEUE_LEN_MAX } = this._options;
    if (this.#publishes.size >= queue) throw new EnckeError('client', 'queue-full', `${queue} publishes are waiting`);
    const n = `${this.#tab}-${++this.#count}`;
    const text = `{"publish":${JSON.stringify(channel)},"data":${json},"key":"${n}"}`;
    return new Promise((resolve, reject) => {
      onAbort(signal, () => reject(signal?.reason));
      this.#publishes.set(n, { text, resolve, reject });
      this.#tell({ publish: { key: n, text } });
    });
  }

  /**
   * Opens a TCP stream. The module for that, `encke.tcp.js`, must be loaded.
   * @param {...any} what
   * @returns {any}
   */
  tcp(...what) {
    const open = /** @type {any} */ (globalThis)[TCP];
    if (!open) throw new TypeError('encke.tcp.js is not loaded');
    return open(this, this._endpoint._base, this._options, ...what);
  }

  /** Tries again at once, also after `refused`. */
  reconnect() { this.#tell({ reconnect: true }); }

  /** Ends this client. The session ends too, unless another tab resumes it. */
  close() {
    if (this.state === 'closed') return;
    this.#unwatch();
    this.#leave();
    for (const one of this.#all()) one._end(failure('closed'));
    for (const { reject } of this.#publishes.values()) reject(failure('closed'));
    this.#subscriptions.clear();
    this.#publishes.clear();
    this.#setStatus({ ...this.#status, state: 'closed', cause: null, transport: null, at: undefined });
    if (Encke._latest === this) Encke._latest = undefined;
  }

  /** A copy: a listener may subscribe and unsubscribe. */
  #all() { return [...this.#subscriptions.values()]; }

  // ---- tabs ----

  #join() {
    const { locks, BroadcastChannel: Channel } = this._endpoint._runtime;
    const { share = hasTabs() } = this._options;
    this.#leaving = new AbortController();
    if (share && locks && Channel) this.#broadcast = attempt(() => new Channel(this.#name));
    if (!this.#broadcast) return this.#lead();
    this.#broadcast.onmessage = ({ data }) => this.#onNote(data);
    /** @type {any} */ (this.#broadcast).unref?.();
    const { signal } = this.#leaving;
    // The leader waits for this lock: it is free when the tab is gone.
    this.#hold(`${this.#name} ${this.#tab}`, { signal }, () => this.#hello());
    this.#hold(this.#name, { signal }, () => this.#lead());
    // The hello is the first question to the leader.
    this.#watchLeader(1);
  }

  get #name() { return `encke ${this._endpoint._base.href}`; }

  /**
   * Holds a lock until this tab leaves. A granted lock that ends before was stolen.
   * @param {string} name
   * @param {LockOptions} options
   * @param {() => void} work
   */
  #hold(name, options, work) {
    const { signal } = this.#leaving;
    let held = false;
    // `async`, since `request` may throw instead of rejecting.
    const request = async () => this._endpoint._runtime.locks?.request(name, options, async () => {
      if (signal.aborted) return;
      held = true;
      work();
      await new Promise((done) => onAbort(signal, () => done(undefined)));
    });
    request().catch(() => {
      if (signal.aborted) return;
      const alone = !held || ++this.#locksStolen > LOCKS_STOLEN_MAX;
      // The new leader resumes the session.
      if (held) this.#leave(true);
      if (alone) this.#leadAlone();
      else this.#join();
    });
  }

  /**
   * Leads for this tab only, where tabs cannot find each other: in a sandboxed frame, for example.
   */
  #leadAlone() {
    this.#disconnectTabs();
    this.#leaving = new AbortController();
    this.#lead();
  }

  /**
   * Asks the leader at intervals whether it runs, and replaces it when it does not.
   * @param {number} [unanswered] questions in a row
   */
  #watchLeader(unanswered = 0) {
    clearTimeout(this.#leaderTimer);
    this.#heardLeader = false;
    this.#leaderTimer = unrefTimeout(() => {
      if (this.#heardLeader) return this.#watchLeader();
      // After the second question: this tab may have been frozen itself, with the answer waiting.
      if (unanswered > 1) return this.#hold(this.#name, { steal: true }, () => this.#lead());
      this.#tell({ ask: true });
      this.#watchLeader(unanswered + 1);
    }, unanswered ? ANSWER_MIN_MS * (1 + Math.random()) : this.#place.heartbeat ?? ASK_EVERY_MS);
  }

  #lead() {
    if (this.#hub) return;
    clearTimeout(this.#leaderTimer);
    const hub = this.#hub = new Hub(this._endpoint, this.#place, (note) => {
      if (hub !== this.#hub) return;
      if (note.to !== this.#tab && (note.to || hub._otherTabs(this.#tab).length)) this.#post({ ...note, by: this.#tab });
      if (!note.to || note.to === this.#tab) this.#handleNote(note);
    });
    this.#hello();
    this.#post({ lead: true });
    hub._link._open();
  }

  /** Tells the leader what this tab subscribes to, and its publishes without an answer. */
  #hello() {
    this.#tell({ hello: { place: this.#place, wanted: this.#all().map(describe) } });
    for (const [key, { text }] of this.#publishes) this.#tell({ publish: { key, text } });
  }

  /** Sends a note to the leader. @param {any} note */
  #tell(note) {
    note.tab = this.#tab;
    if (this.#hub) this.#hub._handle(note);
    else this.#post(note);
  }

  /** @param {any} note */
  #post(note) {
    try {
      this.#broadcast?.postMessage(note);
    } catch {
      this.#leadAlone();
    }
  }

  /** @param {any} note from another tab */
  #onNote(note) {
    const hub = this.#hub;
    if (note.lead) {
      this.#leader = undefined;
      this.#hello();
    } else if (note.by) {
      if (!hub) this.#onLeaderNote(note);
    } else if (hub) {
      if (note.hello && !hub._otherTabs('').includes(note.tab)) {
        const { signal } = this.#leaving;
        this._endpoint._runtime.locks?.request(`${this.#name} ${note.tab}`, { signal }, () => hub._removeTab(note.tab)).catch(() => {});
      }
      hub._handle(note);
    }
  }

  /** @param {any} note from the leader, or from an earlier one */
  #onLeaderNote(note) {
    if (note.to && note.to !== this.#tab) return;
    // The first to welcome after the latest `lead`. A leader that was frozen may answer later.
    if (note.welcome) {
      this.#leader ??= note.by;
      this.#locksStolen = 0;
    }
    const isLeader = note.by === this.#leader;
    this.#heardLeader ||= isLeader;
    // The leader resumes at the place in this tab's hello. Notes of others may be ahead of it.
    if (isLeader || note.answer) this.#handleNote(note);
  }

  /** @param {boolean} [mayReturn] whether the page may be shown again */
  #leave(mayReturn) {
    const hub = this.#hub;
    if (!hub) this.#tell({ bye: true });
    this.#hub = undefined;
    // Another tab resumes the session, or this page does when it returns.
    hub?._stop(!mayReturn && !hub._otherTabs(this.#tab).length);
    this.#disconnectTabs();
  }

  #disconnectTabs() {
    clearTimeout(this.#leaderTimer);
    this.#leaving.abort();
    this.#broadcast?.close();
    this.#broadcast = this.#leader = undefined;
  }

  // ---- notes from the leader ----

  /** @param {any} note */
  #handleNote({ status, message, gap, presence, answer, history, welcome, place, n }) {
    if (welcome) {
      // A new tab starts at its leader's place.
      if (!this.#place.position) this.#place = welcome.place;
      return this.#setStatus(welcome.status);
    }
    if (message) this.#onMessage(message, place);
    else if (place) this.#place = { ...place, seen: this.#place.seen };
    if (status) this.#setStatus(status);
    if (gap) this._emit('gap', gap);
    if (presence) this.#onPresence(presence, n);
    if (history) this.#subscriptions.get(history.n)?._addHistory(history.messages.map(decodeMessage), history.until);
    if (answer) this.#onAnswer(answer);
  }

  /** @param {any} envelope @param {Place} place */
  #onMessage(envelope, place) {
    if (!isAfter(envelope.id, this.#place.seen)) return;
    this.#place = place;
    const message = decodeMessage(envelope);
    for (const one of this.#all()) one._take(message);
    this._emit('message', message);
  }

  /** @param {any} presence @param {string} [n] the one subscription that it is for */
  #onPresence(presence, n) {
    if (!n) this._emit('presence', presence);
    for (const one of this.#all()) if (!n || one._n === n) one._onPresence(presence);
  }

  /** @param {any} answer */
  #onAnswer(answer) {
    const { n, ok } = answer;
    const error = answer.error && EnckeError._from({ kind: 'client', ...answer.error });
    const publish = this.#publishes.get(n);
    const subscription = this.#subscriptions.get(n);
    if (error) {
      this.#subscriptions.delete(n);
      publish?.reject(error);
    } else publish?.resolve(ok.id);
    this.#publishes.delete(n);
    subscription?._onAnswer(answer);
    if (subscription && error) this._emit('error', error);
  }

  /** @param {Status} status */
  #setStatus(status) {
    this.#status = status;
    this.#rejectSubscriptions();
    this._emit('state', status);
  }

  /**
   * A refusing server confirms no subscription. They stay, and `reconnect()` requests them again.
   */
  #rejectSubscriptions() {
    const { state, cause } = this.#status;
    if (state === 'refused' && cause) for (const one of this.#all()) one._reject(EnckeError._from(cause));
  }
}

/** A subscription as notes carry it. @param {Subscription} subscription */
function describe({ _n: n, channel, _wants: wants, _state: state }) { return { n, channel, wants, fresh: state === 'pending' }; }

/**
 * Decodes a payload of bytes, which envelopes carry as base64.
 * @param {any} envelope
 * @returns {Message}
 */
function decodeMessage(envelope) {
  if (envelope.encoding !== 'base64') return envelope;
  return { ...envelope, data: Uint8Array.from(atob(envelope.data), (char) => char.charCodeAt(0)) };
}

/** @param {unknown} data @returns {Uint8Array | undefined} */
function bytesOf(data) {
  if (data instanceof ArrayBuffer) return new Uint8Array(data);
  return ArrayBuffer.isView(data) ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength) : undefined;
}

/** Whether this is a page, or a worker of one: other tabs may be open. */
function hasTabs() {
  const scope = /** @type {any} */ (globalThis);
  return !!(scope.document ?? scope.WorkerGlobalScope);
}

/** The least time for a leader's answer. */
const ANSWER_MIN_MS = 2_000;
/** How often the leader is asked, while the server's heartbeat is unknown. */
const ASK_EVERY_MS = 25_000;
/**
 * Tabs that steal the lock from each other more often cannot reach each other: each leads itself.
 */
const LOCKS_STOLEN_MAX = 1;
/** Publishes of one page without an answer, which cost memory. */
const QUEUE_LEN_MAX = 1_000;
