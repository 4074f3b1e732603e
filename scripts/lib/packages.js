'use strict';
// Installs npm packages as a lock file lists them, without their install scripts.
const fs = require('node:fs');
const path = require('node:path');
const { execFileSync } = require('node:child_process');

/** Installs a folder's packages, unless those that its lock file lists are there. */
function installPackages(folder) {
  const packages = (file) => JSON.parse(fs.readFileSync(path.join(folder, file), 'utf8')).packages;
  const wanted = Object.entries(packages('package-lock.json')).filter(([place, { optional }]) => place && !optional);
  const hidden = path.join('node_modules', '.package-lock.json');
  const installed = fs.existsSync(path.join(folder, hidden)) ? packages(hidden) : {};
  if (wanted.every(([place, { version }]) => installed[place]?.version === version)) return;
  execFileSync('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--silent'], { cwd: folder, stdio: ['ignore', 'inherit', 'inherit'] });
}

module.exports = { installPackages };
