'use strict';
// What became of the page since it began to load, before anything else in it runs: states of the document in order, how often
// `load` fired, and each time that it was shown whether it came back as it was.
window.loading = { states: [document.readyState], loads: 0, shown: [] };
document.addEventListener('readystatechange', () => window.loading.states.push(document.readyState));
addEventListener('load', () => { window.loading.loads += 1; });
addEventListener('pageshow', ({ persisted }) => window.loading.shown.push(persisted));
