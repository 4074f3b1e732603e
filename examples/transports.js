/**
 * Every transport side by side: the page sends one message a second through `/send`, and each transport delivers it.
 *
 * A `Lane` is one transport with a session of its own; it pauses and resumes where it was, and counts missing and duplicate
 * messages. Browsers open at most six connections to a host, for all their tabs, so the lanes that hold one take turns, and
 * wait for a place that no other page has.
 */
import { Sparkline, find, make, randomName, top, userUrl } from '/demo/common.js';
import { READERS } from '/demo/readers.js';
import { ALL, areShared, waitForPlace } from '/start-places.js';

/** @typedef {'opening' | 'live' | 'resting' | 'retrying' | 'unable'} State */

const USER = `transports-${randomName()}`;
const CHANNEL = `/demo/transports/${randomName()}`;
/** Milliseconds. */
const EVERY = 1_000;
const TURN = 8_000;
/** How long a gap is shown. */
const GAP_SHOWN = 15_000;
const RETRY = { first: 400, longest: 8_000 };
/** Latencies in a sparkline, and the least latency of its upper edge in milliseconds. */
const KEPT = 60;
const SCALE = 20;
/** How often in a row a transport may end without a message, and how long it may be open without one. */
const BARREN_MAX = 4;
const SILENT = 5_000;
/** How many times of publishes are kept: a paused lane catches up later. */
const SENT_MAX = 600;
/** @type {Record<State, string>} */
const WORDS = { opening: 'opening', live: 'live', resting: 'paused', retrying: 'retrying', unable: 'no data arrives' };

/** When each message was sent, by number. @type {Map<number, number>} */
const sent = new Map();

/** One transport. */
class Lane {
  /** @type {State} */
  state = 'resting';
  wanted = true;
  /** When it last opened or paused: the lane that waited longest is next. */
  since = 0;
  place = { session: '', position: '' };
  counts = { received: 0, missing: 0, twice: 0, gaps: 0 };
  /** Releases the place that it holds. */
  leave = () => {};
  last = 0;
  barren = 0;
  /** @type {number[]} */
  latencies = [];
  stop = () => {};
  /** @type {any} */
  timer;

  /** @param {import('./readers.js').Reader} reader */
  constructor(reader) {
    this.reader = reader;
    this.line = new Sparkline(`last latencies of ${reader.name}`, { fromZero: true, room: KEPT });
    this.button = make('button', { type: 'button', class: 'plain' });
    this.button.addEventListener('click', () => this.toggle());
    const fact = (/** @type {string} */ name, /** @type {string} */ key) => make('div', {}, make('dt', {}, name), make('dd', { 'data-fact': key }, key === 'median' ? '–' : '0'));
    this.element = make('article', { class: 'card', id: reader.name, 'aria-label': reader.name },
      make('header', {}, make('h2', {}, reader.name), make('span', { class: 'state' }), this.button),
      make('p', { class: 'about' }, reader.about),
      make('p', { class: 'now' }, make('b', { 'data-fact': 'now' }, '–'), make('span', {}, 'ms round trip')),
      this.line.element,
      make('dl', { class: 'counts' }, fact('Median', 'median'), fact('Received', 'received'), fact('Missing', 'missing'), fact('Twice', 'twice')));
    this.show('resting');
  }

  /** @param {State} state */
  show(state) {
    this.state = state;
    this.element.dataset.state = state;
    find('.state', this.element).textContent = WORDS[state];
    const rest = state !== 'resting' && state !== 'unable';
    this.button.textContent = rest ? 'Pause' : 'Start';
    this.button.setAttribute('aria-label', `${this.button.textContent} ${this.reader.name}`);
  }

  get busy() { return this.state !== 'resting' && this.state !== 'unable'; }

  /** @param {() => void} [leave] */
  start(leave = () => {}) {
    this.leave = leave;
    this.since = performance.now();
    this.barren = 0;
    this.open();
  }

  open() {
    this.openedAt = performance.now();
    this.heard = false;
    this.show('opening');
    this.stop = this.reader.open((name, query) => this.url(name, query), {
      took: (envelope) => this.took(envelope),
      ended: () => this.ended(),
    });
  }

  rest() {
    clearTimeout(this.timer);
    this.stop();
    this.leave();
    this.since = performance.now();
    this.show('resting');
  }

  toggle() {
    if (this.busy) {
      this.wanted = false;
      this.rest();
    } else {
      this.wanted = true;
      askFor(this);
    }
  }

  /** @param {string} name @param {Record<string, string>} [query] */
  url(name, query = {}) {
    const url = new URL(`${userUrl(USER)}/${name}`, location.href);
    const { session, position } = this.place;
    const all = { channels: CHANNEL, ...(session && { session }), ...(position && { since: position }), ...query };
    for (const [key, value] of Object.entries(all)) url.searchParams.set(key, value);
    return url.href;
  }

  /** @param {any} envelope */
  took(envelope) {
    const { open, gap, id } = envelope;
    this.heard = true;
    if (this.state === 'opening' || this.state === 'retrying') this.show('live');
    if (open) {
      this.place.session = open.session;
      if (!this.place.position) this.place.position = open.position;
    } else if (gap) {
      this.counts.gaps += 1;
      // The server reported the missing messages, so they do not count as lost.
      this.last = 0;
      showGap();
      this.place.position = gap.to ?? this.place.position;
    } else if (id) {
      this.place.position = id;
      if (Number.isInteger(envelope.data?.n)) this.message(envelope.data.n);
    }
  }

  /** @param {number} n */
  message(n) {
    const { counts } = this;
    if (n <= this.last) counts.twice += 1;
    else {
      counts.received += 1;
      if (this.last) counts.missing += n - this.last - 1;
      this.last = n;
    }
    const at = sent.get(n);
    // Messages sent before this lane opened do not measure its latency.
    if (at !== undefined && at >= /** @type {number} */ (this.openedAt)) this.latencies.push(performance.now() - at);
    if (this.latencies.length > KEPT) this.latencies.shift();
    this.draw();
  }

  ended() {
    this.barren = this.heard ? 0 : this.barren + 1;
    if (this.barren >= (this.reader.once ? 1 : BARREN_MAX) && this.isAlone()) return this.giveUp();
    this.show('retrying');
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.open(), Math.random() * Math.min(RETRY.longest, RETRY.first * 2 ** this.barren));
  }

  /** It never delivered anything, and others do: the cause is the browser or a middlebox, not the server. */
  isAlone() { return !this.counts.received && lanes.some(({ state }) => state === 'live'); }

  /** Gives up if a response is open and none of it arrives. */
  look() {
    if (this.state !== 'opening' || performance.now() - /** @type {number} */ (this.openedAt) < SILENT || !this.isAlone()) return;
    this.giveUp();
  }

  giveUp() {
    this.rest();
    this.show('unable');
    serve();
  }

  draw() {
    const { latencies, counts } = this;
    const fact = (/** @type {string} */ name, /** @type {string} */ value, bad = false) => {
      const element = find(`[data-fact="${name}"]`, this.element);
      element.textContent = value;
      element.classList.toggle('bad', bad);
    };
    fact('received', String(counts.received));
    fact('missing', String(counts.missing), counts.missing > 0);
    fact('twice', String(counts.twice), counts.twice > 0);
    const now = latencies.at(-1);
    if (now === undefined) return;
    fact('now', milliseconds(now));
    fact('median', `${milliseconds([...latencies].sort((a, b) => a - b)[latencies.length >> 1])} ms`);
    this.line.draw(latencies, Math.max(SCALE, ...latencies));
  }
}

/** @param {number} value */
function milliseconds(value) { return value < 10 ? value.toFixed(1) : value.toFixed(0); }

top('transports');
const lanes = READERS.map((reader) => new Lane(reader));
find('#lanes').append(...lanes.map(({ element }) => element));

// ---- turns ----

const holders = () => lanes.filter(({ reader }) => reader.held);
/** Lanes that the user started: these come first. @type {Set<Lane>} */
const asked = new Set();
/** Cancels waiting for a place. */
let waiting = new AbortController();
waiting.abort();

/** The next lane to get a place: one that the user started, else the one that paused longest. */
function nextLane() {
  const resting = holders().filter(({ state, wanted }) => state === 'resting' && wanted).sort((a, b) => a.since - b.since);
  return resting.find((lane) => asked.has(lane)) ?? (find('#turns').checked ? resting[0] : undefined);
}

/** Pauses the lane that has had its place for longest. */
function restOne() {
  const [oldest] = holders().filter(({ busy }) => busy).sort((a, b) => a.since - b.since);
  oldest?.rest();
}

/** Waits for one place after another, while lanes want one. */
async function serve() {
  while (waiting.signal.aborted && !document.hidden && nextLane()) {
    waiting = new AbortController();
    // Without locks tabs cannot coordinate, so this one holds at most one connection.
    const place = areShared ? waitForPlace(ALL, waiting.signal) : holders().some(({ busy }) => busy) ? undefined : Promise.resolve(() => {});
    if (!place) return void waiting.abort();
    const leave = await place.catch(() => undefined);
    waiting.abort();
    const lane = document.hidden ? undefined : nextLane();
    if (!leave) return;
    if (!lane) leave();
    else {
      asked.delete(lane);
      lane.start(leave);
    }
  }
}

/** The user started a lane: it starts at once, in place of another lane of this page. @param {Lane} lane */
function askFor(lane) {
  if (!lane.reader.held) return lane.start();
  asked.add(lane);
  const isFull = holders().filter(({ busy }) => busy).length + asked.size > ALL.length || !areShared;
  if (isFull) restOne();
  serve();
}

function turn() {
  if (!find('#turns').checked || document.hidden || !nextLane()) return;
  restOne();
  serve();
}

function begin() {
  for (const lane of lanes) if (lane.wanted && !lane.reader.held && !lane.busy) lane.start();
  serve();
}

let gapTimer = 0;

/** All lanes get the same gap: it is shown once. */
function showGap() {
  clearTimeout(gapTimer);
  find('#gap').textContent = 'The server no longer has the messages in between: it was restarted, or a transport was paused for too long. Nothing is missing from here on.';
  gapTimer = setTimeout(() => { find('#gap').textContent = ''; }, GAP_SHOWN);
}

// ---- one message a second ----

let n = 0;
let isPublishing = false;

/** Repeats a publish until the server accepts it; its key makes it take effect once. */
async function publish() {
  if (isPublishing || document.hidden) return;
  isPublishing = true;
  n += 1;
  const command = JSON.stringify({ publish: CHANNEL, data: { n }, key: `${CHANNEL} ${n}` });
  for (let taken = false; !taken;) {
    sent.set(n, performance.now());
    try {
      const response = await fetch(`${userUrl(USER)}/send`, { method: 'POST', body: command });
      taken = response.ok;
      find('#sending').textContent = taken ? '' : `The server answers ${response.status}.`;
    } catch {
      find('#sending').textContent = 'The server cannot be reached; trying again.';
    }
    if (!taken) await new Promise((done) => setTimeout(done, EVERY));
  }
  sent.delete(n - SENT_MAX);
  isPublishing = false;
  find('#published').textContent = String(n);
}

function total() {
  const sum = (/** @type {'received' | 'missing' | 'twice'} */ which) => lanes.reduce((all, { counts }) => all + counts[which], 0);
  find('#received').textContent = String(sum('received'));
  find('#faults').textContent = `${sum('missing')} / ${sum('twice')}`;
}

setInterval(publish, EVERY);
setInterval(total, EVERY);
setInterval(() => lanes.forEach((lane) => lane.look()), EVERY);
setInterval(turn, TURN);
document.addEventListener('visibilitychange', () => {
  // Another page of this host may need the connections.
  if (!document.hidden) return begin();
  waiting.abort();
  for (const lane of lanes) lane.busy && lane.rest();
});
addEventListener('pagehide', () => {
  for (const { place } of lanes) if (place.session) navigator.sendBeacon(`${userUrl(USER)}/send?session=${encodeURIComponent(place.session)}`, '{"close":true}');
});
// An endless frame that is added before the page has loaded would keep the page loading.
if (document.readyState === 'complete') begin();
else addEventListener('load', () => setTimeout(begin));
