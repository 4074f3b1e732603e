// The client that the demo brings along is that of the package, to the byte.
import { readFileSync } from 'node:fs';
import { assert, test } from './rig.mjs';

const read = (file) => readFileSync(new URL(file, import.meta.url), 'utf8');

test('the demo has the published client and its licence', () => {
  const ours = new URL('../../examples/sockjs/', import.meta.url);
  for (const [file, of] of [['sockjs.min.js', 'dist/sockjs.min.js'], ['LICENSE', 'LICENSE']]) {
    assert.equal(readFileSync(new URL(file, ours), 'utf8'), read(`./node_modules/sockjs-client/${of}`), file);
  }
  const { version } = JSON.parse(read('./node_modules/sockjs-client/package.json'));
  for (const page of ['sockjs.html', 'README.md']) assert.ok(read(`../../examples/${page}`).includes(version), `${page} names ${version}`);
});
