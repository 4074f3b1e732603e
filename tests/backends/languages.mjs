// How each language runs its backend: `call` for publish and token, `hook` where it is spelled in another way.
import { execFileSync, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';

const { TARGET } = createRequire(import.meta.url)('../lib/runner');
const ROOT = path.join(import.meta.dirname ?? path.dirname(new URL(import.meta.url).pathname), '..', '..');
const file = (name) => path.join(ROOT, 'examples', 'backends', name);

/** Jackson and what it needs, as Debian has them. */
const JARS = ['databind', 'core', 'annotations'].map((part) => `/usr/share/java/jackson-${part}.jar`);

const has = (...words) => spawnSync(words[0], words.slice(1), { stdio: 'ignore' }).status === 0;

/** Compiles the one Go program, once for all calls. */
function go() {
  const program = path.join(TARGET, 'backends', 'go');
  fs.mkdirSync(path.dirname(program), { recursive: true });
  execFileSync('go', ['build', '-o', program, file('backend.go')], { env: { ...process.env, GO111MODULE: 'off' }, stdio: ['ignore', 'ignore', 'inherit'] });
  return [program];
}

/** Compiles Java's classes, once for all calls. */
function java() {
  const classes = path.join(TARGET, 'backends', 'java');
  execFileSync('javac', ['-cp', JARS.join(':'), '-d', classes, file('Backend.java')], { stdio: ['ignore', 'ignore', 'inherit'] });
  return ['java', '-XX:TieredStopAtLevel=1', '-cp', [classes, ...JARS].join(':'), 'Backend'];
}

/** The program that `BACKEND_RUST` names, else one that is compiled now. */
function rust() {
  if (process.env.BACKEND_RUST) return [process.env.BACKEND_RUST];
  execFileSync('cargo', ['build', '--quiet', '--locked', '--example', 'backend'], { cwd: ROOT, stdio: ['ignore', 'ignore', 'inherit'] });
  return [path.join(TARGET, 'debug', 'examples', 'backend')];
}

/** `places`: it finds the place of a user. @type {Record<string, { places?: boolean, needs: () => boolean, call: () => string[], hook?: (port: number) => string[] }>} */
export const LANGUAGES = {
  Python: { places: true, needs: () => has('python3', '--version'), call: () => ['python3', file('backend.py')] },
  Node: { places: true, needs: () => true, call: () => [process.execPath, file('backend.mjs')] },
  PHP: {
    places: true,
    needs: () => has('php', '--version'),
    call: () => ['php', file('backend.php')],
    hook: (port) => ['php', '-S', `127.0.0.1:${port}`, file('backend.php')],
  },
  Ruby: { places: true, needs: () => has('ruby', '--version'), call: () => ['ruby', file('backend.rb')] },
  Go: { places: true, needs: () => has('go', 'version'), call: go },
  Java: { places: true, needs: () => has('javac', '-version') && JARS.every((jar) => fs.existsSync(jar)), call: java },
  Rust: { needs: () => has('cargo', '--version'), call: rust },
  curl: { needs: () => has('curl', '--version') && has('jq', '--version') && has('openssl', 'version'), call: () => [file('backend.sh')], hook: () => [] },
};
