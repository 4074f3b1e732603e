// What came, and waiting for it: with a deadline, and without looking again and again.

const DEADLINE = 15000;

export class Inbox {
  constructor(name) {
    this.name = name;
    this.all = [];
    this.waiting = new Set();
  }

  push(item) {
    this.all.push(item);
    for (const look of [...this.waiting]) look();
  }

  /** Nothing more will come: every waiter is rejected with the reason. */
  fail(error) {
    this.error = error;
    for (const look of [...this.waiting]) look();
  }

  /** Resolves to what `claim` says of all that came, as soon as that is true. */
  until(claim, what = claim) {
    return new Promise((yes, no) => {
      const end = (settle, value) => { clearTimeout(limit); this.waiting.delete(look); settle(value); };
      const look = () => {
        const found = claim(this.all);
        if (found) end(yes, found);
        else if (this.error) end(no, this.error);
      };
      const limit = setTimeout(() => end(no, new Error(
        `${this.name}: no ${what} arrived; ${this.all.length} came: ${JSON.stringify(this.all).slice(-600)}`)), DEADLINE);
      this.waiting.add(look);
      look();
    });
  }

  /** Resolves to all that came, once so many are there. */
  count(wanted) { return this.until((all) => all.length >= wanted && all, `${wanted} items`); }
}
