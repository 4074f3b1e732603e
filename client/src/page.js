/**
 * What happens to the page and the machine: network gone and back, sleep, hidden and shown, left and come back to.
 *
 * Only tells; decides nothing. Without a page (workers, Node) only sleep is noticed.
 */
import { later } from './base.js';

/**
 * @typedef {object} Fates
 * @property {() => void} nudge it is worth while to look whether the connection is alive
 * @property {() => void} changed there may be another network
 * @property {() => void} offline
 * @property {(kept: boolean) => void} hide the page goes away; kept: it may come back as it is
 * @property {() => void} show it came back
 */

/** @param {Fates} fates @returns {() => void} stops watching */
export function watchPage(fates) {
  const scope = /** @type {any} */ (globalThis);
  const { document, navigator } = scope;
  const stop = new AbortController();
  /** @param {any} target @param {string} name @param {(event: any) => void} work */
  const on = (target, name, work) => target?.addEventListener?.(name, work, { signal: stop.signal });
  // Node's global object takes no listeners, and its processes have no pages.
  const page = typeof scope.addEventListener === 'function' ? scope : undefined;
  on(page, 'online', fates.changed);
  on(page, 'offline', fates.offline);
  on(navigator?.connection, 'change', fates.changed);
  on(document, 'visibilitychange', () => document.visibilityState === 'visible' && fates.nudge());
  on(page, 'pagehide', ({ persisted }) => fates.hide(persisted));
  on(page, 'pageshow', ({ persisted }) => persisted && fates.show());
  // By then it is known whether another tab leads instead of one that stood still.
  on(document, 'resume', () => later(fates.nudge, THAW));
  let last = Date.now();
  const tick = setInterval(() => {
    const now = Date.now();
    // A hidden page's timer may be a minute late; a machine that slept is later.
    if (now - last > SLEPT) fates.nudge();
    last = now;
  }, TICK);
  /** @type {any} */ (tick).unref?.();
  return () => {
    clearInterval(tick);
    stop.abort();
  };
}

/** How often the clock is looked at, and the jump that means sleep. Milliseconds. */
const TICK = 10_000;
const SLEPT = 90_000;
/** Time for what waited to be heard first. Milliseconds. */
const THAW = 200;
