'use strict';
// The real server as a child process, on ports that the system chose.
const { spawn } = require('node:child_process');
const { once } = require('node:events');

const START_LIMIT = 20000;

class EnckeNode {
  constructor(binary, env = {}) {
    this.binary = binary;
    this.env = env;
    this.public = '127.0.0.1:0';
    this.api = '127.0.0.1:0';
    this.log = '';
  }

  /** Starts, or starts again on the same ports. */
  async start() {
    const inherited = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('ENCKE_')));
    const env = { ...inherited, ENCKE_LISTEN: this.public, ENCKE_API_LISTEN: this.api, ...this.env };
    this.child = spawn(this.binary, [], { env, stdio: ['ignore', 'ignore', 'pipe'] });
    this.exited = once(this.child, 'exit').then(([code, signal]) => code ?? signal);
    let output = '';
    await new Promise((ok, no) => {
      const limit = setTimeout(() => no(new Error(`the server did not start:\n${output}`)), START_LIMIT);
      this.child.on('error', no);
      this.child.on('exit', (code) => no(new Error(`the server ended with ${code}:\n${output}`)));
      this.child.stderr.setEncoding('utf8').on('data', (text) => {
        output += text;
        this.log = (this.log + text).slice(-20000);
        const found = [/public=([^ ,\s]+)/.exec(output), /api=([^ ,\s]+)/.exec(output)];
        // Half a line may have come: an address counts once something follows it.
        if (!found[0] || !found[1] || !output.slice(found[1].index + found[1][0].length)) return;
        clearTimeout(limit);
        [this.public, this.api] = found.map((match) => match[1]);
        ok();
      });
    });
    return this;
  }

  async kill() { this.child.kill('SIGKILL'); return this.exited; }

  /** Asks the server to drain; resolves to its exit code. */
  async term() { this.child.kill('SIGTERM'); return this.exited; }

  /** POST of JSON to the private listener; resolves to the parsed answer. */
  call(path, value) { return this.post(path, JSON.stringify(value), 'application/json'); }

  /** POST of any body to the private listener; resolves to the parsed answer. */
  async post(path, body, type) {
    const limit = AbortSignal.timeout(10000);
    const response = await fetch(`http://${this.api}${path}`, { method: 'POST', body, headers: { 'content-type': type }, signal: limit });
    const text = await response.text();
    if (!response.ok) throw new Error(`POST ${path} answered ${response.status}: ${text}`);
    return JSON.parse(text);
  }

  /** Resolves once the user has so many sessions. */
  async hasSessions(user, count) {
    for (const deadline = Date.now() + 10000; ;) {
      const { sessions } = await (await fetch(`http://${this.api}/u/${user}`)).json();
      if (sessions.length === count) return;
      if (Date.now() > deadline) throw new Error(`${user} has ${sessions.length} sessions instead of ${count}`);
    }
  }

  /** Fails unless the user has this session now. */
  async hasSession(user, id) {
    const { sessions } = await (await fetch(`http://${this.api}/u/${user}`)).json();
    const ids = sessions.map(({ session }) => session);
    if (!ids.includes(id)) throw new Error(`${user} has the sessions ${ids.join(', ')} and not ${id}`);
  }

  async end() {
    if (this.child && this.child.exitCode === null && this.child.signalCode === null) await this.kill();
  }
}

module.exports = { EnckeNode };
