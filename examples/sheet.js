/**
 * Displays the document: paragraphs with author and reason, and the editor of one paragraph.
 *
 * The paragraph in the editor is not redrawn; a note beside it shows others' changes. Publishes nothing itself.
 */
import { avatar, clock, find, hue, make } from '/demo/common.js';
import { TEXT_MAX, WHY_MAX, difference } from '/demo/document.js';

/** @typedef {import('./document.js').Notes} Notes */
/** @typedef {import('./document.js').Block} Block */
/** @typedef {import('./document.js').Entry} Entry */
/** @typedef {{ block: string, text: string | null, base: string, after: string, why: string }} Made */

/** How long a change stays marked. Milliseconds. */
const FRESH = 2_500;

export class Sheet {
  /** @type {{ block: Block, after: string, element: HTMLElement } | undefined} the paragraph in the editor */
  editing;
  /** @type {Map<string, { user: string, timer: any }>} who edits each paragraph */
  writers = new Map();

  /** @param {{ change: (made: Made) => void, writing: (block: string) => void }} tell */
  constructor(tell) {
    this.tell = tell;
    /** @type {Notes | undefined} */
    this.notes = undefined;
    this.root = find('#blocks');
    find('#add').addEventListener('click', () => this.add(this.notes?.blocks.at(-1)?.id ?? ''));
  }

  /** @param {Notes} notes @param {string} [changed] the paragraph that changed */
  show(notes, changed) {
    this.notes = notes;
    if (changed) this.#silent(changed);
    const focused = /** @type {HTMLElement | null} */ (document.activeElement)?.closest?.('.block')?.id;
    const elements = notes.blocks.map((block, n) => (this.editing?.block.id === block.id ? this.editing.element : this.#block(block, n === 0)));
    // A paragraph that is being added is not in the document yet, and one that another author deleted no longer is.
    if (this.editing && !notes.block(this.editing.block.id)) {
      const after = notes.blocks.findIndex(({ id }) => id === this.editing?.after);
      elements.splice(after < 0 ? elements.length : after + 1, 0, this.editing.element);
    }
    this.#replace(elements);
    if (focused && !this.editing) find('button', document.getElementById(focused) ?? this.root)?.focus({ preventScroll: true });
    if (changed) this.#changed(changed);
  }

  /** Replaces all elements but the editor: a field that is moved loses its focus. @param {HTMLElement[]} elements */
  #replace(elements) {
    const kept = this.editing?.element;
    for (const old of [...this.root.children]) if (old !== kept) old.remove();
    const at = kept && this.root.contains(kept) ? elements.indexOf(kept) : -1;
    if (at < 0) return this.root.replaceChildren(...elements);
    kept?.before(...elements.slice(0, at));
    kept?.after(...elements.slice(at + 1));
  }

  /** @param {Block} block @param {boolean} isTitle */
  #block(block, isTitle) {
    const edit = make('button', { type: 'button', class: 'plain' }, 'Edit');
    edit.addEventListener('click', () => this.edit(block.id));
    const add = make('button', { type: 'button', class: 'plain', 'aria-label': 'Add a paragraph below' }, 'Add below');
    add.addEventListener('click', () => this.add(block.id));
    const writer = this.writers.get(block.id);
    const element = make('div', { class: isTitle ? 'block title-block' : 'block', id: `block-${block.id}` },
      make('p', { class: 'text', dir: 'auto' }, block.text),
      make('div', { class: 'by' }, ...this.#author(block), make('span', { class: 'busy' }, writer ? `${writer.user} is writing…` : ''),
        make('span', { class: 'tools' }, edit, add)));
    element.style.setProperty('--hue', String(hue(block.by)));
    element.addEventListener('dblclick', () => this.edit(block.id));
    return element;
  }

  /** @param {Block} block */
  #author({ by, why, at }) {
    if (!by) return [make('span', {}, 'Unchanged')];
    return [avatar(by, 'small'), make('span', { class: 'name', dir: 'auto', title: by }, by), make('time', {}, clock(at)), make('span', { class: 'why', dir: 'auto' }, why)];
  }

  /** @param {string} id */
  #changed(id) {
    if (this.editing?.block.id === id) return this.#clash();
    const element = document.getElementById(`block-${id}`);
    if (!element) return;
    element.classList.add('fresh');
    setTimeout(() => element.classList.remove('fresh'), FRESH);
  }

  // ---- the editor ----

  /** @param {string} id */
  edit(id) {
    const block = this.notes?.block(id);
    if (block) this.#open(block, '');
  }

  /** @param {string} after */
  add(after) {
    const id = [...crypto.getRandomValues(new Uint8Array(6))].map((byte) => byte.toString(16).padStart(2, '0')).join('');
    this.#open({ id, text: '', version: '', by: '', why: '', at: 0 }, after);
  }

  /** @param {Block} block @param {string} after */
  #open(block, after) {
    if (this.editing) {
      find('textarea', this.editing.element).focus();
      return;
    }
    const isNew = !block.version;
    const area = make('textarea', { value: block.text, maxLength: TEXT_MAX, 'aria-label': isNew ? 'New paragraph' : 'Paragraph', dir: 'auto' });
    const why = make('input', { type: 'text', maxLength: WHY_MAX, placeholder: isNew ? 'Why is it needed?' : 'Why this change?', 'aria-label': 'Why', dir: 'auto' });
    const button = (/** @type {string} */ words, /** @type {() => void} */ work, kind = '') => {
      const made = make('button', { type: 'button', class: kind }, words);
      made.addEventListener('click', work);
      return made;
    };
    const save = make('button', { class: 'main' }, 'Save');
    const remove = isNew ? [] : [button('Delete', () => this.#save(null))];
    const form = make('form', { class: 'editor' }, area, make('p', { class: 'clash', role: 'status', hidden: true }),
      make('div', { class: 'row' }, why, save, button('Cancel', () => this.#close()), ...remove));
    form.addEventListener('submit', (/** @type {Event} */ submitted) => {
      submitted.preventDefault();
      this.#save(area.value.trim());
    });
    form.addEventListener('keydown', (/** @type {KeyboardEvent} */ key) => {
      if (key.key === 'Escape') this.#close();
      else if (key.key === 'Enter' && (key.ctrlKey || key.metaKey)) form.requestSubmit();
    });
    area.addEventListener('input', () => this.tell.writing(block.id));
    const element = make('div', { class: 'block', id: `block-${block.id}` }, form);
    this.editing = { block, after, element };
    this.show(/** @type {Notes} */ (this.notes));
    area.focus();
    area.setSelectionRange(area.value.length, area.value.length);
  }

  /** Another author changed the paragraph in the editor: shows it, and the writer decides. */
  #clash() {
    const { block, element } = /** @type {NonNullable<Sheet['editing']>} */ (this.editing);
    const now = this.notes?.block(block.id);
    const note = find('.clash', element);
    note.hidden = false;
    note.textContent = now
      ? `${now.by} changed this meanwhile${now.why ? ` (${now.why})` : ''}. The text is now: “${now.text}” If you save, your text replaces it.`
      : 'This was deleted meanwhile. If you save, the paragraph is added again.';
    if (now) /** @type {any} */ (this.editing).block = { ...block, version: now.version };
  }

  /** @param {string | null} text */
  #save(text) {
    const { block, after, element } = /** @type {NonNullable<Sheet['editing']>} */ (this.editing);
    const why = find('input', element).value.trim();
    this.#close();
    if (text === '' || text === block.text) return;
    this.tell.change({ block: block.id, text, base: block.version, after, why });
  }

  #close() {
    const id = this.editing?.block.id;
    this.editing = undefined;
    this.show(/** @type {Notes} */ (this.notes));
    find('button', document.getElementById(`block-${id}`) ?? document)?.focus?.({ preventScroll: true });
  }

  // ---- the others ----

  /** @param {string} user @param {string} block @param {number} ms how long it is shown */
  isWriting(user, block, ms) {
    this.#silent(block);
    this.writers.set(block, { user, timer: setTimeout(() => this.#silent(block), ms) });
    this.#busy(block, `${user} is writing…`);
  }

  /** @param {string} block */
  #silent(block) {
    clearTimeout(this.writers.get(block)?.timer);
    if (this.writers.delete(block)) this.#busy(block, '');
  }

  /** @param {string} block @param {string} words */
  #busy(block, words) {
    const busy = document.getElementById(`block-${block}`)?.querySelector('.busy');
    if (busy) busy.textContent = words;
  }

  /** @param {string} words */
  complain(words) {
    const waiting = find('#waiting');
    waiting.hidden = false;
    waiting.textContent = words;
  }
}

/** One change: author, reason, and difference. @param {Entry} entry */
export function showEntry({ by, why, at, before, text, clash }) {
  const parts = before === null ? [make('ins', {}, text ?? '')]
    : text === null ? [make('del', {}, before)]
      : difference(before, text).map(({ kind, text: words }) => (kind === 'same' ? words : make(kind, {}, words)));
  return make('li', { class: 'change' }, avatar(by, 'small'),
    make('p', { class: 'who' }, make('b', { dir: 'auto', title: by }, by), make('time', {}, clock(at))),
    ...(why ? [make('p', { class: 'why', dir: 'auto' }, why)] : []),
    make('p', { class: 'diff', dir: 'auto' }, ...parts),
    ...(clash ? [make('p', { class: 'clash' }, `At the same time as ${clash}`)] : []));
}
