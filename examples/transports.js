/**
 * Every transport side by side: one message a second goes out through `/send`, and each transport brings it back.
 *
 * A `Lane` is one transport with a session of its own; it rests and goes on where it was, and counts what was missing or
 * came twice. Browsers open six connections to a host at most, so the lanes that hold one take turns.
 */
import { Sparkline, find, make, randomName, top, userUrl } from '/demo/common.js';
import { READERS } from '/demo/readers.js';

/** @typedef {'opening' | 'live' | 'resting' | 'retrying' | 'unable'} State */

const USER = `transports-${randomName()}`;
const CHANNEL = `/demo/transports/${randomName()}`;
/** Lanes that may hold a connection at once: two of the six are for `send` and `poll`. */
const HELD_MAX = 4;
/** Milliseconds. */
const EVERY = 1_000;
const TURN = 8_000;
const RETRY = { first: 400, longest: 8_000 };
/** Latencies of a sparkline, and below which height it is not stretched. Milliseconds. */
const KEPT = 60;
const SCALE = 20;
/** So often in a row it may end without having brought anything, and for so long be open. */
const BARREN_MAX = 4;
const SILENT = 5_000;
/** For how long the time of a publish is remembered: a resting lane catches up later. */
const SENT_MAX = 600;
/** @type {Record<State, string>} */
const WORDS = { opening: 'opening', live: 'live', resting: 'resting', retrying: 'retrying', unable: 'nothing comes through' };

/** When each message was sent, by number. @type {Map<number, number>} */
const sent = new Map();

/** One transport. */
class Lane {
  /** @type {State} */
  state = 'resting';
  wanted = true;
  /** When it last opened or rested: who waited longest is next. */
  since = 0;
  place = { session: '', position: '' };
  counts = { received: 0, missing: 0, twice: 0, gaps: 0 };
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
      make('p', { class: 'now' }, make('b', { 'data-fact': 'now' }, '–'), make('span', {}, 'ms, there and back')),
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
    this.button.textContent = rest ? 'Rest' : 'Start';
    this.button.setAttribute('aria-label', `${this.button.textContent} ${this.reader.name}`);
  }

  get busy() { return this.state !== 'resting' && this.state !== 'unable'; }

  start() {
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
    this.since = performance.now();
    this.show('resting');
  }

  toggle() {
    if (this.busy) {
      this.wanted = false;
      this.rest();
    } else {
      this.wanted = true;
      makeRoomFor(this);
      this.start();
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
    // What was sent before this lane opened says nothing about its latency.
    if (at !== undefined && at >= /** @type {number} */ (this.openedAt)) this.latencies.push(performance.now() - at);
    if (this.latencies.length > KEPT) this.latencies.shift();
    this.draw();
  }

  ended() {
    this.barren = this.heard ? 0 : this.barren + 1;
    if (this.barren >= (this.reader.once ? 1 : BARREN_MAX) && this.isAlone()) return this.show('unable');
    this.show('retrying');
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.open(), Math.random() * Math.min(RETRY.longest, RETRY.first * 2 ** this.barren));
  }

  /** It never brought anything, and others do: it is not the server, but this browser or something on the way. */
  isAlone() { return !this.counts.received && lanes.some(({ state }) => state === 'live'); }

  /** Gives up where a response is open and nothing of it is handed on. */
  look() {
    if (this.state !== 'opening' || performance.now() - /** @type {number} */ (this.openedAt) < SILENT || !this.isAlone()) return;
    this.rest();
    this.show('unable');
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

/** Rests the lane that had its turn for longest, should all places be taken. @param {Lane} lane */
function makeRoomFor(lane) {
  if (!lane.reader.held) return;
  const busy = holders().filter((one) => one.busy && one !== lane).sort((a, b) => a.since - b.since);
  for (const one of busy.slice(0, Math.max(0, busy.length + 1 - HELD_MAX))) one.rest();
}

function turn() {
  if (!find('#turns').checked || document.hidden) return;
  const [next] = holders().filter(({ state, wanted }) => state === 'resting' && wanted).sort((a, b) => a.since - b.since);
  if (!next) return;
  makeRoomFor(next);
  next.start();
}

function begin() {
  for (const lane of lanes) {
    const room = !lane.reader.held || holders().filter(({ busy }) => busy).length < HELD_MAX;
    if (lane.wanted && room && !lane.busy) lane.start();
  }
}

// ---- one message a second ----

let n = 0;
let under = false;

/** Sent until it is taken; the key sees to it that it is published once. */
async function publish() {
  if (under || document.hidden) return;
  under = true;
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
  under = false;
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
  if (document.hidden) for (const lane of lanes) lane.busy && lane.rest();
  else begin();
});
addEventListener('pagehide', () => {
  for (const { place } of lanes) if (place.session) navigator.sendBeacon(`${userUrl(USER)}/send?session=${encodeURIComponent(place.session)}`, '{"close":true}');
});
// A frame that never ends would keep the page loading, were it there before the page has loaded.
if (document.readyState === 'complete') begin();
else addEventListener('load', () => setTimeout(begin));
