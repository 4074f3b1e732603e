'use strict';
// Takes the network from a page and gives it back, by the browser's own switch where its driver has one.

/** The proxy cuts and takes no more, and the page gets the event that a real loss would cause. */
function byHand(page, cutter) {
  const tell = (name, is) => page.evaluate((event, online) => {
    Object.defineProperty(Navigator.prototype, 'onLine', { configurable: true, get: () => online });
    dispatchEvent(new Event(event));
  }, name, is);
  return {
    how: 'the proxy refuses, events are dispatched',
    off: async () => { await cutter.refuse(); await tell('offline', false); },
    on: async () => { await cutter.listen(); await tell('online', true); },
  };
}

/** The browser's own switch leaves alone what is open; a network that is gone does not. */
function bySwitch(turn, cutter) {
  return {
    how: 'the browser\'s own switch, and the proxy falls silent',
    off: async () => { cutter.fallSilent(); await turn(true); },
    on: async () => { cutter.speak(); cutter.endSilent(); await turn(false); },
  };
}

/** @returns {Promise<{ how: string, off(): Promise<void>, on(): Promise<void> }>} */
async function offline(browser, page, cutter) {
  if (browser.engine === 'chromium') return bySwitch((is) => page.raw.context().setOffline(is), cutter);
  if (browser.engine === 'firefox') return bySwitch((is) => page.raw.setOfflineMode(is), cutter);
  return byHand(page, cutter);
}

module.exports = { offline };
