/**
 * Shared by all demos: creating elements, the user's name, sparklines, the top of the page.
 *
 * Data from others becomes a text node or a CSS number, never markup. Knows nothing of the single demos.
 */

const PAGES = [['chat', 'Chat'], ['notes', 'Notes'], ['ticker', 'Ticker'], ['transports', 'Transports'], ['bayeux', 'CometD'], ['sockjs', 'SockJS'],
  ['irc', 'IRC']];
const NAME_KEY = 'encke demo name';
/** What a gap means to a reader. */
export const GAP_WORDS = 'The server was restarted, or this page was away for too long: messages in between may be missing here.';
/** The server's bound for a user, in bytes, and the page's, in characters. */
const NAME_MAX = { bytes: 128, chars: 60 };

/** @param {string} selector @param {ParentNode} [root] @returns {any} the one element, which must exist */
export function find(selector, root = document) {
  return root.querySelector(selector);
}

/**
 * An element with properties, `data-` and `aria-` attributes, and children; text stays text.
 * @param {string} tag @param {Record<string, any>} [properties] @param {...(Node | string)} children @returns {any}
 */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === 'class') element.className = value;
    else if (name.includes('-')) element.setAttribute(name, value);
    else /** @type {any} */ (element)[name] = value;
  }
  element.append(...children);
  return element;
}

/** The top of a page: navigation, the user's name, the state of the connection. @param {string} page @param {boolean} [named] */
export function top(page, named = false) {
  const links = PAGES.map(([path, text]) => {
    const link = make('a', { href: `/demo/${path}` }, text);
    if (path === page) link.setAttribute('aria-current', 'page');
    return link;
  });
  const mark = make('img', { src: '/start.svg', alt: '', width: 26, height: 26 });
  const right = make('div', { class: 'right' });
  find('.head').append(make('div', { class: 'bar' },
    make('a', { class: 'brand', href: '/demo/' }, mark, 'Encke'), make('nav', { 'aria-label': 'Demos' }, ...links), right));
  if (page && !['transports', 'bayeux', 'sockjs', 'irc'].includes(page)) right.append(make('encke-status'));
  if (named) right.append(make('span', { class: 'me' }));
  warnIfTokenRequired();
}

/** The demos send no tokens: if the server requires one, the page names the variable that decides. */
async function warnIfTokenRequired() {
  const required = await fetch('/u/demo/send', { method: 'POST', body: '{"ping":0}' }).then(({ status }) => status === 401, () => false);
  if (!required) return;
  find('.head').append(make('p', { class: 'refusal', role: 'alert' },
    'The demos do not work here: this server has ', make('code', {}, 'ENCKE_TOKEN_KEY'),
    ' set and requires a token, which the demos do not send. Start a server without it to try them.'));
}

/** A value stored for this tab; null where storage is forbidden, as in a sandboxed frame. @param {string} key */
export function remembered(key) {
  try {
    return sessionStorage.getItem(key);
  } catch {
    return null;
  }
}

/** @param {string} key @param {string} value */
export function remember(key, value) {
  try {
    sessionStorage.setItem(key, value);
  } catch {
    // The page asks again next time.
  }
}

/** Shows the user's name, with a button to change it. @param {string} name */
export function showMe(name) {
  const change = make('button', { type: 'button', class: 'plain', 'aria-label': 'Change your name' }, 'Change');
  change.addEventListener('click', () => {
    remember(NAME_KEY, '');
    location.reload();
  });
  find('.me').replaceChildren(avatar(name, 'small'), make('span', { class: 'name', title: name, dir: 'auto' }, name), change);
}

/** The user's name; asks for it once per tab. @returns {Promise<string>} */
export async function whoIsHere() {
  const name = remembered(NAME_KEY) || await ask();
  remember(NAME_KEY, name);
  showMe(name);
  return name;
}

/** @returns {Promise<string>} */
function ask() {
  const input = make('input', { type: 'text', id: 'your-name', maxLength: NAME_MAX.chars, required: true, autocomplete: 'nickname', 'aria-describedby': 'wrong-name' });
  const wrong = make('p', { class: 'wrong', id: 'wrong-name', role: 'alert' });
  const form = make('form', { method: 'dialog' }, make('label', { htmlFor: input.id }, 'Your name'),
    make('div', { class: 'row' }, input, make('button', { class: 'main' }, 'Continue')), wrong);
  const dialog = make('dialog', { 'aria-labelledby': 'who-title' }, make('h2', { id: 'who-title' }, 'Who are you?'),
    make('p', {}, 'Any name works: this server requires no proof. Open a second window to be another user there.'), form);
  document.body.append(dialog);
  dialog.addEventListener('cancel', (/** @type {Event} */ event) => event.preventDefault());
  return new Promise((done) => {
    form.addEventListener('submit', (/** @type {Event} */ event) => {
      event.preventDefault();
      const name = input.value.trim();
      wrong.textContent = whatIsWrong(name);
      if (wrong.textContent) return;
      dialog.close();
      dialog.remove();
      done(name);
    });
    dialog.showModal();
    input.focus();
  });
}

/** @param {string} name */
function whatIsWrong(name) {
  if (!name) return 'Please enter a name.';
  if (/[\p{Cc}/]/u.test(name) || /^\.+$/.test(name)) return 'A name has letters, not control characters or slashes.';
  if (new TextEncoder().encode(name).length > NAME_MAX.bytes) return 'That is too long.';
  return '';
}

/** A user's URL. @param {string} name */
export function userUrl(name) { return `/u/${encodeURIComponent(name)}`; }

/** A round sign for a user: the first letter, in a colour derived from the name. @param {string} name @param {string} [size] */
export function avatar(name, size = '') {
  const [letter = '?'] = typeof Intl.Segmenter === 'function' ? [...new Intl.Segmenter().segment(name)].map((part) => part.segment) : name;
  const sign = make('span', { class: `avatar ${size}`, 'aria-hidden': 'true' }, letter.length > 4 ? '☄' : letter.toUpperCase());
  sign.style.setProperty('--hue', String(hue(name)));
  return sign;
}

/** @param {string} name @returns {number} degrees */
export function hue(name) {
  // FNV-1a: names that differ by a letter get different colours.
  let sum = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(name)) sum = Math.imul(sum ^ byte, 0x01000193);
  return (sum >>> 0) % 360;
}

/** @param {number} at milliseconds */
export function clock(at) {
  const date = new Date(at);
  return Number.isNaN(date.getTime()) ? '' : date.toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' });
}

/** A received value as a bounded string; others may send anything. @param {unknown} value @param {number} [most] characters */
export function text(value, most = 4000) {
  return (typeof value === 'string' ? value : '').slice(0, most);
}

/** A short random name for an object of this page. */
export function randomName() {
  return [...crypto.getRandomValues(new Uint8Array(6))].map((byte) => byte.toString(36).padStart(2, '0')).join('');
}

const SVG = 'http://www.w3.org/2000/svg';

/** A small line of the last values; `draw` shows numbers, oldest first. */
export class Sparkline {
  /** @param {string} label @param {{ fromZero?: boolean, room: number }} how `room`: how many values fill it */
  constructor(label, { fromZero = false, room }) {
    this.fromZero = fromZero;
    this.room = room;
    this.element = document.createElementNS(SVG, 'svg');
    this.element.setAttribute('viewBox', '0 0 100 100');
    this.element.setAttribute('preserveAspectRatio', 'none');
    this.element.setAttribute('role', 'img');
    this.element.setAttribute('aria-label', label);
    this.line = document.createElementNS(SVG, 'polyline');
    this.element.append(this.line);
  }

  /** @param {number[]} values @param {number} [top] the value at the upper edge */
  draw(values, top) {
    const high = top ?? Math.max(...values);
    const low = this.fromZero ? 0 : Math.min(...values);
    const span = high - low || 1;
    const step = 100 / Math.max(1, this.room - 1);
    const first = 100 - step * (values.length - 1);
    const points = values.map((value, n) => `${(first + n * step).toFixed(1)},${(96 - 92 * Math.min(1, (value - low) / span)).toFixed(1)}`);
    this.line.setAttribute('points', points.join(' '));
  }
}
