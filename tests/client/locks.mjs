// `navigator.locks` for one process: exclusive, first come first served, given up with the promise of the holder, or stolen.
export class Locks {
  queues = new Map();

  request(name, { signal, steal } = {}, work) {
    return new Promise((yes, no) => {
      const queue = this.queues.get(name) ?? [];
      const one = { run: () => Promise.resolve().then(work).then(yes, no).finally(() => this.leave(name, one)), stolen: () => no(stolen()) };
      this.queues.set(name, queue);
      if (steal) {
        queue.shift()?.stolen();
        queue.unshift(one);
      } else queue.push(one);
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
    // What was stolen is there no more.
    if (!queue.includes(one)) return;
    const wasFirst = queue[0] === one;
    queue.splice(queue.indexOf(one), 1);
    if (wasFirst) queue[0]?.run();
  }
}

const stolen = () => new DOMException('it was stolen', 'AbortError');

/** Lets a worker use the locks of this thread. @param {Locks} locks @param {import('node:worker_threads').Worker} worker */
export function lend(locks, worker) {
  const held = new Map();
  worker.on('message', ({ lock, release }) => {
    if (release) held.get(release)?.abort();
    if (!lock) return;
    const { n, name, steal } = lock;
    const stop = new AbortController();
    held.set(n, stop);
    const options = steal ? { steal } : { signal: stop.signal };
    locks.request(name, options, () => {
      worker.postMessage({ n, granted: true });
      return new Promise((done) => { stop.signal.addEventListener('abort', done); });
    }).catch(() => worker.postMessage({ n, granted: false }));
  });
}

/** The worker's side. @param {import('node:worker_threads').MessagePort} port */
export function borrowed(port) {
  const asked = new Map();
  let count = 0;
  port.on('message', ({ n, granted }) => asked.get(n)?.(granted));
  return {
    request: (name, { signal, steal }, work) => new Promise((yes, no) => {
      const n = count += 1;
      const release = () => port.postMessage({ release: n });
      signal?.addEventListener('abort', release);
      asked.set(n, (granted) => {
        if (granted) Promise.resolve().then(work).then((value) => { release(); yes(value); }, no);
        else no(stolen());
      });
      port.postMessage({ lock: { n, name, steal } });
    }),
  };
}
