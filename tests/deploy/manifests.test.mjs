// What the manifests promise: time enough to drain, probes that fit, variables that exist.
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const ROOT = path.join(path.dirname(fileURLToPath(import.meta.url)), '..', '..');
const file = (name) => path.join(ROOT, 'examples', 'deploy', name);
const version = /^version = "(.+)"$/m.exec(fs.readFileSync(path.join(ROOT, 'Cargo.toml'), 'utf8'))[1];

const skip = spawnSync('python3', ['-c', 'import yaml']).status === 0 ? false : 'Python has no yaml on this machine';

/** All documents of a file. */
const documents = (name) => JSON.parse(execFileSync('python3', ['-c', 'import json, sys, yaml; print(json.dumps(list(yaml.safe_load_all(open(sys.argv[1])))))', file(name)], { encoding: 'utf8' }));

const seconds = (text) => Number(/^(\d+)s$/.exec(text)[1]);

test('Kubernetes waits longer than a drain takes, and probes what the node answers', { skip }, () => {
  const all = documents('kubernetes.yaml');
  const { spec } = all.find(({ kind }) => kind === 'StatefulSet').spec.template;
  const [container] = spec.containers;
  const variables = Object.fromEntries(container.env.map(({ name, value }) => [name, value]));
  const leaves = seconds(variables.ENCKE_LAME_DUCK) + seconds(variables.ENCKE_DRAIN);
  assert.ok(spec.terminationGracePeriodSeconds >= leaves + 10);
  assert.equal(container.image, `encke:${version}`);
  assert.deepEqual(container.readinessProbe.httpGet, { path: '/ready', port: 'api' });
  assert.equal(container.livenessProbe.httpGet, undefined, '/health fails while the node drains');
  const ports = container.ports.map(({ name }) => name);
  for (const { spec: { ports: used } } of all.filter(({ kind }) => kind === 'Service')) {
    for (const { name, targetPort = name } of used) assert.ok(ports.includes(targetPort), targetPort);
  }
});

test('Compose waits longer than a drain takes', { skip }, () => {
  const { encke } = documents('compose.yaml')[0].services;
  assert.equal(encke.image, `encke:${version}`);
  // ENCKE_LAME_DUCK is 5 s unless it is set.
  assert.ok(seconds(encke.stop_grace_period) >= 5 + seconds(encke.environment.ENCKE_DRAIN) + 5);
});

const systemd = spawnSync('systemd-analyze', ['--version']).status === 0 ? false : 'systemd-analyze is not on this machine';

test('systemd accepts the sidecar, which leaves loopback neither by its settings nor past them', { skip: systemd }, (t) => {
  const unit = fs.readFileSync(file('encke-tcp.service'), 'utf8');
  const place = fs.mkdtempSync(path.join(os.tmpdir(), 'encke-unit-'));
  t.after(() => fs.rmSync(place, { recursive: true }));
  const copy = path.join(place, 'encke-tcp.service');
  fs.writeFileSync(copy, unit.replaceAll('/usr/bin/encke', process.env.ENCKE_BIN));
  const { stderr } = spawnSync('systemd-analyze', ['verify', '--man=no', copy], { encoding: 'utf8' });
  // The server that it is for may be on this machine or not.
  assert.ok(!stderr.includes('encke-tcp.service:'), stderr);
  // Up to 2.0 is "OK"; in tenths.
  execFileSync('systemd-analyze', ['security', '--offline=true', '--threshold=20', copy]);
  assert.match(unit, /^IPAddressAllow=localhost\nIPAddressDeny=any$/m);
  for (const [, address] of unit.matchAll(/^Environment=.*?\b(\d+\.\d+\.\d+\.\d+):/gm)) assert.equal(address, '127.0.0.1');
});

test('every YAML file can be read', { skip }, () => {
  for (const name of fs.readdirSync(file('')).filter((one) => one.endsWith('.yaml'))) assert.ok(documents(name).length, name);
});

test('every variable that is named exists', () => {
  const known = fs.readFileSync(path.join(ROOT, 'docs', 'CONFIG.md'), 'utf8');
  for (const name of fs.readdirSync(file(''))) {
    for (const [variable] of fs.readFileSync(file(name), 'utf8').matchAll(/ENCKE_[A-Z_]+/g)) {
      assert.ok(known.includes(`| \`${variable}\` |`), `${name} names ${variable}`);
    }
  }
});
