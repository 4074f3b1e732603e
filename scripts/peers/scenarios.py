"""What is compared: the scenarios, as arguments of the load test, and the targets that Encke has set itself.

A target names a measure of Encke and what it is divided by: the same measure of a peer, or of the floor (`limit`), taken in
the same run. Both are medians over the rounds.
"""
from dataclasses import dataclass, field

ALL = ("encke", "nchan", "pushpin", "faye", "sockjs")
# Those that can say something to one user; SockJS leaves that to the program around it.
ADDRESSED = ("encke", "nchan", "pushpin", "faye")
# The floor can only say the same to all.
BROADCAST = (*ALL, "limit")
# Those that serve Bayeux, with the same messages.
BAYEUX = ("encke", "faye")
# Those that serve SockJS, with the same strings.
SOCKJS = ("encke", "sockjs")
# Those that are compared over WebSocket.
SOCKETS = ("encke", "ws")


@dataclass(frozen=True)
class Measure:
    """A number of a load test's report: where it is and how it is shown."""

    heading: str
    path: tuple
    digits: int = 1

    def of(self, report):
        value = report
        for key in self.path:
            value = value.get(key) if isinstance(value, dict) else None
        return value


CPU = Measure("CPU s/million", ("server", "cpu_s_per_million"), digits=2)
SLOWEST = Measure("slowest ms", ("last_ms", "median"))
P99 = Measure("p99 ms", ("latency_ms", "p99"))
MEMORY = Measure("bytes/conn", ("server", "bytes_per_connection"), digits=0)
MEASURES = (CPU, SLOWEST, P99, MEMORY)


@dataclass(frozen=True)
class Scenario:
    """One scenario: `arguments` at full size, `quick` what replaces them for a small run."""

    says: str
    arguments: dict
    quick: dict
    presets: tuple = ALL
    # Roughly how long one run takes with everything, to say when it will be over.
    seconds: int = 15
    # What `cpu_s_per_million` is a million of.
    unit: str = "deliveries"
    # What servers are compared by.
    main: Measure = CPU
    # Further runs of Encke, to compare it with itself: by a name, what replaces arguments. None leaves one out; `preset` is how
    # it is spoken to.
    variants: dict = field(default_factory=dict)
    # The preset for Encke, if that is not its own protocol.
    encke: str = "encke"
    # Encke's settings beside those of every run.
    settings: dict = field(default_factory=dict)

    def preset(self, server, variant=None):
        """The load test's preset for a server."""
        return self.variants.get(variant, {}).get("preset", self.encke) if server == "encke" else server

    def command(self, quick, connect_rate=None, pipelines=True, variant=None):
        """The load test's arguments, for a server that takes so many connections a second, and several requests on one or not."""
        options = {**self.arguments, **(self.quick if quick else {}), **self.variants.get(variant, {})}
        options = {name: value for name, value in options.items() if value is not None and name != "preset"}
        scenario = options.pop("scenario")
        if connect_rate and "clients" in options:
            options["connect-rate"] = connect_rate
        if not pipelines and "in-flight" in options:
            # As many requests at once, each on a connection of its own.
            options |= {"publishers": options.get("publishers", 1) * options["in-flight"], "in-flight": 1}
        flags = ([f"--{name}"] if value is True else [f"--{name}", str(value)] for name, value in options.items())
        return [scenario, *(word for words in flags for word in words)]


def paced(clients, transport="sse"):
    return {"scenario": "fanout", "transport": transport, "clients": clients, "bytes": 100, "rate": 5, "seconds": 20}


def burst(size, transport="sse"):
    return {"scenario": "fanout", "transport": transport, "clients": 10_000, "bytes": size, "burst": 100, "bursts": 5}


def idle(transport):
    return {"scenario": "idle", "transport": transport, "clients": 10_000, "seconds": 3}


# What idle scenarios over SockJS have in common, and what makes a small run of them.
QUIET = {"main": MEMORY, "seconds": 15}
SMALL_IDLE = {"clients": 500, "seconds": 1}
# Encke's other service: a string is an envelope with the payload in it.
ENVELOPES = {"envelopes": {"preset": "encke-sockjs"}}


def run_name(server, variant=None):
    """What a run is called in tables and targets."""
    return f"{server}:{variant}" if variant else server


def limit_name(threads):
    """What the floor of so many threads is called."""
    return "limit" if threads == 1 else f"limit-{threads}"


# The hook makes the pipe exist and is never called, since no client sends. Streams stay, as at the peer.
PIPE = {"ENCKE_PIPE_HOOK": "http://127.0.0.1:9/", "ENCKE_SOCKJS_RESPONSE_BYTES": "1GiB"}


def of_sockjs(says, arguments, quick, presets=SOCKJS, **more):
    """Encke's pipe and sockjs-node: both send each payload as a string."""
    return Scenario(says, arguments, quick, presets, encke="encke-pipe", settings=PIPE, **more)


UNICAST = {"scenario": "unicast", "transport": "sse", "clients": 10_000, "bytes": 100}

SCENARIOS = {
    "paced": Scenario("10,000 event streams, 5 messages a second of 100 bytes", paced(10_000),
                      {"clients": 500, "seconds": 2}, BROADCAST, 26),
    "burst100": Scenario("10,000 event streams, bursts of 100 messages of 100 bytes", burst(100),
                         {"clients": 500, "bursts": 2}, BROADCAST, 30),
    "burst1k": Scenario("10,000 event streams, bursts of 100 messages of 1 KiB", burst(1024),
                        {"clients": 500, "bursts": 2}, BROADCAST, 40),
    "unicast": Scenario("a message to one of 10,000 users, 8 publishers with 8 requests in flight each",
                        UNICAST | {"publishers": 8, "in-flight": 8, "messages": 200_000},
                        {"clients": 500, "messages": 5_000}, ADDRESSED, 18),
    "unicast500": Scenario("a message to one of 10,000 users, 500 a second", UNICAST | {"rate": 500, "messages": 10_000},
                           {"clients": 500, "messages": 1_000}, ADDRESSED, 26),
    "longpoll": Scenario("5,000 long polls of one channel, in lockstep",
                         {"scenario": "longpoll", "transport": "longpoll", "clients": 5_000, "bytes": 100, "messages": 50},
                         {"clients": 300, "messages": 10}, ("encke", "nchan"), 12),
    "churn": Scenario("connect, first byte, close", {"scenario": "churn", "transport": "sse", "concurrency": 64, "seconds": 10},
                      {"seconds": 2}, ("encke", "nchan", "pushpin", "sockjs"), 12, "connections"),
    "idle": Scenario("10,000 event streams and nothing said",
                     {"scenario": "idle", "transport": "sse", "clients": 10_000, "seconds": 3}, {"clients": 500, "seconds": 1}, ALL, 8,
                     main=MEMORY),
    "linear1k": Scenario("paced, with 1,000 event streams", paced(1_000) | {"rate": 20},
                         {"clients": 100, "seconds": 2}, ("encke", "limit"), 24),
    "linear15k": Scenario("paced, with 15,000 event streams", paced(15_000),
                          {"clients": 700, "seconds": 2}, ("encke", "limit"), 30),
    "ws": Scenario("10,000 WebSockets, 5 messages a second of 100 bytes; Encke's event streams beside them", paced(10_000, "ws"),
                   {"clients": 500, "seconds": 2}, SOCKETS, 26, variants={"sse": {"transport": "sse"}}),
    "ws-burst": Scenario("10,000 WebSockets, bursts of 100 messages of 100 bytes; Encke's event streams beside them", burst(100, "ws"),
                         {"clients": 500, "bursts": 2}, SOCKETS, 30, variants={"sse": {"transport": "sse"}}),
    "ws-deflate": Scenario("10,000 WebSockets, 5 messages a second of 600 bytes of text, compressed and plain",
                           paced(10_000, "ws") | {"deflate": True, "bytes": 600, "padding": "words"},
                           {"clients": 500, "seconds": 2}, ("encke",), 30, variants={"plain": {"deflate": None}}),
    "bayeux-longpoll": Scenario("5,000 Bayeux clients on long polls of one channel, in lockstep",
                                {"scenario": "longpoll", "transport": "longpoll", "clients": 5_000, "bytes": 100, "messages": 50},
                                {"clients": 300, "messages": 10}, BAYEUX, 30, encke="bayeux"),
    "bayeux-ws": Scenario("10,000 Bayeux clients on WebSockets, bursts of 100 messages of 100 bytes", burst(100, "ws"),
                          {"clients": 500, "bursts": 2}, BAYEUX, 60, encke="bayeux"),
    "bayeux-idle": Scenario("10,000 Bayeux clients on WebSockets and nothing said",
                            {"scenario": "idle", "transport": "ws", "clients": 10_000, "seconds": 3}, {"clients": 500, "seconds": 1},
                            BAYEUX, 12, main=MEMORY, encke="bayeux"),
    "bayeux-idle-poll": Scenario("10,000 Bayeux clients on long polls and nothing said",
                                 {"scenario": "idle", "transport": "longpoll", "clients": 10_000, "seconds": 3},
                                 {"clients": 500, "seconds": 1}, BAYEUX, 15, main=MEMORY, encke="bayeux"),
    "bayeux-rooms": Scenario("1,000 Bayeux clients on WebSockets in 10 rooms each, batches of 10 messages, until saturation",
                             {"scenario": "rooms", "transport": "ws", "clients": 1_000, "rooms": 10, "seconds": 5},
                             {"clients": 100, "rooms": 3, "seconds": 1, "growth": 4}, BAYEUX, 80, encke="bayeux"),
    "bayeux-rooms-poll": Scenario("1,000 Bayeux clients on long polls in 10 rooms each, batches of 10 messages, until saturation",
                                  {"scenario": "rooms", "transport": "longpoll", "clients": 1_000, "rooms": 10, "seconds": 5, "rate": 50},
                                  {"clients": 100, "rooms": 3, "seconds": 1, "growth": 4}, BAYEUX, 60, encke="bayeux"),
    "sockjs-stream": of_sockjs("10,000 SockJS sessions on xhr_streaming, 5 messages a second of 100 bytes; envelopes beside strings",
                               paced(10_000, "stream") | {"seconds": 10}, {"clients": 500, "seconds": 2}, (*SOCKJS, "limit"),
                               seconds=18, variants=ENVELOPES),
    "sockjs-burst": of_sockjs("10,000 SockJS sessions on xhr_streaming, bursts of 100 messages of 100 bytes; envelopes beside strings",
                              burst(100, "stream"), {"clients": 500, "bursts": 2}, seconds=30, variants=ENVELOPES),
    "sockjs-poll": of_sockjs("5,000 SockJS sessions on xhr polling of one channel, in lockstep; envelopes beside strings",
                             {"scenario": "longpoll", "transport": "longpoll", "clients": 5_000, "bytes": 100, "messages": 50},
                             {"clients": 300, "messages": 10}, seconds=20, variants=ENVELOPES),
    "sockjs-idle": of_sockjs("10,000 SockJS sessions on xhr_streaming and nothing said", idle("stream"), SMALL_IDLE, **QUIET),
    "sockjs-idle-poll": of_sockjs("10,000 SockJS sessions on xhr polling and nothing said", idle("longpoll"), SMALL_IDLE, **QUIET),
    "sockjs-idle-ws": of_sockjs("10,000 SockJS sessions on WebSockets and nothing said", idle("ws"), SMALL_IDLE, **QUIET),
}
# Whom they are compared with is not installed unless asked for: without it they are left out.
OF_PEER = {peer: tuple(name for name in SCENARIOS if name.startswith(prefix)) for peer, prefix in (("faye", "bayeux-"), ("sockjs", "sockjs-"))}


def shards_of(encke):
    """How many shards an Encke of this name has."""
    return int(encke.removeprefix("encke-"))


@dataclass(frozen=True)
class Target:
    """Encke's `measure` in `scenario` is to be at most `bound` times that of `against`; `:name` is a variant of its own, `limit`
    the floor of one thread and `limits` that of as many as Encke has shards.

    With `base` (a scenario), both are first divided by the floor in their own scenario: growth, and not cost.
    """

    scenario: str
    measure: Measure
    against: str
    bound: float
    base: str | None = None

    def ratio(self, encke, medians):
        """What is measured, or None where something was not run."""
        def at(server, scenario):
            return medians.get((server, scenario), {}).get(self.measure.heading)
        if self.base:
            parts = [at(encke, self.scenario), at("limit", self.base), at("limit", self.scenario), at(encke, self.base)]
        else:
            parts = [at(encke, self.scenario), 1, at(self.whom(encke), self.scenario), 1]
        if any(part in (None, 0) for part in parts):
            return None
        return parts[0] * parts[1] / (parts[2] * parts[3])

    def whom(self, encke):
        """The server, or variant, that this Encke is compared with."""
        if self.against == "limits":
            return limit_name(shards_of(encke))
        return run_name(encke, self.against[1:]) if self.is_of_itself() else self.against

    def is_asked(self, encke, scenarios, servers):
        """Whether a run with these was to answer it."""
        is_twice = self.against == "limits" and self.whom(encke) == "limit"
        return (not is_twice and {self.scenario, self.base or self.scenario} <= set(scenarios)
                and (self.is_of_itself() or self.whom(encke) in servers))

    def is_of_itself(self):
        return self.against.startswith(":")

    def says(self):
        if self.base:
            return f"{self.scenario} over {self.base}: {self.measure.heading}, each divided by the floor's"
        whom = "a floor of as many threads" if self.against == "limits" else self.against.removeprefix(":")
        return f"{self.scenario}: {self.measure.heading} / {'its own ' * self.is_of_itself()}{whom}"


TARGETS = (
    Target("paced", CPU, "limit", 1.10),
    Target("paced", CPU, "limits", 1.10),
    Target("paced", CPU, "nchan", 0.80),
    Target("paced", SLOWEST, "nchan", 0.75),
    Target("burst100", CPU, "nchan", 0.30),
    Target("burst1k", CPU, "nchan", 0.40),
    Target("unicast", CPU, "nchan", 0.40),
    Target("unicast500", P99, "nchan", 1.00),
    Target("longpoll", CPU, "nchan", 0.65),
    Target("churn", CPU, "nchan", 0.95),
    Target("idle", MEMORY, "nchan", 0.10),
    Target("linear15k", CPU, "limit", 1.10, base="linear1k"),
    Target("ws", CPU, ":sse", 1.10),
    Target("ws", CPU, "ws", 0.35),
    Target("ws-burst", CPU, ":sse", 1.10),
    Target("ws-burst", CPU, "ws", 0.35),
    Target("ws-deflate", CPU, ":plain", 1.20),
    Target("bayeux-longpoll", CPU, "faye", 0.20),
    Target("bayeux-ws", CPU, "faye", 0.25),
    Target("bayeux-idle", MEMORY, "faye", 0.10),
    Target("bayeux-idle-poll", MEMORY, "faye", 0.10),
    Target("sockjs-stream", CPU, "sockjs", 0.25),
    Target("sockjs-burst", CPU, "sockjs", 0.25),
    Target("sockjs-poll", CPU, "sockjs", 0.20),
    Target("sockjs-idle", MEMORY, "sockjs", 0.10),
    Target("sockjs-idle-poll", MEMORY, "sockjs", 0.10),
    Target("sockjs-idle-ws", MEMORY, "sockjs", 0.10),
)
# In these each message is to be compressed once for all of its receivers: at most once on each shard.
COMPRESSED_ONCE = ("ws-deflate",)
# A second shard may cost a delivery this much more than one alone.
SHARD_BOUND = 1.05
