/**
 * Chat: one room at a time, with its members (presence) and who is typing (a channel of its own, without history).
 *
 * An own message is shown at once, pale until the server returns it: then it has its place in the order that all see.
 */
import { connect } from '/encke.js';
import { GAP_WORDS, avatar, clock, find, make, randomName, text, top, userUrl, whoIsHere } from '/demo/common.js';

const ROOMS = ['lobby', 'team', 'kitchen'];
/** Recent messages to begin with, and lines that are kept. */
const LAST = 60;
const KEPT = 500;
/** How often typing is reported, and for how long it is shown. Milliseconds. */
const TYPING = { every: 2_000, shown: 3_500 };
/** Lines of one author that are closer than this are drawn as one. Milliseconds. */
const TOGETHER = 240_000;
/** In larger rooms joins and leaves are not shown. */
const SHOWN_MAX = 20;
const TITLE = document.title;

top('chat', true);
const name = await whoIsHere();
const encke = connect(userUrl(name));
find('encke-status').client = encke;
const input = find('#message');
const lines = find('#lines');
/** Own messages that have not returned, and whether the server has accepted them. @type {Map<string, { line: HTMLElement, taken: boolean }>} */
const waiting = new Map();
let unread = 0;

/** The open room. */
class Room {
  /** @type {Set<string>} */
  present = new Set();
  count = 0;
  /** @type {Map<string, any>} who is typing, and the timer that ends it */
  typing = new Map();
  saidTyping = 0;

  /** @param {string} room */
  constructor(room) {
    this.channel = `/demo/chat/${room}`;
    lines.replaceChildren();
    waiting.clear();
    const presence = (/** @type {any} */ change) => this.onPresence(change);
    this.subscriptions = [
      encke.subscribe(this.channel, (message) => this.message(message), { last: LAST, presence }),
      encke.subscribe(`${this.channel}/typing`, ({ from }) => this.isTyping(from ?? '')),
    ];
    this.people();
    this.showTyping();
  }

  leave() {
    for (const subscription of this.subscriptions) subscription.unsubscribe();
    for (const timer of this.typing.values()) clearTimeout(timer);
  }

  // ---- messages ----

  /** @param {{ from?: string, data: any }} message */
  message({ from = 'a backend', data }) {
    const mine = waiting.get(data?.mark)?.line;
    if (mine && from === name) {
      waiting.delete(data.mark);
      // Its place is where it arrived, which may be after messages of others.
      const after = mine.nextElementSibling;
      mine.remove();
      join(after);
    }
    this.stopTyping(from);
    const said = text(data?.text);
    if (said) this.line(from, said, Number.isFinite(data.at) ? data.at : Date.now());
    if (document.hidden) document.title = `(${unread += 1}) ${TITLE}`;
  }

  /** @param {string} author @param {string} said @param {number} at @returns {HTMLElement} */
  line(author, said, at) {
    const line = make('div', { class: 'line', 'data-author': author, 'data-at': at }, avatar(author),
      make('div', { class: 'said' },
        make('p', { class: 'who' }, make('b', { dir: 'auto', title: author }, author), make('time', {}, clock(at))),
        make('p', { class: 'text', dir: 'auto' }, said)));
    append(line);
    return line;
  }

  /** @param {string} said */
  say(said) {
    const mark = randomName();
    const at = Date.now();
    const line = this.line(name, said, at);
    line.classList.add('waiting');
    line.title = 'Not delivered yet';
    const mine = { line, taken: false };
    waiting.set(mark, mine);
    this.saidTyping = 0;
    encke.publish(this.channel, { text: said, mark, at }).then(() => { mine.taken = true; }, (error) => {
      waiting.delete(mark);
      settle(line);
      find('.text', line).append(make('span', { class: 'event gap' }, ` (not sent: ${error.message})`));
    });
  }

  // ---- members ----

  /** @param {{ count: number, users?: string[], came?: string[], left?: string[] }} change */
  onPresence({ count, users, came = [], left = [] }) {
    const before = this.present;
    if (users) this.present = new Set(users);
    else this.present = new Set([...before, ...came].filter((user) => !left.includes(user)));
    this.count = count ?? this.present.size;
    if (!users && this.count <= SHOWN_MAX) {
      for (const user of came) if (user !== name && !before.has(user)) event(`${user} joined`);
      for (const user of left) if (user !== name && before.has(user)) event(`${user} left`);
    }
    for (const user of left) this.stopTyping(user);
    this.people();
  }

  people() {
    const others = [...this.present].filter((user) => user !== name).sort((a, b) => a.localeCompare(b));
    const here = this.present.has(name) ? [name, ...others] : others;
    find('#people').replaceChildren(...here.map((user) => {
      const note = user === name ? 'you' : this.typing.has(user) ? 'typing' : '';
      return make('li', {}, avatar(user, 'small'), make('span', { class: 'name', title: user, dir: 'auto' }, user), make('span', { class: 'note' }, note));
    }));
    find('#count').textContent = this.count === 0 ? 'Nobody here yet' : this.count === 1 ? 'One person here' : `${this.count} people here`;
  }

  // ---- who is typing ----

  /** Reports typing to the others, but not at every key. */
  reportTyping() {
    const now = Date.now();
    if (now - this.saidTyping < TYPING.every || (encke.state !== 'live' && encke.state !== 'degraded')) return;
    this.saidTyping = now;
    encke.publish(`${this.channel}/typing`, {}).catch(() => {});
  }

  /** @param {string} user */
  isTyping(user) {
    if (!user || user === name) return;
    clearTimeout(this.typing.get(user));
    this.typing.set(user, setTimeout(() => this.stopTyping(user), TYPING.shown));
    this.showTyping();
  }

  /** @param {string} user */
  stopTyping(user) {
    clearTimeout(this.typing.get(user));
    if (this.typing.delete(user)) this.showTyping();
  }

  showTyping() {
    const users = [...this.typing.keys()];
    const subject = users.length > 2 ? `${users.length} people are` : users.length === 2 ? `${users.join(' and ')} are` : `${users[0]} is`;
    find('#typing').textContent = users.length ? `${subject} typing…` : '';
    this.people();
  }
}

/** Adds a line; scrolls to it only if the reader was at the end. @param {HTMLElement} line */
function append(line) {
  const atEnd = lines.scrollHeight - lines.scrollTop - lines.clientHeight < 60;
  lines.append(line);
  join(line);
  while (lines.childElementCount > KEPT) lines.firstElementChild?.remove();
  if (atEnd) lines.scrollTop = lines.scrollHeight;
}

/** Draws a line together with the previous one, if both have the same author. @param {any} line */
function join(line) {
  const [now, before] = [line?.dataset, line?.previousElementSibling?.dataset];
  if (now?.author) line.classList.toggle('follows', before?.author === now.author && now.at - before.at < TOGETHER);
}

/** The line is at its final place, or its message failed. @param {HTMLElement} line */
function settle(line) {
  line.classList.remove('waiting');
  line.title = '';
}

/** Messages that the server accepted before a gap may not return: their lines stay where they are. */
function showGap() {
  event(GAP_WORDS, 'gap');
  for (const [mark, { line, taken }] of waiting) if (taken && waiting.delete(mark)) settle(line);
}

/** @param {string} words @param {string} [kind] */
function event(words, kind = '') {
  append(make('p', { class: `event ${kind}` }, words));
}

/** @returns {string} the room that the address names */
function named() {
  return location.hash.slice(1).replace(/[^A-Za-z0-9_-]/g, '').slice(0, 40) || ROOMS[0];
}

/** @type {Room} */
let room;

function enter() {
  room?.leave();
  const chosen = named();
  const known = ROOMS.includes(chosen) ? ROOMS : [...ROOMS, chosen];
  find('#rooms').replaceChildren(...known.map((one) => {
    const link = make('a', { href: `#${one}` }, one);
    if (one === chosen) link.setAttribute('aria-current', 'page');
    return link;
  }));
  find('#room-name').textContent = `Room ${chosen}`;
  input.placeholder = `Write to ${chosen}`;
  room = new Room(chosen);
}

function send() {
  const said = input.value.trim();
  if (!said) return;
  input.value = '';
  room.say(said);
  lines.scrollTop = lines.scrollHeight;
}

find('#composer').addEventListener('submit', (/** @type {Event} */ submitted) => {
  submitted.preventDefault();
  send();
});
input.addEventListener('keydown', (/** @type {KeyboardEvent} */ key) => {
  if (key.key !== 'Enter' || key.shiftKey || key.isComposing) return;
  key.preventDefault();
  send();
});
input.addEventListener('input', () => input.value.trim() && room.reportTyping());
addEventListener('hashchange', enter);
document.addEventListener('visibilitychange', () => {
  if (document.hidden) return;
  unread = 0;
  document.title = TITLE;
});
let height = lines.clientHeight;
new ResizeObserver(() => {
  // A reader at the end stays there when the window shrinks, for instance for an on-screen keyboard.
  if (lines.scrollHeight - lines.scrollTop - height < 60) lines.scrollTop = lines.scrollHeight;
  height = lines.clientHeight;
}).observe(lines);
encke.on('gap', showGap);
encke.on('error', (error) => event(`Refused: ${error.message}`, 'gap'));
enter();
for (const control of find('#composer').elements) control.disabled = false;
input.focus();
