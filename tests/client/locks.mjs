// `navigator.locks` for one process: exclusive, first come first served, given up with the promise of the holder.
export class Locks {
  queues = new Map();

  request(name, { signal } = {}, work) {
    return new Promise((yes, no) => {
      const queue = this.queues.get(name) ?? [];
      const one = { run: () => Promise.resolve().then(work).then(yes, no).finally(() => this.leave(name, one)) };
      this.queues.set(name, queue);
      queue.push(one);
      signal?.addEventListener('abort', () => {
        // Who holds it gives it up by itself.
        if (queue[0] === one) return;
        this.leave(name, one);
        no(signal.reason);
      });
      if (queue[0] === one) one.run();
    });
  }

  leave(name, one) {
    const queue = this.queues.get(name);
    const wasFirst = queue[0] === one;
    queue.splice(queue.indexOf(one), 1);
    if (wasFirst) queue[0]?.run();
  }
}
