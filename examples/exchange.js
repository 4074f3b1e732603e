/**
 * The exchange: random walks of prices; it publishes each change at once as the user `exchange`.
 *
 * It runs in a worker because browsers slow the timers of background pages down. It publishes only while connected: an
 * old price is of no use later.
 */
import { connect } from '/encke.js';
import { BEAT, COMETS, channelOf } from '/demo/market.js';

/** Milliseconds between two steps, and the probability that a price moves in one. */
const STEP = 50;
const CHANCE = 0.5;
/** How far a price moves in a step: mostly at random, a little back towards its start. */
const WALK = { spread: 0.0011, home: 0.0008 };
/** A second. */
const BEAT_MS = 1000;

const encke = connect('/u/exchange', { share: false });
/** @type {Map<string, { price: number, open: number, n: number }>} */
const prices = new Map(COMETS.map(([symbol, , price]) => [symbol, { price, open: price, n: 0 }]));
let published = 0;

/** @param {string} channel @param {unknown} data */
function publish(channel, data) {
  published += 1;
  // The next price replaces a lost one.
  encke.publish(channel, data).catch(() => {});
}

const isConnected = () => encke.state === 'live' || encke.state === 'degraded';

function trade() {
  if (!isConnected()) return;
  for (const [symbol, stock] of prices) {
    if (Math.random() > CHANCE) continue;
    const chance = (Math.random() + Math.random() + Math.random() - 1.5) * 2;
    stock.price *= 1 + chance * WALK.spread + (stock.open / stock.price - 1) * WALK.home;
    stock.n += 1;
    publish(channelOf(symbol), { ...stock, price: Number(stock.price.toFixed(2)) });
  }
}

/** @param {string} by the page that opened it */
function beat(by) {
  if (isConnected()) publish(BEAT, { by, rate: published });
  published = 0;
}

self.onmessage = ({ data: { by, last } }) => {
  // Continues from the last prices that the page has received.
  for (const [symbol, { price, open, n }] of last) if (price) prices.set(symbol, { price, open: open || price, n });
  setInterval(trade, STEP);
  setInterval(() => beat(by), BEAT_MS);
};
