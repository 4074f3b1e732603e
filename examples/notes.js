/**
 * Group notes: fetches the document from another page, shows it, and publishes local changes.
 *
 * The channel carries `change` (see document.js), `state` (the whole document, for pages that open later) and `ask` (a
 * request for the state). Until this page has a document, it keeps changes and applies them afterwards.
 */
import { connect } from '/encke.js';
import { avatar, find, hue, make, randomName, text, top, userUrl, whoIsHere } from '/demo/common.js';
import { Notes } from '/demo/document.js';
import { Sheet, showEntry } from '/demo/sheet.js';

const CHANNEL = '/demo/notes/observing';
const LAST = 100;
/** How long to wait for the state in the history, and for an answer to `ask`; a page delays its answer by a random part of `answer`. Milliseconds. */
const PATIENCE = { history: 800, ask: 1_500, answer: 400 };
/** After this many changes the state is published again, so that it stays among the recent messages. */
const STATE_EVERY = 20;
/** How often editing is reported, and for how long it is shown. Milliseconds. */
const WRITING = { every: 2_000, shown: 4_000 };
const FACES_MAX = 8;

top('notes', true);
const name = await whoIsHere();
const encke = connect(userUrl(name));
find('encke-status').client = encke;

/** @type {Notes | undefined} */
let notes;
/** Messages received before there was a document. @type {{ from: string, data: any }[]} */
let early = [];
/** @type {any} */
let answering;

const sheet = new Sheet({
  change: (change) => publish({ ...change, change: randomName(), at: Date.now() }),
  writing: throttled((/** @type {string} */ block) => encke.publish(`${CHANNEL}/writing`, { block }).catch(() => {})),
});

/** @param {any} change */
function publish(change) {
  encke.publish(CHANNEL, { kind: 'change', ...change }).catch((error) => sheet.complain(`Not saved: ${error.message}`));
}

// ---- incoming messages ----

/** @param {{ from?: string, data: any }} message */
function take({ from = 'a backend', data }) {
  if (data?.kind === 'state') {
    clearTimeout(answering);
    if (!notes) begin(Notes.from(data));
  } else if (!notes) early.push({ from, data });
  else if (data?.kind === 'ask') answer();
  else if (data?.kind === 'change') apply(data, from);
}

/** @param {any} change @param {string} from */
function apply(change, from) {
  const entry = /** @type {Notes} */ (notes).apply(change, from);
  if (!entry) return;
  find('#changes').prepend(showEntry(entry));
  sheet.show(/** @type {Notes} */ (notes), change.block);
  if (from === name && /** @type {Notes} */ (notes).known.length % STATE_EVERY === 0) publishState();
}

/** Takes a document and applies the kept changes to it. @param {Notes | undefined} found */
function begin(found) {
  if (!found || notes) return;
  notes = found;
  find('#waiting').hidden = true;
  find('#add').hidden = false;
  find('#changes').replaceChildren(...[...notes.entries].reverse().map(showEntry));
  sheet.show(notes);
  for (const { from, data } of early.splice(0)) if (data?.kind === 'change') apply(data, from);
}

function publishState() {
  if (notes) encke.publish(CHANNEL, { kind: 'state', ...notes.plain() }).catch(() => {});
}

/** Every page receives `ask`; the first one to answer publishes the state, which cancels the others' answers. */
function answer() {
  clearTimeout(answering);
  answering = setTimeout(publishState, Math.random() * PATIENCE.answer);
}

// ---- getting the document ----

const pause = (/** @type {number} */ ms) => new Promise((done) => setTimeout(done, ms));

async function fetchDocument() {
  await encke.subscribe(CHANNEL, take, { last: LAST, presence: showFaces });
  encke.subscribe(`${CHANNEL}/writing`, ({ from, data }) => from && from !== name && sheet.isWriting(from, text(data?.block, 40), WRITING.shown));
  await pause(PATIENCE.history);
  if (notes) return;
  await encke.publish(CHANNEL, { kind: 'ask' });
  await pause(PATIENCE.ask);
  if (notes) return;
  begin(Notes.first());
  publishState();
}

// ---- members ----

/** @type {Set<string>} */
let present = new Set();

/** @param {{ count: number, users?: string[], came?: string[], left?: string[] }} change */
function showFaces({ count, users, came = [], left = [] }) {
  present = users ? new Set(users) : new Set([...present, ...came].filter((user) => !left.includes(user)));
  const shown = [...present].sort((a, b) => a.localeCompare(b));
  const total = count ?? present.size;
  const faces = shown.slice(0, FACES_MAX).map((user) => {
    const face = avatar(user);
    face.title = user;
    return face;
  });
  const rest = total > FACES_MAX ? ` and ${total - FACES_MAX} more` : '';
  const words = total === 1 ? 'Only you are here' : `${total} people are here`;
  find('#faces').replaceChildren(...faces, make('span', { class: 'more', title: shown.join(', ') }, rest ? words + rest : words));
}

/** @template T @param {(value: T) => void} work @returns {(value: T) => void} */
function throttled(work) {
  let last = 0;
  return (value) => {
    if (Date.now() - last < WRITING.every || !(encke.state === 'live' || encke.state === 'degraded')) return;
    last = Date.now();
    work(value);
  };
}

encke.on('gap', (gap) => {
  // Changes may be missing: set our document aside and ask for another page's.
  if (!notes || gap.channel && gap.channel !== CHANNEL) return;
  const mine = notes;
  notes = undefined;
  encke.publish(CHANNEL, { kind: 'ask' }).then(() => pause(PATIENCE.ask)).catch(() => {}).then(() => {
    if (notes) return;
    begin(mine);
    publishState();
  });
});
encke.on('error', (error) => sheet.complain(error.message));
document.documentElement.style.setProperty('--mine', String(hue(name)));
fetchDocument().catch((error) => sheet.complain(error.message));
