/**
 * The shared document: paragraphs and their changes. Knows neither network nor page.
 *
 * All authors apply the same changes in the order of the channel, so all have the same document. A change names the version
 * on which it is based. One based on an older version is applied too, and names the author whose change it replaced.
 */

/**
 * @typedef {{ id: string, text: string, version: string, by: string, why: string, at: number }} Block
 * @typedef {{ change: string, block: string, text: string | null, base: string, after: string, why: string, at: number }} Change
 *   `change` is its name, `base` the version on which it is based, `after` the paragraph that a new one follows; null text: deleted
 * @typedef {{ change: string, by: string, why: string, at: number, before: string | null, text: string | null, clash: string }} Entry
 * @typedef {{ blocks: Block[], entries: Entry[], known: string[] }} State
 * @typedef {{ kind: 'same' | 'ins' | 'del', text: string }} Part
 */

/** The initial document, if no other page has one. Its versions are fixed, so that two pages that start at once agree. @type {[string, string][]} */
const FIRST = [
  ['title', 'Observing night'],
  ['when', 'Saturday at nine, on the hill behind the old waterworks. If it rains, the Saturday after.'],
  ['what', 'Comet Encke passes the Pleiades. It will be at magnitude 6: binoculars will do, and patience.'],
  ['bring', 'Please bring: a red torch, something warm to drink, a chair.'],
];
/** Entries and names of changes that are kept, and characters of a paragraph. */
const KEPT = { entries: 60, known: 200 };
export const TEXT_MAX = 2_000;
export const WHY_MAX = 140;
const BLOCKS_MAX = 100;

export class Notes {
  /** @param {State} state */
  constructor({ blocks, entries, known }) {
    this.blocks = blocks;
    this.entries = entries;
    this.known = known;
  }

  static first() {
    const blocks = FIRST.map(([id, text]) => ({ id, text, version: 'first', by: '', why: '', at: 0 }));
    return new Notes({ blocks, entries: [], known: [] });
  }

  /** @param {any} state from another page @returns {Notes | undefined} undefined if it is not a state */
  static from(state) {
    if (!Array.isArray(state?.blocks) || !Array.isArray(state.entries) || !Array.isArray(state.known)) return undefined;
    const word = (/** @type {any} */ value, /** @type {number} */ most) => (typeof value === 'string' ? value.slice(0, most) : '');
    const at = (/** @type {any} */ value) => (Number.isFinite(value) ? value : 0);
    const maybe = (/** @type {any} */ value) => (value === null ? null : word(value, TEXT_MAX));
    return new Notes({
      blocks: state.blocks.slice(0, BLOCKS_MAX).map((/** @type {any} */ one) => ({
        id: word(one?.id, 40), text: word(one?.text, TEXT_MAX), version: word(one?.version, 40), by: word(one?.by, 128), why: word(one?.why, WHY_MAX), at: at(one?.at) })),
      entries: state.entries.slice(-KEPT.entries).map((/** @type {any} */ one) => ({
        change: word(one?.change, 40), by: word(one?.by, 128), why: word(one?.why, WHY_MAX), at: at(one?.at),
        before: maybe(one?.before ?? null), text: maybe(one?.text ?? null), clash: word(one?.clash, 128) })),
      known: state.known.slice(-KEPT.known).map((/** @type {any} */ one) => word(one, 40)),
    });
  }

  /** @returns {State} */
  plain() {
    const { blocks, entries, known } = this;
    return { blocks, entries, known };
  }

  /** @param {string} id */
  block(id) { return this.blocks.find((block) => block.id === id); }

  /**
   * Applies a received change.
   * @param {any} change @param {string} by its author, set by the server
   * @returns {Entry | undefined} undefined if it is already applied, or malformed
   */
  apply(change, by) {
    const { change: name, block: id, text, base, after } = change ?? {};
    if (typeof name !== 'string' || typeof id !== 'string' || this.known.includes(name)) return undefined;
    if (text !== null && typeof text !== 'string') return undefined;
    const old = this.block(id);
    // Already deleted by another author.
    if (!old && text === null) return undefined;
    if (!old && this.blocks.length >= BLOCKS_MAX) return undefined;
    const why = String(change.why ?? '').slice(0, WHY_MAX);
    const at = Number.isFinite(change.at) ? change.at : 0;
    const clash = old && base !== old.version ? old.by : '';
    const entry = { change: name, by, why, at, before: old?.text ?? null, text: text === null ? null : text.slice(0, TEXT_MAX), clash };
    this.#put({ id, text: entry.text, version: name, by, why, at }, after);
    this.entries = [...this.entries, entry].slice(-KEPT.entries);
    this.known = [...this.known, name].slice(-KEPT.known);
    return entry;
  }

  /** @param {Omit<Block, 'text'> & { text: string | null }} block @param {unknown} after */
  #put(block, after) {
    const place = this.blocks.findIndex(({ id }) => id === block.id);
    if (block.text === null) this.blocks.splice(place, 1);
    else if (place >= 0) this.blocks[place] = /** @type {Block} */ (block);
    else {
      const before = this.blocks.findIndex(({ id }) => id === after);
      this.blocks.splice(before < 0 ? this.blocks.length : before + 1, 0, /** @type {Block} */ (block));
    }
  }
}

/** Words compared at most: the table is their product. */
const WORDS_MAX = 400;

/**
 * What changed, word by word.
 * @param {string} before @param {string} after @returns {Part[]}
 */
export function difference(before, after) {
  const [a, b] = [before, after].map((text) => text.match(/\s+|[^\s]+/g) ?? []);
  if (a.length > WORDS_MAX || b.length > WORDS_MAX) return [{ kind: 'del', text: before }, { kind: 'ins', text: after }];
  // length[i][j]: length of the longest common subsequence of a from i and b from j.
  const length = Array.from({ length: a.length + 1 }, () => new Uint16Array(b.length + 1));
  for (let i = a.length - 1; i >= 0; i -= 1) {
    for (let j = b.length - 1; j >= 0; j -= 1) {
      length[i][j] = a[i] === b[j] ? length[i + 1][j + 1] + 1 : Math.max(length[i + 1][j], length[i][j + 1]);
    }
  }
  const parts = new Parts();
  let [i, j] = [0, 0];
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) {
      parts.same(a[i], j + 1 < b.length && i + 1 < a.length);
      i += 1;
      j += 1;
    } else if (i < a.length && (j >= b.length || length[i + 1][j] >= length[i][j + 1])) {
      parts.del += a[i];
      i += 1;
    } else {
      parts.ins += b[j];
      j += 1;
    }
  }
  return parts.end();
}

/** Joins words to parts: changed neighbours become one part, even if the space between them is unchanged. */
class Parts {
  /** @type {Part[]} */
  all = [];
  del = '';
  ins = '';

  /** @param {string} word @param {boolean} inside whether something follows */
  same(word, inside) {
    if (inside && this.del && this.ins && !word.trim()) {
      this.del += word;
      this.ins += word;
      return;
    }
    this.end();
    if (this.all.at(-1)?.kind === 'same') /** @type {Part} */ (this.all.at(-1)).text += word;
    else this.all.push({ kind: 'same', text: word });
  }

  end() {
    if (this.del) this.all.push({ kind: 'del', text: this.del });
    if (this.ins) this.all.push({ kind: 'ins', text: this.ins });
    this.del = this.ins = '';
    return this.all;
  }
}
