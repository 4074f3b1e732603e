"""The servers that are measured: how each is started on loopback, found ready and stopped.

Each runs in the foreground in a process group of its own, with a configuration written to a temporary directory, on ports
that no earlier one had (so that sockets in TIME_WAIT are nobody's concern). `stop` ends the whole group. Nothing here
measures: the load test is given `pid` and follows that process and all of its descendants.
"""
import contextlib, http.client, os, pathlib, resource, shutil, signal, socket, subprocess, tempfile, time

from .scenarios import limit_name

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
# What every process may open: all that the hard limit gives.
FILES = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
# Node and Pushpin take a second or two. What is not there by then will not come.
READY_SECONDS_MAX = 20


def raise_limits():
    """Lets this process and its children open all the files that the hard limit gives."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, FILES))


def given(name):
    """The binary that takes the place of a release binary: ENCKE_BIN, ENCKE_LOADTEST_BIN."""
    return os.environ.get(f"{name.replace('-', '_').upper()}_BIN")


def binary(name):
    """A release binary of the workspace, or what is given for it."""
    return given(name) or str(TARGET / "release" / name)


class Ports:
    """Gives out ports in turn, from below the kernel's own range, passing over those in use."""

    def __init__(self, first, count=999):
        self.first, self.count, self.taken = first, count, 0

    def next(self):
        for _ in range(self.count):
            port = self.first + self.taken % self.count
            self.taken += 1
            with socket.socket() as probe:
                # As a server would: what is left of old connections does not matter, who listens does.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                with contextlib.suppress(OSError):
                    probe.bind(("127.0.0.1", port))
                    return port
        raise SystemExit(f"none of the ports from {self.first} on is free: give others with --port")


class Server:
    """One server to be measured; a subclass says how it starts. Use `with server.running(ports):`."""

    name = preset = None
    # Connections a second that it takes without refusing some, or None: as many as come. Connecting is not measured.
    connect_rate = None
    # Whether a publisher's connection may have several requests on their way.
    pipelines = True

    def __init__(self):
        self.group, self.pid, self.to, self.api, self.dir = [], None, None, None, None
        # Encke's settings for one run; the others have none.
        self.settings_of_run = {}
        # What a server had to say against the run when it ended.
        self.complaint = None

    def launch(self, ports):
        """Starts it; sets `pid`, `to` and `api`."""
        raise NotImplementedError

    def version(self):
        raise NotImplementedError

    def counts(self):
        """What the server has counted itself, by the metric's name."""
        return {}

    def is_ready(self):
        return all(accepts(address) for address in {self.to, self.api})

    @contextlib.contextmanager
    def running(self, ports, settings=None):
        self.settings_of_run = settings or {}
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix=f"{self.name}."))
        # Workers that have given up root's rights must get at their directories.
        self.dir.chmod(0o755)
        try:
            self.launch(ports)
            self.await_ready()
            yield self
        finally:
            self.stop()
            shutil.rmtree(self.dir, ignore_errors=True)

    def spawn(self, command, **env):
        """Starts a process whose output goes to a log in `dir`. Answers its pid."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith("ENCKE_")}
        with open(self.dir / f"{len(self.group)}.log", "w") as log:
            process = subprocess.Popen([str(word) for word in command], env=clean | env, stdin=subprocess.DEVNULL,
                                       stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
        self.group.append(process)
        return process.pid

    def await_ready(self):
        deadline = time.monotonic() + READY_SECONDS_MAX
        while not self.is_ready():
            ended = [process for process in self.group if process.poll() is not None]
            if ended or time.monotonic() > deadline:
                raise RuntimeError(f"{self.name} did not start: {self.last_words()}")
            time.sleep(0.05)

    def last_words(self):
        logs = sorted(self.dir.rglob("*log"))
        return " / ".join(text[-400:] for log in logs if log.is_file() and (text := log.read_text(errors="replace").strip()))

    def stop(self):
        # Pushpin's helpers are in process groups of their own: what is left of the tree is ended one by one.
        tree = descendants(process.pid for process in self.group)
        for process in self.group:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
        for process in self.group:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
        for pid in tree:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for process in self.group:
            process.wait()
        self.group = []

    def fill(self, template, target, **values):
        """Writes a configuration of this folder, filled in, to `dir`."""
        values = {"dir": self.dir, "files": FILES} | values
        (self.dir / target).write_text((HERE / template).read_text().format(**values))


class Encke(Server):
    preset = "encke"

    def __init__(self, shards, name=None, **settings):
        super().__init__()
        self.shards, self.name, self.settings = shards, name or f"encke-{shards}", settings

    def launch(self, ports):
        self.to, self.api = f"127.0.0.1:{ports.next()}", f"127.0.0.1:{ports.next()}"
        self.pid = self.spawn([binary("encke")], ENCKE_LISTEN=self.to, ENCKE_API_LISTEN=self.api, ENCKE_LOG_LEVEL="warn",
                              ENCKE_SHARDS=str(self.shards), **self.settings, **self.settings_of_run)

    def version(self):
        return output_of([binary("encke"), "--version"])

    def counts(self):
        # How often a message was put into the form of a transport, and how often one was compressed.
        lines = body(self.api, "/metrics").splitlines()
        names = ("encke_encoded_total", "encke_deflated_total")
        return {name: sum(float(line.split()[-1]) for line in lines if line.startswith((f"{name} ", f"{name}{{"))) for name in names}

    def stop(self):
        # At once: a drain would tell every client to come back, over ten seconds.
        for process in self.group:
            process.kill()
        super().stop()


class Limit(Server):
    """The floor: one write a socket, nothing else. See bench/limit. Of one thread, or of as many as Encke has shards."""

    preset = "limit"

    def __init__(self, threads=1):
        super().__init__()
        self.threads, self.name = threads, limit_name(threads)

    def launch(self, ports):
        self.to = self.api = f"127.0.0.1:{ports.next()}"
        self.pid = self.spawn([binary("encke-limit"), "serve", "--listen", self.to, "--threads", self.threads])

    def version(self):
        return f"one write a socket, {self.threads} thread{'s' * (self.threads > 1)}"

    def stop(self):
        super().stop()
        last = self.last_words().splitlines()[-1:]
        self.complaint = last[0] if last and "not a valid floor" in last[0] else None


class Nchan(Server):
    name = preset = "nchan"

    def launch(self, ports):
        port = ports.next()
        self.to = self.api = f"127.0.0.1:{port}"
        self.fill("nchan.conf", "nginx.conf", port=port)
        self.pid = self.spawn(nginx(self.dir, "nginx.conf"))

    def version(self):
        return packaged("libnginx-mod-nchan", "nginx")


class Pushpin(Server):
    """Pushpin with its three helpers; behind it the cheapest origin, which is not measured."""

    name = preset = "pushpin"
    # Faster, its parts lose track of one another: answers of 500 and 502, and streams that are cut.
    connect_rate = 500
    # It closes a publisher's connection after each answer.
    pipelines = False

    def launch(self, ports):
        port, control, origin = ports.next(), ports.next(), ports.next()
        self.to, self.api = f"127.0.0.1:{port}", f"127.0.0.1:{control}"
        self.fill("origin.conf", "origin.conf", port=origin)
        self.fill("pushpin.conf", "pushpin.conf", port=port, control=control)
        (self.dir / "routes").write_text(f"* 127.0.0.1:{origin}\n")
        for name in ("run", "log"):
            (self.dir / name).mkdir()
        # The package would share the system's zurl; this Pushpin starts one of its own.
        internal = pathlib.Path("/usr/lib/pushpin/internal.conf").read_text()
        (self.dir / "internal.conf").write_text(internal.replace("/var/run/zurl/zurl-", "{rundir}/{ipc_prefix}zurl-"))
        self.spawn(nginx(self.dir, "origin.conf"))
        self.pid = self.spawn(["pushpin", "--merge-output", "--config", self.dir / "pushpin.conf"])

    def is_ready(self):
        return super().is_ready() and status(self.to, "/stream?channel=probe") == 200

    def version(self):
        return packaged("pushpin", "condure", "zurl")


class Node(Server):
    """A server in Node: `{name}.js` in this folder."""

    def __init__(self, name):
        super().__init__()
        self.name = self.preset = name

    def launch(self, ports):
        port = ports.next()
        self.to = self.api = f"127.0.0.1:{port}"
        self.pid = self.spawn(["node", HERE / f"{self.name}.js", port], NODE_ENV="production")

    def version(self):
        installed = (HERE / "node_modules" / self.name / "package.json").read_text()
        found = next(line.split('"')[3] for line in installed.splitlines() if '"version"' in line)
        return f"{self.name} {found}, node {output_of(['node', '--version'])}"


def descendants(roots):
    """These processes and all that they started, as far as they are still there."""
    parents = {}
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                parents[int(entry.name)] = int((entry / "stat").read_text().rsplit(") ", 1)[1].split()[1])
    found = set(roots)
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def nginx(directory, config):
    # -e: what goes wrong before the configuration is read would go to the system's log.
    return ["nginx", "-p", directory, "-e", directory / "start.log", "-c", directory / config]


def accepts(address):
    host, port = address.split(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0


def status(address, path):
    """The status of a GET, or None; the body is not waited for."""
    connection = http.client.HTTPConnection(address, timeout=2)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def body(address, path):
    """What a GET answers; empty, if it does not."""
    connection = http.client.HTTPConnection(address, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().read().decode(errors="replace")
    except (OSError, http.client.HTTPException):
        return ""
    finally:
        connection.close()


def output_of(command):
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=10)
        return (result.stdout or result.stderr).strip().splitlines()[0] if result.returncode == 0 else "unknown"
    except (OSError, IndexError, subprocess.TimeoutExpired):
        return "unknown"


def packaged(*packages):
    return ", ".join(f"{name} {output_of(['dpkg-query', '-W', '-f', '${Version}', name])}" for name in packages)
