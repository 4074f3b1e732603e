/** The classic script makes one global, which has all that the module exports. */

declare global {
  var Encke: typeof import('./encke.js');
}

export {};
