// The balancers of examples/deploy, as processes on this machine.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const EXAMPLES = path.join(path.dirname(fileURLToPath(import.meta.url)), '..', '..', 'examples', 'deploy');

const haproxy = (file, more) => ({ program: '/usr/sbin/haproxy', args: (at) => ['-db', '-f', at], file, ...more });
const nginx = (file, more) => ({ program: '/usr/sbin/nginx', args: (at) => ['-c', at, '-g', 'daemon off;'], file, ...more });

/** Programs with a configuration file each. */
export const programs = { haproxy, nginx };

/**
 * Starts a balancer in front of nodes that run. It and the nodes end with the test. Resolves once `isServing` says so.
 *
 * @param {{ program: string, args: (file: string) => string[], file: string }} balancer
 * @param {{ end: () => Promise<void> }[]} nodes
 */
export async function balance(balancer, nodes, t, isServing) {
  const home = fs.mkdtempSync(path.join(os.tmpdir(), 'encke-deploy-'));
  const child = spawn(balancer.program, balancer.args(path.join(EXAMPLES, balancer.file)), { env: { PATH: process.env.PATH, HOME: home }, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
  let output = '';
  for (const one of [child.stdout, child.stderr]) one.on('data', (text) => { output += text; });
  t.after(async () => {
    if (process.env.TRACE) console.log(output);
    try { process.kill(-child.pid, 'SIGKILL'); } catch { /* It has ended. */ }
    await Promise.all(nodes.map((node) => node.end()));
    fs.rmSync(home, { recursive: true, force: true });
  });
  await until(async () => child.exitCode !== null || isServing(), () => `${balancer.file} does not serve: ${output}`);
  assert.equal(child.exitCode, null, `${balancer.file} has ended: ${output}`);
}

/** Resolves once a claim is true; fails with the reason if it is not in time. */
export async function until(claim, why) {
  for (const deadline = Date.now() + 30000; !await claim();) {
    if (Date.now() > deadline) throw new Error(`not in time: ${await why()}`);
    await new Promise((soon) => { setTimeout(soon, 25); });
  }
}
