// The Debian package in a root directory of its own: installed, started as its unit says, upgraded, removed, purged.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { test } from 'node:test';
import { assignments, folder, lacks, run, values } from './tools.mjs';

const skip = lacks('cargo-deb', 'dpkg', 'systemd-sysusers') || (process.getuid() !== 0 && 'dpkg needs root');

/** Builds a package of the binary under test, as if it were the release. Resolves to its path. */
async function build(out, version) {
  const binary = path.join(out, 'release', 'encke');
  fs.mkdirSync(path.dirname(binary), { recursive: true });
  fs.copyFileSync(process.env.ENCKE_BIN, binary);
  const args = ['deb', '--no-build', '--no-strip', '--fast', '--locked', '--deb-version', version, '--output', out + '/'];
  const { stdout } = await run('cargo', args, { env: { ...process.env, CARGO_TARGET_DIR: out } });
  return stdout.trim().split('\n').at(-1);
}

/** Stand-ins for what would act on the services of this machine. Resolves to a folder for PATH. */
function noServices(place) {
  for (const name of ['systemctl', 'deb-systemd-invoke']) fs.writeFileSync(path.join(place, name), '#!/bin/sh\n', { mode: 0o755 });
  return place;
}

/** A system with nothing but dpkg's own folders. */
class System {
  constructor(root, noServices) {
    this.root = root;
    this.env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', PATH: `${noServices}:${process.env.PATH}` };
    for (const place of ['info', 'updates', 'triggers']) fs.mkdirSync(this.path(`/var/lib/dpkg/${place}`), { recursive: true });
    fs.writeFileSync(this.path('/var/lib/dpkg/status'), '');
  }

  path(inside) { return path.join(this.root, inside); }

  has(inside) { return fs.existsSync(this.path(inside)); }

  read(inside) { return fs.readFileSync(this.path(inside), 'utf8'); }

  /** The scripts of packages run outside of the root, and get its path. */
  dpkg(...args) {
    const options = ['--force-script-chrootless', '--force-depends', '--force-confold'];
    return run('dpkg', [`--root=${this.root}`, ...options, ...args], { env: this.env });
  }

  /** The unit's variables, with its paths inside of the root. */
  environment() {
    const unit = this.read(this.unit());
    const [own] = values(unit, 'Environment');
    const all = { ...assignments(own), ...assignments(this.read('/etc/encke/encke.env')) };
    return Object.fromEntries(Object.entries(all).map(([name, value]) => [name, value.replace('unix:/', `unix:${this.root}/`)]));
  }

  unit() { return ['/usr/lib', '/lib'].map((place) => `${place}/systemd/system/encke.service`).find((place) => this.has(place)); }

  /** Starts the node as the unit does. Resolves once its private listener answers. */
  async start() {
    fs.mkdirSync(this.path('/run/encke'), { recursive: true });
    const unit = this.read(this.unit());
    const env = this.environment();
    for (const command of values(unit, 'ExecStartPre')) {
      const [program, ...args] = command.split(' ');
      await run(this.path(program), args, { env });
    }
    const [program] = values(unit, 'ExecStart');
    const child = spawn(this.path(program), [], { env, stdio: ['ignore', 'ignore', 'pipe'] });
    let output = '';
    await new Promise((ok, no) => {
      child.stderr.on('data', (text) => { output += text; if (output.includes('listening public=')) ok(); });
      child.on('exit', (code) => no(new Error(`the node ended with ${code}: ${output}`)));
    });
    return child;
  }
}

function get(socketPath, url) {
  return new Promise((ok, no) => {
    http.get({ socketPath, path: url }, (response) => { response.resume(); ok(response.statusCode); }).on('error', no);
  });
}

test('the Debian package is installed, started, upgraded and removed', { skip }, async (t) => {
  const system = new System(path.join(folder(t), 'root'), noServices(folder(t)));
  const out = folder(t);
  const [first, second] = [await build(out, '0.1.0-1'), await build(out, '0.1.0-2')];

  await system.dpkg('--install', first);
  assert.match(system.read('/etc/passwd'), /^encke:/m);
  assert.equal(fs.statSync(system.path('/etc/encke/encke.env')).mode & 0o777, 0o640);
  for (const place of ['/usr/bin/encke', '/usr/share/man/man8/encke.8.gz', '/usr/share/bash-completion/completions/encke', '/usr/share/doc/encke/copyright', '/usr/share/doc/encke/changelog.Debian.gz']) {
    assert.ok(system.has(place), place);
  }

  // What an administrator would do.
  fs.appendFileSync(system.path('/etc/encke/encke.env'), 'ENCKE_LISTEN=127.0.0.1:0\n');
  const child = await system.start();
  t.after(() => child.kill('SIGKILL'));
  assert.equal(await get(system.path('/run/encke/api.sock'), '/health'), 200);

  await system.dpkg('--install', second);
  assert.match(system.read('/var/lib/dpkg/status'), /^Version: 0\.1\.0-2$/m);
  assert.match(system.read('/etc/encke/encke.env'), /^ENCKE_LISTEN=127\.0\.0\.1:0$/m);
  assert.equal(await get(system.path('/run/encke/api.sock'), '/health'), 200, 'the running node is not touched by the files');
  child.kill('SIGTERM');
  assert.deepEqual(await once(child, 'exit'), [0, null]);
  const again = await system.start();
  t.after(() => again.kill('SIGKILL'));
  assert.equal(await get(system.path('/run/encke/api.sock'), '/ready'), 200);
  again.kill('SIGTERM');
  await once(again, 'exit');

  await system.dpkg('--remove', 'encke');
  assert.deepEqual([system.has('/usr/bin/encke'), system.has('/etc/encke/encke.env')], [false, true]);
  await system.dpkg('--purge', 'encke');
  assert.ok(!system.has('/etc/encke'));
});
