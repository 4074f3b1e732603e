// The package as npm would have it: packed from a clean clone, where nothing is installed, and installed somewhere else.
import test from 'node:test';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import vm from 'node:vm';
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { assert } from './rig.mjs';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
/** Nothing comes from a registry. */
const OFFLINE = ['--offline', '--no-audit', '--no-fund', '--silent'];

const run = (cwd, program, ...args) => execFileSync(program, args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });

/** A program in a module, in the folder where the package is installed; resolves to what it printed. */
function program(folder, text) {
  fs.writeFileSync(path.join(folder, 'program.mjs'), text);
  return run(folder, process.execPath, 'program.mjs').trim();
}

test('the package is packed from a clean clone, and each of its entries works where it is installed', (context) => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'encke-pack-'));
  context.after(() => fs.rmSync(folder, { recursive: true, force: true }));
  const clone = path.join(folder, 'clone');
  fs.mkdirSync(path.join(clone, 'scripts'), { recursive: true });
  fs.cpSync(path.join(ROOT, 'client'), path.join(clone, 'client'), { recursive: true, filter: (name) => path.basename(name) !== 'node_modules' });
  fs.copyFileSync(path.join(ROOT, 'scripts', 'client'), path.join(clone, 'scripts', 'client'));
  const tarball = run(path.join(clone, 'client'), 'npm', 'pack', '--silent', '--pack-destination', folder).trim().split('\n').at(-1);

  const user = path.join(folder, 'user');
  fs.mkdirSync(user);
  fs.writeFileSync(path.join(user, 'package.json'), '{"private":true,"type":"module"}');
  run(user, 'npm', 'install', ...OFFLINE, path.join(folder, tarball));
  const installed = path.join(user, 'node_modules', 'encke');
  const { exports, files, main, types } = JSON.parse(fs.readFileSync(path.join(installed, 'package.json'), 'utf8'));
  const named = [main, types, ...files, ...Object.values(exports).flatMap((entry) => (typeof entry === 'string' ? [entry] : Object.values(entry)))];
  for (const name of named) assert.ok(fs.existsSync(path.join(installed, name)), `${name} is in the package`);
  assert.ok(!fs.existsSync(path.join(installed, 'start')), 'the start page is the server\'s');

  const names = 'Encke,EnckeError,Subscription,connect';
  assert.equal(program(user, `import * as all from 'encke'; console.log(Object.keys(all).sort().join());`), names);
  assert.equal(program(user, `import 'encke/classic'; console.log(Object.keys(Encke).sort().join());`), names);
  const tcpNames = 'TCPSocket,TcpWebSocket,tcp,webSocket';
  assert.equal(program(user, `import * as all from 'encke/tcp'; console.log(Object.keys(all).sort().join());`), tcpNames);
  const bothNames = [...names.split(','), ...tcpNames.split(',')].sort().join();
  assert.equal(program(user, `import 'encke/classic'; import 'encke/tcp/classic'; console.log(Object.keys(Encke).sort().join());`), bothNames);
  assert.equal(program(user, `import all from 'encke/package.json' with { type: 'json' }; console.log(all.name);`), 'encke');
  // And as pages load it: a script, not a module.
  const scope = vm.createContext({ TextDecoder, URL, AbortController });
  vm.runInContext(fs.readFileSync(path.join(installed, 'encke.classic.js'), 'utf8'), scope);
  assert.equal(vm.runInContext('Object.keys(Encke).sort().join()', scope), names);

  fs.writeFileSync(path.join(user, 'types.ts'), `import { connect, type Message } from 'encke';
import 'encke/classic';
import { webSocket } from 'encke/tcp';
import 'encke/tcp/classic';
const one = Encke.connect('/u/alice');
const other: typeof one = connect('/u/alice');
one.tcp('irc', { window: 16_384 }).opened.then(() => webSocket(other, 'irc').send('x'));
Encke.tcp(one, { host: 'h', port: 1 }).closed.then(({ code }) => code === 'ok');
one.subscribe('/a', (message: Message<number>) => message.data.toFixed());
// @ts-expect-error there is no such thing
Encke.disconnect(other);
`);
  const tsc = path.join(ROOT, 'client', 'node_modules', '.bin', 'tsc');
  for (const resolution of ['bundler', 'nodenext']) {
    const module = resolution === 'bundler' ? 'ES2022' : 'nodenext';
    run(user, tsc, '--noEmit', '--strict', '--target', 'ES2022', '--lib', 'ES2023,DOM', '--module', module, '--moduleResolution', resolution, 'types.ts');
  }
});
