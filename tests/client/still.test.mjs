// A leader that stands still, as a tab that the browser has frozen or a debugger holds, keeps its lock: it is taken away.
import test from 'node:test';
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { assert, connect, listening, numbers, publishNumbers, sessions, until, withNode } from './rig.mjs';
import { Locks, lend } from './locks.mjs';

/** A tab in another thread. */
class Tab {
  got = [];

  constructor(url, locks) {
    this.flag = new Int32Array(new SharedArrayBuffer(4));
    this.worker = new Worker(new URL('./still.mjs', import.meta.url), { workerData: { url, flag: this.flag } });
    lend(locks, this.worker);
    this.worker.on('message', ({ got }) => got !== undefined && this.got.push(got));
  }

  /** Resolves to its next message for which a claim is true. */
  async says(claim) {
    for (;;) {
      const [message] = await once(this.worker, 'message');
      if (claim(message)) return message;
    }
  }

  async standStill() {
    this.worker.postMessage('stand still');
    await this.says(({ still }) => still);
  }

  goOn() {
    Atomics.store(this.flag, 0, 1);
    Atomics.notify(this.flag, 0);
  }

  async has(count) {
    while (this.got.length < count) await once(this.worker, 'message');
  }
}

test('a leader that stands still loses its lock to another tab, and follows it once it goes on', () => withNode({ ENCKE_HEARTBEAT: '1s' }, async (node, signal) => {
  const locks = new Locks();
  const url = `http://${node.public}/u/alice`;
  const leader = new Tab(url, locks);
  await leader.says(({ subscribed }) => subscribed);
  const tabs = [0, 1].map(() => connect(url, { signal, share: true, transports: ['stream', 'longpoll'], runtime: { locks } }));
  const heard = [];
  for (const tab of tabs) heard.push(await listening(tab, '/room/1'));
  await publishNumbers(node, '/room/1', 0, 3);
  await leader.has(3);
  await leader.standStill();
  await publishNumbers(node, '/room/1', 3, 6);
  // What a tab publishes meanwhile is not lost either.
  const published = tabs[1].publish('/room/1', { n: 6 });
  for (const [i, tab] of tabs.entries()) await until(tab, () => heard[i].got.length >= 7);
  assert.match(await published, /-/);
  assert.deepEqual(tabs.filter(({ leads }) => leads).length, 1, 'one of them leads');
  leader.goOn();
  await publishNumbers(node, '/room/1', 7, 10);
  await leader.has(10);
  leader.worker.postMessage('tell');
  const { stands } = await leader.says((message) => message.stands);
  for (const [i, tab] of tabs.entries()) await until(tab, () => heard[i].got.length >= 10);
  await publishNumbers(node, '/room/1', 10, 12);
  await leader.has(12);
  for (const [i, tab] of tabs.entries()) await until(tab, () => heard[i].got.length >= 12);
  for (const got of [leader.got, ...heard.map((one) => one.got)]) {
    assert.deepEqual([...got].sort((a, b) => a - b), numbers(12), 'each message once');
  }
  assert.equal(stands.leads, false);
  assert.equal((await sessions(node, 'alice')).filter(({ attached }) => attached).length, 1, 'one connection for all');
  await leader.worker.terminate();
}));

test('a tab whose leader stood still before it came leads itself', () => withNode({}, async (node, signal) => {
  const locks = new Locks();
  const url = `http://${node.public}/u/alice`;
  const leader = new Tab(url, locks);
  await leader.says(({ subscribed }) => subscribed);
  await leader.standStill();
  const tab = connect(url, { signal, share: true, runtime: { locks } });
  const { got } = await listening(tab, '/room/1');
  await publishNumbers(node, '/room/1', 0, 1);
  await until(tab, () => got.length === 1);
  assert.ok(tab.leads);
  await leader.worker.terminate();
}));

test('tabs that share locks and cannot reach each other end up with a connection each', () => withNode({ ENCKE_HEARTBEAT: '1s' }, async (node, signal) => {
  class Deaf extends BroadcastChannel {
    constructor(name) { super(`${name} ${Math.random()}`); }
  }
  const runtime = { locks: new Locks(), BroadcastChannel: Deaf };
  const tabs = [0, 1].map(() => connect(`http://${node.public}/u/alice`, { signal, share: true, runtime }));
  // The later one steals the lock, the first steals it back, and then both have had enough.
  const heard = tabs.map((tab) => {
    const got = [];
    tab.subscribe('/room/1', ({ data }) => got.push(data.n));
    return got;
  });
  for (const tab of tabs) await until(tab, () => tab.leads && tab.state === 'live');
  await until(tabs[0], () => tabs.every(({ leads }) => leads));
  await Promise.all(tabs.map((tab) => tab.publish('/other', 1)));
  await publishNumbers(node, '/room/1', 0, 1);
  for (const [i, tab] of tabs.entries()) await until(tab, () => heard[i].length >= 1);
}));
