/**
 * IRC in a page, in the spirit of CGI:IRC: channels, private messages, names, topics, and commands.
 *
 * The page speaks IRC itself (irc-link.js). Each conversation has a log of its own, of which one is
 * shown.
 */
import { avatar, clock, find, make, remember, remembered, top, userUrl, whoIsHere } from '/demo/common.js';
import { IrcLink, nickname, parts, plain } from '/demo/irc-link.js';

/** Lines that a conversation keeps. */
const KEPT = 500;
/** Lines of one author that are closer than this are drawn as one. Milliseconds. */
const TOGETHER = 240_000;
/** How long until a broken connection is tried again, at first and at most. Milliseconds. */
const AGAIN = { first: 1_000, most: 30_000 };
/** In larger channels joins and leaves are not shown. */
const SHOWN_MAX = 30;
const CHANNELS_KEY = 'encke demo irc channels';
const FIRST_CHANNEL = '#encke';
const SERVER = 'Server';
const TITLE = document.title;
/** The names of ranks, by their signs. @type {Record<string, string>} */
const RANKS = { '~': 'owner', '&': 'admin', '@': 'operator', '%': 'half-operator', '+': 'voice' };

const input = find('#message');
/** @type {IrcLink | undefined} */
let link;
let nick = '';
let name = '';
let unread = 0;
let wait = AGAIN.first;
/** @type {any} */
let timer;
/** The user has left on purpose. */
let hasQuit = false;

const isChannel = (/** @type {string} */ one) => /^[#&+!]/.test(one);
const lower = (/** @type {string} */ one) => one.toLowerCase();
const isMe = (/** @type {string} */ one) => lower(one) === lower(nick);

/** A channel, a private conversation, or what the server says. */
class Place {
  /** Names and the signs of their ranks. @type {Map<string, string>} */
  people = new Map();
  topic = '';
  unread = 0;
  joined = false;
  /** Whether the list of names is being sent. */
  listing = false;

  /** @param {string} title */
  constructor(title) {
    this.title = title;
    this.log = make('div', { class: 'lines', role: 'log', 'aria-live': 'polite', 'aria-label': `Messages of ${title}`, tabIndex: 0, hidden: true });
    find('#logs').append(this.log);
  }

  /** Adds a line; scrolls to it only if the reader was at the end. @param {HTMLElement} line */
  append(line) {
    const { log } = this;
    const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 60;
    log.append(line);
    while (log.childElementCount > KEPT) log.firstElementChild?.remove();
    if (atEnd) log.scrollTop = log.scrollHeight;
  }

  /** @param {string} author @param {string} said */
  say(author, said) {
    const at = Date.now();
    const before = /** @type {HTMLElement | null} */ (this.log.lastElementChild)?.dataset;
    const follows = before?.author === author && at - Number(before.at) < TOGETHER;
    this.append(make('div', { class: `line${follows ? ' follows' : ''}`, 'data-author': author, 'data-at': String(at) }, avatar(author),
      make('div', { class: 'said' },
        make('p', { class: 'who' }, make('b', { dir: 'auto', title: author }, author), make('time', {}, clock(at))),
        make('p', { class: 'text', dir: 'auto' }, plain(said)))));
    if (isMe(author)) return;
    if (this !== shown) this.unread += 1;
    if (document.hidden) document.title = `(${unread += 1}) ${TITLE}`;
    listPlaces();
  }

  /** @param {string} words @param {string} [kind] */
  event(words, kind = '') { this.append(make('p', { class: `event ${kind}`, dir: 'auto' }, plain(words))); }
}

/** By their names in small letters. @type {Map<string, Place>} */
const places = new Map([[lower(SERVER), new Place(SERVER)]]);
const server = /** @type {Place} */ (places.get(lower(SERVER)));
let shown = server;

/** The place with a name; made if there is none. @param {string} title */
function placeOf(title) {
  let place = places.get(lower(title));
  if (!place) {
    place = new Place(title);
    places.set(lower(title), place);
    listPlaces();
  }
  return place;
}

/** @param {Place} place */
function show(place) {
  shown = place;
  place.unread = 0;
  for (const one of places.values()) one.log.hidden = one !== place;
  place.log.scrollTop = place.log.scrollHeight;
  find('#place').textContent = place.title;
  find('#leave').hidden = place === server;
  find('#leave').textContent = isChannel(place.title) ? 'Leave' : 'Close';
  input.placeholder = place === server ? 'Write a command, such as /join #channel' : `Write to ${place.title}`;
  showTopic();
  listPlaces();
  listPeople();
}

/** Closes a place, and shows another one. @param {Place} place */
function close(place) {
  place.log.remove();
  places.delete(lower(place.title));
  if (shown === place) show([...places.values()].at(-1) ?? server);
  else listPlaces();
  rememberChannels();
}

function showTopic() {
  find('#topic').textContent = plain(shown.topic);
  find('#topic').title = plain(shown.topic);
}

function listPlaces() {
  // The one that has the focus keeps it.
  const focused = /** @type {HTMLElement | null} */ (document.activeElement)?.dataset?.place;
  find('#places').replaceChildren(...[...places.entries()].map(([key, place]) => {
    const said = place.unread ? make('span', { class: 'unread' }, ` ${place.unread}`, make('span', { class: 'visually-hidden' }, ' unread')) : '';
    const button = make('button', { type: 'button', 'data-place': key }, place.title, said);
    if (place === shown) button.setAttribute('aria-current', 'true');
    button.addEventListener('click', () => { show(place); });
    return button;
  }));
  if (focused) find(`#places [data-place="${CSS.escape(focused)}"]`)?.focus();
}

function listPeople() {
  const rank = (/** @type {string} */ sign) => (sign ? '~&@%+'.indexOf(sign) : 9);
  const all = [...shown.people].sort(([a, x], [b, y]) => rank(x) - rank(y) || a.localeCompare(b));
  find('#people').replaceChildren(...all.map(([one, sign]) => {
    const note = [isMe(one) ? 'you' : '', RANKS[sign] ?? ''].filter(Boolean).join(', ');
    const person = make('button', { type: 'button', class: 'plain name', title: `Write to ${one}`, dir: 'auto' }, one);
    person.addEventListener('click', () => {
      show(placeOf(one));
      input.focus();
    });
    return make('li', {}, avatar(one, 'small'), isMe(one) ? make('span', { class: 'name', dir: 'auto' }, one) : person, make('span', { class: 'note' }, note));
  }));
  const people = all.length === 1 ? 'One person here' : `${all.length} people here`;
  find('#count').textContent = all.length ? people : isChannel(shown.title) ? 'Nobody here yet' : 'A channel lists its people here';
}

/** The channels to join again. */
function rememberChannels() {
  remember(CHANNELS_KEY, [...places.values()].filter(({ title }) => isChannel(title)).map(({ title }) => title).join(' '));
}

// ---- what the server sends ----

/** Where somebody is, in channels. @param {string} one @param {(place: Place) => void} work */
function inEach(one, work) {
  for (const place of places.values()) if (place.people.has(one)) work(place);
  listPeople();
}

/**
 * A change of who is here, told in channels that are not too large.
 * @param {Place} place @param {string} words
 */
function told(place, words) { if (place.people.size <= SHOWN_MAX) place.event(words); }

/** @type {Record<string, (line: import('./irc-link.js').Line) => void>} */
const HANDLERS = {
  '001': ({ params: [mine, words] }) => {
    nick = mine;
    wait = AGAIN.first;
    server.event(words);
    state(`Connected as ${nick}`);
    usable(true);
    if (document.activeElement === document.body) input.focus();
    const channels = (remembered(CHANNELS_KEY) ?? FIRST_CHANNEL).split(' ').filter(Boolean);
    for (const channel of channels) link?.send('JOIN', channel);
  },
  JOIN({ from, params: [channel] }) {
    const place = placeOf(channel);
    if (isMe(from)) {
      place.people.clear();
      place.joined = true;
      place.event('You joined');
      if (shown === server || wanted === lower(channel)) show(place);
      wanted = '';
      rememberChannels();
    } else told(place, `${from} joined`);
    place.people.set(from, '');
    if (place === shown) listPeople();
  },
  PART({ from, params: [channel, words] }) {
    const place = places.get(lower(channel));
    if (!place) return;
    if (isMe(from)) return close(place);
    place.people.delete(from);
    told(place, `${from} left${words ? `: ${words}` : ''}`);
    listPeople();
  },
  QUIT({ from, params: [words] }) {
    inEach(from, (place) => {
      place.people.delete(from);
      told(place, `${from} left${words ? `: ${words}` : ''}`);
    });
  },
  KICK({ from, params: [channel, whom, words] }) {
    const place = placeOf(channel);
    place.people.delete(whom);
    place.event(`${isMe(whom) ? 'You were' : `${whom} was`} removed by ${from}${words ? `: ${words}` : ''}`, 'gap');
    if (isMe(whom)) place.joined = false;
    listPeople();
  },
  NICK({ from, params: [now] }) {
    if (isMe(from)) {
      nick = now;
      state(`Connected as ${nick}`);
    }
    inEach(from, (place) => {
      place.people.set(now, place.people.get(from) ?? '');
      place.people.delete(from);
      told(place, `${from} is now ${now}`);
    });
  },
  TOPIC({ from, params: [channel, words = ''] }) {
    placeOf(channel).topic = words;
    placeOf(channel).event(`${from} changed the topic: ${words}`);
    showTopic();
  },
  332: ({ params: [, channel, words] }) => {
    placeOf(channel).topic = words;
    showTopic();
  },
  353: ({ params }) => {
    const place = placeOf(params.at(-2) ?? '');
    for (const one of (params.at(-1) ?? '').split(' ').filter(Boolean)) {
      const [, signs, who] = /^([~&@%+]*)(.*)$/.exec(one) ?? ['', '', one];
      place.people.set(who, signs[0] ?? '');
    }
  },
  366: () => listPeople(),
  MODE({ from, params: [where, ...change] }) {
    const place = isChannel(where) ? placeOf(where) : server;
    place.event(`${from} sets ${change.join(' ')}`);
    // Who has which rank now: the list says it.
    if (isChannel(where)) link?.send('NAMES', where);
  },
  PRIVMSG: ({ from, params: [to, words = ''] }) => said(from, to, words),
  NOTICE({ from, params: [to, words = ''] }) {
    const place = isChannel(to) ? placeOf(to) : places.get(lower(from)) ?? server;
    place.event(`${from}: ${words}`);
  },
  ERROR: ({ params: [words = ''] }) => server.event(words, 'gap'),
};

/** @param {string} from @param {string} to @param {string} words */
function said(from, to, words) {
  const place = isChannel(to) ? placeOf(to) : placeOf(from);
  const [, tag, rest = ''] = /^\x01(\S+) ?([^\x01]*)/.exec(words) ?? [];
  if (tag === 'ACTION') place.event(`${from} ${rest}`, 'action');
  // Other questions to the client itself get no answer.
  else if (!tag) place.say(from, words);
}

/** @param {import('./irc-link.js').Line} line */
function take(line) {
  const handler = HANDLERS[line.command];
  if (handler) return handler(line);
  const words = line.params.slice(1).join(' ');
  const number = Number(line.command);
  // Answers with a number: from 400 on something is refused.
  if (number >= 400) return (places.get(lower(line.params[1] ?? '')) ?? shown).event(line.params.slice(1).join(': '), 'gap');
  if (number >= 300 && ![315, 333, 372, 375, 376].includes(number)) return shown.event(words);
  return server.event(words || line.params.join(' '));
}

// ---- what the user says ----

/** The channel that the user has just asked for. */
let wanted = '';

/** @param {string} channel */
function join(channel) {
  const full = isChannel(channel) ? channel : `#${channel}`;
  wanted = lower(full);
  const place = places.get(wanted);
  if (place?.joined) show(place);
  else link?.send('JOIN', full);
}

/** @param {Place} place @param {string} words @param {boolean} [isAction] */
function speak(place, words, isAction = false) {
  if (place === server) return server.event('Only commands, here. Join a channel to talk.', 'gap');
  for (const part of parts(words)) {
    link?.send('PRIVMSG', place.title, isAction ? `\x01ACTION ${part}\x01` : part);
    if (isAction) place.event(`${nick} ${part}`, 'action');
    else place.say(nick, part);
  }
  place.log.scrollTop = place.log.scrollHeight;
}

/** @type {Record<string, (rest: string) => void>} */
const COMMANDS = {
  join: (rest) => join(rest.trim() || FIRST_CHANNEL),
  part: () => leave(),
  msg(rest) {
    const [, to, words] = /^(\S+)\s*(.*)$/s.exec(rest) ?? [];
    if (!to) return;
    show(placeOf(to));
    if (words) speak(placeOf(to), words);
  },
  me: (rest) => speak(shown, rest, true),
  nick: (rest) => link?.send('NICK', rest.trim()),
  topic: (rest) => link?.send('TOPIC', shown.title, ...(rest ? [rest] : [])),
  whois: (rest) => link?.send('WHOIS', rest.trim() || nick),
  raw: (rest) => link?.raw(rest),
  quit(rest) {
    hasQuit = true;
    link?.send('QUIT', rest || 'bye');
  },
};

function leave() {
  if (isChannel(shown.title) && shown.joined) link?.send('PART', shown.title);
  else if (shown !== server) close(shown);
}

function submit() {
  const words = input.value;
  if (!words.trim()) return;
  input.value = '';
  const [, command, rest = ''] = /^\/([a-z]+)\s?(.*)$/is.exec(words) ?? [];
  // Two slashes begin a message that begins with one.
  if (!command) return speak(shown, words.replace(/^\/\//, '/'));
  const known = Object.hasOwn(COMMANDS, lower(command)) && COMMANDS[lower(command)];
  return known ? known(rest) : shown.event(`There is no command /${command}`, 'gap');
}

// ---- the connection ----

/** @param {string} words */
function state(words) { find('#link').textContent = words; }

/** @param {boolean} is */
function usable(is) {
  for (const control of [...find('#composer').elements, find('#join button')]) control.disabled = !is;
  if (is) find('#again').hidden = true;
}

function connect() {
  clearTimeout(timer);
  hasQuit = false;
  find('#again').hidden = true;
  state('Connecting');
  link = new IrcLink(new URL(userUrl(name), location.href).href, nick, { line: take, closed });
}

/** @param {string} why @param {boolean} mayHelp */
function closed(why, mayHelp) {
  usable(false);
  for (const place of places.values()) {
    place.joined = false;
    place.people.clear();
    if (place === server || isChannel(place.title)) place.event(why, 'gap');
  }
  listPeople();
  find('#again').hidden = false;
  if (hasQuit || !mayHelp) return state(why);
  state(`${why} It is tried again.`);
  timer = setTimeout(connect, wait);
  wait = Math.min(wait * 2, AGAIN.most);
}

/** The names of the targets that this server has. @returns {Promise<string[]>} */
async function targets() {
  const answer = await fetch(`${userUrl(name || 'demo')}/tcp`).catch(() => undefined);
  if (!answer?.ok) return [];
  const { targets: names } = await answer.json();
  return Array.isArray(names) ? names : [];
}

/** Explains how to make a target, until there is one. */
async function explain() {
  const names = await targets();
  if (names.includes('irc')) return;
  find('#setup').hidden = false;
  const tell = (/** @type {string[]} */ others) => {
    find('#others').textContent = others.length ? `Its targets now: ${others.join(', ')}.` : 'It has no targets now.';
  };
  tell(names);
  await new Promise((done) => {
    find('#look-again').addEventListener('click', async () => {
      const now = await targets();
      tell(now);
      if (now.includes('irc')) done(undefined);
    });
  });
  find('#setup').hidden = true;
}

find('#composer').addEventListener('submit', (/** @type {Event} */ submitted) => {
  submitted.preventDefault();
  submit();
});
input.addEventListener('keydown', (/** @type {KeyboardEvent} */ key) => {
  if (key.key !== 'Enter' || key.shiftKey || key.isComposing) return;
  key.preventDefault();
  submit();
});
find('#join').addEventListener('submit', (/** @type {Event} */ submitted) => {
  submitted.preventDefault();
  const channel = find('#channel').value.trim();
  if (channel.length < 2) return;
  join(channel);
  find('#channel').value = '#';
});
find('#leave').addEventListener('click', leave);
find('#again').addEventListener('click', connect);
document.addEventListener('visibilitychange', () => {
  if (document.hidden) return;
  unread = 0;
  document.title = TITLE;
});

top('irc', true);
await explain();
name = await whoIsHere();
nick = nickname(name);
find('#client').hidden = false;
show(server);
connect();
