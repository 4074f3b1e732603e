/**
 * What happens to the page and the machine: the network goes and returns, the machine sleeps, the
 * page is hidden, shown, left and restored.
 *
 * Reports events and decides nothing. Without a page (in workers and Node) it notices only sleep.
 */
import { unrefTimeout } from './base.js';

/**
 * @typedef {object} PageEvents
 * @property {() => void} _onWake the connection may have died unnoticed
 * @property {() => void} _onNetworkChange the machine may be on another network
 * @property {() => void} _onOffline
 * @property {(mayReturn: boolean) => void} _onHide the page is left; it may be restored as it is
 * @property {() => void} _onShow the page was restored
 */

/** @param {PageEvents} events @returns {() => void} stops watching */
export function watchPage(events) {
  const scope = /** @type {any} */ (globalThis);
  const { document, navigator } = scope;
  const stop = new AbortController();
  /** @param {any} target @param {string} name @param {(event: any) => void} work */
  const on = (target, name, work) => target?.addEventListener?.(name, work, { signal: stop.signal });
  on(scope, 'online', events._onNetworkChange);
  on(scope, 'offline', events._onOffline);
  on(navigator?.connection, 'change', events._onNetworkChange);
  on(document, 'visibilitychange', () => document.visibilityState === 'visible' && events._onWake());
  on(scope, 'pagehide', ({ persisted }) => events._onHide(persisted));
  on(scope, 'pageshow', ({ persisted }) => persisted && events._onShow());
  // After a pause: events that waited say whether another tab leads meanwhile.
  on(document, 'resume', () => unrefTimeout(events._onWake, THAW_MS));
  let last = Date.now();
  const tick = setInterval(() => {
    const now = Date.now();
    if (now - last > SLEPT_MS) events._onWake();
    last = now;
  }, TICK_MS);
  /** @type {any} */ (tick).unref?.();
  return () => {
    clearInterval(tick);
    stop.abort();
  };
}

/** How often the clock is read. */
const TICK_MS = 10_000;
/** The jump that means sleep: timers of a hidden page are up to a minute late. */
const SLEPT_MS = 90_000;
/** Time in which a page that was frozen handles its waiting events. */
const THAW_MS = 200;
