/**
 * A browser opens only six connections to one host over HTTP/1.1, for all its tabs. A page takes a
 * place for each connection that it holds for long: a lock that all tabs of this origin share. There
 * are four places; two connections are left for short requests.
 *
 * Without locks (pages of plain http hosts) tabs cannot coordinate, and `takePlace` gives no place.
 */

/** The places of the start page; then all, which the transports page uses. */
export const FIRST = ['encke place 1', 'encke place 2'];
export const ALL = [...FIRST, 'encke place 3', 'encke place 4'];

/** Whether tabs can coordinate. */
export const areShared = typeof navigator.locks?.request === 'function';

/**
 * Takes a place as soon as one is free; first come, first served among all tabs.
 * @param {string[]} places @param {AbortSignal} signal ends the waiting
 * @returns {Promise<() => void>} gives it back
 */
export async function waitForPlace(places, signal) {
  const stop = new AbortController();
  signal.addEventListener('abort', () => stop.abort(), { once: true });
  signal.throwIfAborted();
  return new Promise((found, failed) => {
    for (const place of places) {
      navigator.locks.request(place, { signal: stop.signal }, () => new Promise((release) => {
        // Another place became free at the same time.
        if (stop.signal.aborted) return void release(undefined);
        stop.abort();
        found(() => release(undefined));
      })).catch(failed);
    }
  });
}

/** Takes a place if one is free now. @param {string[]} places @returns {Promise<(() => void) | undefined>} gives it back */
export async function takePlace(places) {
  if (!areShared) return undefined;
  for (const place of places) {
    const taken = await new Promise((found) => {
      const held = (/** @type {unknown} */ lock) => (lock ? new Promise((release) => { found(() => release(undefined)); }) : found(undefined));
      navigator.locks.request(place, { ifAvailable: true }, held).catch(() => found(undefined));
    });
    if (taken) return taken;
  }
  return undefined;
}
