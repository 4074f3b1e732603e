/**
 * The ticker: reads prices at a rate that the user chooses (`conflate`), and runs the exchange if no other page does.
 *
 * The first page opens the exchange in a worker. When it is closed, another page that gets no beat for a while opens it
 * again. If there are two exchanges, one of them closes.
 */
import { connect } from '/encke.js';
import { GAP_WORDS, Sparkline, find, make, randomName, remember, remembered, top } from '/demo/common.js';
import { BEAT, COMETS, PRICES } from '/demo/market.js';

/** Milliseconds between two values of one price; 0 is every value. */
const RATES = [0, 100, 250, 500, 1000, 2000, 5000];
const RATE_KEY = 'encke demo rate';
/** Silence after which a page considers the exchange closed, and the random addition to it. Milliseconds. */
const SILENCE = { least: 2_500, spread: 2_000 };
/** Values of a sparkline. */
const KEPT = 80;
/** Intervals over which rates are averaged. */
const AVERAGED = 4;

/** One comet's row. */
class Row {
  /** @param {string} symbol @param {string} company @param {number} price shown until there is a newer one */
  constructor(symbol, company, price) {
    this.values = [price];
    this.open = price;
    this.changed = true;
    this.seen = 0;
    this.count = 0;
    this.line = new Sparkline(`last prices of ${symbol}`, { room: KEPT });
    this.price = make('td', { class: 'price' });
    this.change = make('td', { class: 'num' });
    this.rate = make('td', { class: 'num rate soft' });
    this.element = make('tr', {},
      make('td', {}, make('span', { class: 'symbol' }, symbol), make('span', { class: 'company' }, company)),
      make('td', { class: 'chart' }, this.line.element), this.price, this.change, this.rate);
  }

  /** @param {{ price: number, open: number, n: number }} tick @returns {number} how many were published since the previous one */
  take({ price, open, n }) {
    const step = n > this.seen && this.seen ? n - this.seen : 1;
    this.seen = n;
    this.count += 1;
    const before = /** @type {number} */ (this.values.at(-1));
    this.values.push(price);
    if (this.values.length > KEPT) this.values.shift();
    this.open = open;
    this.moved = price === before ? this.moved : price > before ? 'rose' : 'fell';
    this.changed = true;
    return step;
  }

  draw() {
    if (!this.changed) return;
    this.changed = false;
    const price = /** @type {number} */ (this.values.at(-1));
    this.price.textContent = price.toFixed(2);
    // Restarts the animation, even if the price moves in the same direction again.
    this.price.className = 'price';
    void this.price.offsetWidth;
    if (this.moved) this.price.classList.add(this.moved);
    const change = 100 * (price / (this.open || price) - 1);
    this.change.textContent = `${change >= 0 ? '+' : '−'}${Math.abs(change).toFixed(2)} %`;
    const tone = change >= 0 ? 'up' : 'down';
    this.change.className = `num ${tone}`;
    this.line.element.setAttribute('class', tone);
    this.line.draw(this.values);
  }
}

top('ticker');
const rows = new Map(COMETS.map(([symbol, company, price]) => [symbol, new Row(symbol, company, price)]));
find('#rows').append(...[...rows.values()].map((row) => row.element));
const me = randomName();
const encke = connect(`/u/reader-${me}`, { share: false });
find('encke-status').client = encke;

// ---- the prices, at the rate of the slider ----

const slider = find('#rate');
/** @type {any} */
let prices;
const counted = { received: 0, published: 0 };
/** The counts of the last intervals of about a second, and how long each took. @type {{ received: number, published: number, ms: number }[]} */
let intervals = [];
let countedSince = performance.now();

function subscribe() {
  const every = RATES[slider.value];
  remember(RATE_KEY, slider.value);
  find('#rate-words').textContent = every === 0 ? 'with every change' : every < 1000 ? `at most every ${every} ms` : `at most every ${every / 1000} s`;
  slider.setAttribute('aria-valuetext', find('#rate-words').textContent);
  prices?.unsubscribe();
  intervals = [];
  beginInterval();
  for (const row of rows.values()) row.seen = 0;
  prices = encke.subscribe(PRICES, take, { last: 1, ...(every && { conflate: every }) });
}

/** @param {{ channel: string, data: any }} message */
function take({ channel, data }) {
  const row = rows.get(channel.slice(channel.lastIndexOf('/') + 1));
  if (!row || !Number.isFinite(data?.price)) return;
  counted.published += row.take(data);
  counted.received += 1;
  schedule();
}

function beginInterval() {
  countedSince = performance.now();
  counted.received = counted.published = 0;
  for (const row of rows.values()) row.count = 0;
}

let frame = 0;
schedule();

function schedule() {
  frame ||= requestAnimationFrame(() => {
    frame = 0;
    for (const row of rows.values()) row.draw();
  });
}

setInterval(() => {
  const ms = performance.now() - countedSince;
  intervals.push({ ...counted, ms });
  if (intervals.length > AVERAGED) intervals.shift();
  const sum = (/** @type {'received' | 'published' | 'ms'} */ which) => intervals.reduce((all, one) => all + one[which], 0);
  const [received, published, seconds] = [sum('received'), sum('published'), sum('ms') / 1000];
  find('#received').textContent = (received / seconds).toFixed(0);
  find('#overtaken').textContent = published ? (100 * (1 - received / published)).toFixed(0) : '–';
  for (const row of rows.values()) row.rate.textContent = (row.count / (ms / 1000)).toFixed(0);
  beginInterval();
}, 1000);

encke.on('gap', () => {
  // Prices lost in the gap were not replaced by newer ones.
  for (const row of rows.values()) row.seen = 0;
  find('#exchange').textContent = GAP_WORDS;
});
slider.value = remembered(RATE_KEY) ?? '3';
let settle = 0;
slider.addEventListener('input', () => {
  // Dragging passes values that the user does not want.
  clearTimeout(settle);
  settle = setTimeout(subscribe, 120);
});
subscribe();

// ---- the exchange ----

const patience = SILENCE.least + Math.random() * SILENCE.spread;
let heard = performance.now();
/** @type {Worker | undefined} */
let exchange;

encke.subscribe(BEAT, ({ data }) => {
  heard = performance.now();
  const other = typeof data?.by === 'string' ? data.by : '';
  if (exchange && other !== me && other < me) closeExchange();
  if (Number.isFinite(data?.rate)) find('#published').textContent = data.rate.toFixed(0);
  find('#exchange').textContent = exchange
    ? 'The exchange is open in this page, in a worker. If you close the page, another open page takes over.'
    : 'The exchange is open in another page. If that page is closed, another open page takes over.';
});

setInterval(() => {
  const connected = encke.state === 'live' || encke.state === 'degraded';
  if (!connected) heard = performance.now();
  else if (!exchange && performance.now() - heard > patience) openExchange();
}, 250);

function openExchange() {
  heard = performance.now();
  exchange = new Worker('/demo/exchange.js', { type: 'module' });
  const last = [...rows].map(([symbol, { values, open, seen }]) => [symbol, { price: values.at(-1), open, n: seen }]);
  exchange.postMessage({ by: me, last });
}

function closeExchange() {
  exchange?.terminate();
  exchange = undefined;
}
