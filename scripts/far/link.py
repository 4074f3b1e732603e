"""Two network namespaces, and links between them on which every packet travels for a while.

A link is a pair of TUN devices, one in each namespace, and a process that takes each packet out of one and puts it into the
other after the delay: what `tc netem delay` does, without the kernel module that it needs. TCP is the kernel's own at both
ends and sees the real round trip; packets keep their order and none is lost. The devices carry IP packets and nothing else,
so their counters are bytes of IP, headers included and link-layer headers not. Beside them a veth pair joins the namespaces
without any delay, for what is not to be measured.

Needs root, network namespaces, veth and /dev/net/tun. Nothing stays when it ends; what a kill leaves, the next run removes.

    with Far(lanes=2, delay=0.05) as far:
        far.spawn(far.near, ["server", ...]); far.address(1)
"""
import collections, contextlib, fcntl, os, pathlib, select, struct, subprocess, sys, time

# linux/if_tun.h
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
MTU = 1500
# The near end is 1, the far end 2. Namespaces have all addresses to themselves.
LANE, CONTROL = "10.77.{lane}.{end}", "10.78.0.{end}"


class Far:
    """`near` is the server's namespace, `far` the clients'. Lanes count from 1."""

    def __init__(self, lanes, delay):
        self.lanes, self.delay = lanes, delay
        self.near, self.far = f"encke-near-{os.getpid()}", f"encke-far-{os.getpid()}"
        self.stack = contextlib.ExitStack()

    def __enter__(self):
        try:
            self.build()
        except BaseException:
            self.stack.close()
            raise
        return self

    def __exit__(self, *_):
        self.stack.close()

    def build(self):
        sweep()
        for name in (self.near, self.far):
            ip("netns", "add", name)
            self.stack.callback(ip, "netns", "del", name, check=False)
            # No neighbour discovery on the links: nothing goes there but what is measured.
            self.run(name, "sh", "-c", "echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6; ip link set lo up")
        ip("link", "add", "control", "netns", self.near, "type", "veth", "peer", "name", "control", "netns", self.far)
        pairs = []
        for lane in range(1, self.lanes + 1):
            pair = [self.tun(lane, end) for end in (1, 2)]
            pairs.append(pair)
        for end, name in ((1, self.near), (2, self.far)):
            self.up(name, "control", CONTROL.format(end=end))
            for lane in range(1, self.lanes + 1):
                self.up(name, self.device(lane), LANE.format(lane=lane, end=end))
        self.relay(pairs)

    def tun(self, lane, end):
        """A device in its namespace. Answers the descriptor that its packets come by; the device goes with it."""
        name = f"ek{os.getpid() % 10**6}-{lane}-{end}"
        fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        self.stack.callback(os.close, fd)
        fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI))
        ip("link", "set", name, "netns", self.near if end == 1 else self.far, "name", self.device(lane))
        return fd

    def up(self, namespace, device, address):
        ip("-n", namespace, "address", "add", f"{address}/24", "dev", device)
        ip("-n", namespace, "link", "set", device, "mtu", str(MTU), "txqueuelen", "10000", "up")

    def relay(self, pairs):
        words = [sys.executable, str(pathlib.Path(__file__).resolve()), str(self.delay)]
        fds = [fd for pair in pairs for fd in pair]
        # It ends when this process lets go of its standard input, however that comes about.
        process = subprocess.Popen([*words, *map(str, fds)], stdin=subprocess.PIPE, pass_fds=fds)
        self.stack.callback(stop, process)
        self.stack.callback(process.stdin.close)

    @staticmethod
    def device(lane):
        return f"link{lane}"

    @staticmethod
    def address(lane):
        """The server's on a lane."""
        return LANE.format(lane=lane, end=1)

    @staticmethod
    def control():
        """The server's, without delay."""
        return CONTROL.format(end=1)

    def words(self, namespace, command):
        return ["ip", "netns", "exec", namespace, *map(str, command)]

    def run(self, namespace, *command):
        return subprocess.run(self.words(namespace, command), check=True, stdin=subprocess.DEVNULL, capture_output=True, text=True).stdout

    def spawn(self, namespace, command, log, **env):
        """Starts a process there; it is stopped at the latest when all is taken down."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith("ENCKE_")}
        # Even if this process is killed outright, it does not outlive it.
        words = ["setpriv", "--pdeathsig", "KILL", *self.words(namespace, command)]
        with open(log, "w") as out:
            process = subprocess.Popen(words, env=clean | env, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        self.stack.callback(stop, process)
        return process

    def round_trip(self, lane, port, times=20):
        """Seconds that connecting takes over a lane, the median: one round trip."""
        program = ("import socket, sys, time\nfor _ in range(int(sys.argv[3])):\n  at = time.monotonic()\n"
                   "  socket.create_connection((sys.argv[1], int(sys.argv[2]))).close()\n  print(time.monotonic() - at)")
        took = self.run(self.far, sys.executable, "-c", program, self.address(lane), str(port), str(times)).split()
        return sorted(map(float, took))[times // 2]


def ip(*words, check=True):
    done = subprocess.run(["ip", *words], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if check and done.returncode:
        raise RuntimeError(f"ip {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout


def sweep():
    """Deletes what a run that was killed outright has left."""
    for name in (line.split()[0] for line in ip("netns", "list").splitlines() if line):
        owner = name.removeprefix("encke-near-").removeprefix("encke-far-")
        if owner != name and owner.isdigit() and not os.path.exists(f"/proc/{owner}"):
            ip("netns", "del", name, check=False)


def stop(process):
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


# ---- the process between the devices ----

def carry(delay, fds):
    """Until the standard input ends: each packet out of one device of a pair goes into the other so much later."""
    for fd in fds:
        os.set_blocking(fd, False)
    other = {fd: fds[index ^ 1] for index, fd in enumerate(fds)}
    with contextlib.suppress(PermissionError):
        # It must not wait for other busy processes: its lateness would count as the link's.
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(2))
    on_their_way = collections.deque()
    while True:
        wait = max(on_their_way[0][0] - time.monotonic(), 0) if on_their_way else None
        ready = select.select([0, *fds], [], [], wait)[0]
        if 0 in ready:
            return
        now = time.monotonic()
        for fd in ready:
            with contextlib.suppress(BlockingIOError):
                while True:
                    on_their_way.append((now + delay, other[fd], os.read(fd, 65536)))
        now = time.monotonic()
        while on_their_way and on_their_way[0][0] <= now:
            _, fd, packet = on_their_way.popleft()
            with contextlib.suppress(OSError):
                os.write(fd, packet)


if __name__ == "__main__":
    carry(float(sys.argv[1]), [int(word) for word in sys.argv[2:]])
