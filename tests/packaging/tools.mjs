// Programs, a folder that goes with its test, and the lines of a unit.
import { execFile, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

export const ROOT = path.join(path.dirname(fileURLToPath(import.meta.url)), '..', '..');
export const packaged = (name) => path.join(ROOT, 'packaging', name);

/** Runs a program; what it prints is in the error if it fails. */
export const run = (program, args, options = {}) => promisify(execFile)(program, args, { cwd: ROOT, maxBuffer: 1 << 24, ...options });

/** `false` if all programs are there, else the sentence with which a test is skipped. */
export function lacks(...programs) {
  const missing = programs.filter((name) => spawnSync('sh', ['-c', `command -v ${name}`], { stdio: 'ignore' }).status !== 0);
  return missing.length ? `${missing.join(', ')} not on this machine` : false;
}

/** A folder for a test, which removes it at its end. */
export function folder(t) {
  const made = fs.mkdtempSync(path.join(os.tmpdir(), 'encke-package-'));
  t.after(() => fs.rmSync(made, { recursive: true, force: true }));
  return made;
}

/** The values of a key in a unit, in their order. */
export function values(unit, key) {
  return unit.split('\n').filter((line) => line.startsWith(`${key}=`)).map((line) => line.slice(key.length + 1));
}

/** The assignments of an environment file. */
export function assignments(text) {
  const lines = text.split('\n').filter((line) => /^[A-Z]/.test(line));
  return Object.fromEntries(lines.map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]));
}
