// The table of clients in docs/BAYEUX.md names what is installed, in the version that is installed, and nothing else.
import test from 'node:test';
import fs from 'node:fs';
import { assert } from './rig.mjs';

const read = (path) => fs.readFileSync(new URL(path, import.meta.url), 'utf8');

/** `name version` of everything that a table names between backticks with a version behind. */
const named = (text) => new Set([...text.matchAll(/`([a-z-]+)` (\d+\.\d+\.\d+)/g)].map(([, name, version]) => `${name} ${version}`));

/** The clients of PyPI; the rest of the requirements is theirs. */
const PYPI = ['aiocometd-ng', 'aiocometd-noloop', 'baiocas', 'python-bayeux'];

/** `name version` of what is asked for itself. */
function locked(lock, requirements) {
  const { packages } = JSON.parse(lock);
  const names = Object.keys(packages[''].dependencies);
  const npm = names.map((name) => [packages[`node_modules/${name}`].name ?? name, packages[`node_modules/${name}`].version].join(' '));
  const pypi = PYPI.map((name) => `${name} ${new RegExp(`^${name}==([\\d.]+)`, 'm').exec(requirements)[1]}`);
  return new Set([...npm, ...pypi]);
}

test('docs/BAYEUX.md names the clients that are installed, with their versions', () => {
  const [, part] = read('../../docs/BAYEUX.md').split('\n## Clients\n');
  const rows = part.split('\n## ')[0].split('\n').filter((line) => line.startsWith('|')).join('\n');
  assert.deepEqual([...named(rows)].sort(), [...locked(read('package-lock.json'), read('requirements.txt'))].sort());
});

test('the demo carries files of CometD as they were published, and its licence', () => {
  const demo = new URL('../../examples/cometd/', import.meta.url);
  const files = fs.readdirSync(demo);
  assert.ok(files.includes('LICENSE') && files.includes('Client.js'), files.join());
  for (const file of files) assert.equal(fs.readFileSync(new URL(file, demo), 'utf8'), read(`node_modules/cometd-9/${file}`), file);
  const { version } = JSON.parse(read('node_modules/cometd-9/package.json'));
  for (const page of ['bayeux.html', 'README.md']) assert.ok(read(`../../examples/${page}`).includes(version), `${page} names ${version}`);
});

test('a table that names another version is found', () => {
  assert.deepEqual([...named('| npm `cometd` 9.0.1 | Node 20, `cometd-nodejs-client` 2.0.0 |')], ['cometd 9.0.1', 'cometd-nodejs-client 2.0.0']);
});
