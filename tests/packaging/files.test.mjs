// The files beside the binary: the unit, the manual page, the completions, and what the manifests promise.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import { once } from 'node:events';
import path from 'node:path';
import { test } from 'node:test';
import { folder, lacks, packaged, run, values } from './tools.mjs';

const SERVICE = packaged('systemd/encke.service');

/** `systemd-analyze security` calls up to 2.0 "OK"; in tenths. */
const EXPOSURE_MAX = '20';

test('systemd accepts the unit, and finds it well confined', { skip: lacks('systemd-analyze') }, async (t) => {
  const place = folder(t);
  const unit = fs.readFileSync(SERVICE, 'utf8').replaceAll('/usr/bin/encke', process.env.ENCKE_BIN).replace(/^(User|Group)=encke$/gm, '$1=root');
  fs.writeFileSync(path.join(place, 'encke.service'), unit);
  const { stderr } = await run('systemd-analyze', ['verify', '--man=no', path.join(place, 'encke.service')]);
  assert.ok(!stderr.includes('encke.service'), stderr);
  await run('systemd-analyze', ['security', '--offline=true', `--threshold=${EXPOSURE_MAX}`, SERVICE]);
});

test('the unit lets the node drain before it is killed', () => {
  const unit = fs.readFileSync(SERVICE, 'utf8');
  assert.deepEqual(values(unit, 'Type'), ['notify']);
  assert.deepEqual(values(unit, 'RestartPreventExitStatus'), ['2']);
  // Lame-duck time and drain have defaults of 5 s and 10 s.
  assert.ok(Number(values(unit, 'TimeoutStopSec')[0]) >= 20);
});

test('a node takes the sockets that systemd opened', { skip: lacks('systemd-socket-activate') }, async (t) => {
  const api = path.join(folder(t), 'api.sock');
  const port = await new Promise((ok) => {
    const server = net.createServer().listen(0, '127.0.0.1', () => { const found = server.address().port; server.close(() => ok(found)); });
  });
  const variables = { ENCKE_LISTEN: `127.0.0.1:${port}`, ENCKE_API_LISTEN: `unix:${api}`, ENCKE_SHARDS: '2' };
  const args = ['-l', `127.0.0.1:${port}`, '-l', api, ...Object.keys(variables).flatMap((name) => ['-E', name]), process.env.ENCKE_BIN];
  const child = spawn('systemd-socket-activate', args, { env: { PATH: process.env.PATH, ...variables }, stdio: ['ignore', 'ignore', 'pipe'] });
  t.after(() => child.kill('SIGKILL'));
  let output = '';
  await new Promise((ok) => {
    child.stderr.on('data', (text) => { output += text; if (/Listening on .*api\.sock/.test(output)) ok(); });
  });
  // The first connection starts the node, and waits for it.
  const response = await fetch(`http://127.0.0.1:${port}/health`, { signal: AbortSignal.timeout(20000) });
  assert.equal(response.status, 200, output);
  // The line may come through the pipe after the answer does.
  const line = `public=127.0.0.1:${port} api=unix:${api}`;
  while (!output.includes(line)) await once(child.stderr, 'data', { signal: AbortSignal.timeout(20000) });
  child.kill('SIGTERM');
  await once(child, 'exit');
  assert.ok(fs.existsSync(api), 'the file is systemd\'s');
});

test('the manual page has no faults', { skip: lacks('mandoc') }, async () => {
  const { stdout } = await run('mandoc', ['-T', 'lint', '-W', 'warning', packaged('encke.8')]);
  assert.equal(stdout, '');
});

test('completions complete', { skip: lacks('bash') }, async () => {
  const complete = async (...words) => {
    const script = `source "$0"; COMP_WORDS=(encke "$@"); COMP_CWORD=${words.length}; _encke; echo "\${COMPREPLY[@]}"`;
    return (await run('bash', ['-c', script, packaged('completions/encke.bash'), ...words])).stdout.trim();
  };
  assert.equal(await complete('to'), 'token');
  assert.equal(await complete('--'), '--help --version');
  assert.equal(await complete('token', '--u'), '--user');
  if (!lacks('zsh')) await run('zsh', ['-n', packaged('completions/_encke')]);
  if (!lacks('fish')) await run('fish', ['-n', packaged('completions/encke.fish')]);
});
