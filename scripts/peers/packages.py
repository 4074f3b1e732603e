"""Installs and builds what the comparison needs: Debian packages (whose services are neither started nor left enabled), the
Node servers from their lock file, and the release binaries of the workspace. The gate has its middleboxes, and the servers
behind TCP sockets, installed here, too.
"""
import contextlib, os, pathlib, subprocess

from .servers import HERE, ROOT, given

DEBIAN = {
    "nchan": ["nginx", "libnginx-mod-nchan"],
    "pushpin": ["pushpin", "nginx"],
    "node": ["nodejs", "npm"],
    "middleboxes": ["nginx", "libnginx-mod-http-js", "haproxy", "tinyproxy", "squid", "caddy", "iproute2", "openssl"],
    "tcp": ["ngircd", "redis-server", "postgresql", "openssh-server", "rabbitmq-server", "prosody", "lua-dbi-sqlite3", "python3-slixmpp",
            "tigervnc-standalone-server", "x11-xserver-utils"],
}
SERVICES = {"nginx": ["nginx"], "pushpin": ["pushpin", "zurl"], "haproxy": ["haproxy"], "tinyproxy": ["tinyproxy"], "squid": ["squid"],
            "caddy": ["caddy"], "ngircd": ["ngircd"], "redis-server": ["redis-server"], "postgresql": ["postgresql"],
            "openssh-server": ["ssh"], "rabbitmq-server": ["rabbitmq-server", "epmd"], "prosody": ["prosody"]}
POLICY = pathlib.Path("/usr/sbin/policy-rc.d")


def debian(*sets):
    """Installs the packages of the sets that are missing. Answers their names."""
    wanted = dict.fromkeys(package for name in sets for package in DEBIAN[name])
    missing = [package for package in wanted if not is_installed(package)]
    if not missing:
        return []
    root = [] if os.geteuid() == 0 else ["sudo", "-n"]
    apt = root + ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", "-o", "DPkg::Lock::Timeout=300"]
    run(apt + ["update"])
    with services_held_back(root):
        run(apt + ["install", "-y", "--no-install-recommends", *missing])
    for package in missing:
        for service in SERVICES.get(package, []):
            # Enabled by the installation alone; the machine's next start must not find a web server on port 80.
            disable = f"update-rc.d {service} disable; systemctl disable {service}"
            subprocess.run(root + ["sh", "-c", disable], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    return missing


def is_installed(package):
    if package in ("nodejs", "npm"):
        # Node comes in many ways; any will do.
        command = {"nodejs": "node"}.get(package, package)
        return subprocess.run(["sh", "-c", f"command -v {command}"], stdout=subprocess.DEVNULL, check=False).returncode == 0
    query = subprocess.run(["dpkg-query", "-W", "-f", "${Status}", package], capture_output=True, text=True, check=False)
    return query.stdout.endswith("ok installed")


@contextlib.contextmanager
def services_held_back(root):
    """Forbids Debian's installer to start services meanwhile, unless that is forbidden already."""
    if POLICY.exists():
        yield
        return
    run(root + ["sh", "-c", f"printf '#!/bin/sh\\nexit 101\\n' >{POLICY} && chmod 755 {POLICY}"])
    try:
        yield
    finally:
        run(root + ["rm", "-f", str(POLICY)])


def node():
    """Installs the Node servers just as the lock file says; no package's own script is run."""
    run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent", "--prefix", str(HERE)])


def release(*crates):
    """Builds release binaries of workspace members, but those that are given."""
    crates = [crate for crate in crates if not given(crate)]
    if not crates:
        return
    run(["cargo", "build", "--release", "--locked", "--quiet", *(word for crate in crates for word in ("-p", crate))])


def run(command):
    done = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout[-3000:]}")
