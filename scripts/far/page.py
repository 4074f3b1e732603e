"""The section of docs/TRANSPORTS.md about what transports cost on the wire, and its pictures, from what scripts/transports found.

Only what stands between the markers is replaced; the same file gives the same bytes. A file of a quick run is refused.
"""
from xml.sax.saxutils import escape

BEGIN, END = "<!-- wire: begin -->", "<!-- wire: end -->"
NAMES = {"overlap": "longpoll, two"}
# What streams have in common is their colour, so that polls stand out.
POLLS = {"poll", "longpoll", "overlap", "jsonp"}
NOTHING = "–"
# Bytes of a packet before its data: IPv4, TCP and its timestamps.
HEADERS = 20 + 20 + 12


def write(found, docs, only_checks):
    if found.get("quick"):
        raise ValueError("the file is of a quick run, whose numbers say little")
    page = docs / "TRANSPORTS.md"
    text = page.read_text()
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise ValueError(f"docs/TRANSPORTS.md needs one {BEGIN} and after it one {END}")
    whole = text[:text.index(BEGIN) + len(BEGIN)] + "\n" + "\n".join(section(found)) + "\n" + text[text.index(END):]
    wanted = {page: whole} | {docs / "transports" / f"{name}.svg": drawn for name, drawn in pictures(found).items()}
    stale = [path for path, text in wanted.items() if not path.exists() or path.read_text() != text]
    for path in stale:
        print("differs:" if only_checks else "wrote", path.relative_to(docs))
        if not only_checks:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(wanted[path])
    return 1 if only_checks and stale else 0


# ---- what was found ----

class Wire:
    """Runs by transport and rate."""

    def __init__(self, found):
        self.runs = {(run["transport"], run["rate"]): run for run in found["runs"] if run["deliveries"]}
        self.transports = list(dict.fromkeys(run["transport"] for run in found["runs"]))
        self.rates = sorted({run["rate"] for run in found["runs"]})

    def bytes(self, transport, rate, *ways):
        """Of a message; down, up, or both ways."""
        return self.each(transport, rate, [f"wire_{way}_bytes" for way in ways or ("down", "up")])

    def packets(self, transport, rate):
        return self.each(transport, rate, ["wire_down_packets", "wire_up_packets"])

    def above(self, transport, rate):
        """Bytes of a message above TCP."""
        whole, packets = self.bytes(transport, rate), self.packets(transport, rate)
        return whole - packets * HEADERS if whole else None

    def each(self, transport, rate, names):
        run = self.runs.get((transport, rate))
        return sum(run["details"][name] for name in names) / run["deliveries"] if run else None

    def latency(self, transport, rate, which):
        """In milliseconds: `mean`, `p50`, `p90`, `p99`, `max`."""
        run = self.runs.get((transport, rate))
        if not run:
            return None
        return run["details"]["latency_mean_ms"] if which == "mean" else run["latency_ms"][which]

    def ratio(self, measure, transport, other, rate):
        """How many times as much one has as another."""
        one, base = measure(transport, rate), measure(other, rate)
        return one / base if one and base else None


def label(transport):
    return NAMES.get(transport, transport)


def shown(value, digits=0):
    return NOTHING if value is None else f"{value:,.{digits}f}"


def row(cells):
    return f"| {' | '.join(cells)} |"


def overview(found):
    """For the terminal."""
    wire = Wire(found)
    yield f"connecting took {found['round_trip_ms']:.1f} ms"
    yield f"{'':16}{'rate':>6}{'messages':>10}{'mean ms':>9}{'p50':>8}{'p90':>8}{'p99':>8}{'max':>8}{'down B':>8}{'up B':>8}{'packets':>8}"
    for (name, rate), run in wire.runs.items():
        numbers = [wire.latency(name, rate, which) for which in ("mean", "p50", "p90", "p99", "max")]
        yield (f"{label(name):16}{rate:>6g}{run['deliveries']:>10}{numbers[0]:>9.1f}" + "".join(f"{number:>8.1f}" for number in numbers[1:])
               + f"{wire.bytes(name, rate, 'down'):>8.0f}{wire.bytes(name, rate, 'up'):>8.0f}{wire.packets(name, rate):>8.2f}")


# ---- the section ----

def section(found):
    wire = Wire(found)
    yield from ("", *facts(found, wire), "", "### Time to the last byte", "")
    yield f"Milliseconds, median / 99 %. The link delays each direction by {found['delay_ms']:.0f}."
    yield from ("", *by_rate(wire, lambda name, rate: " / ".join(shown(wire.latency(name, rate, which)) for which in ("p50", "p99"))))
    yield from ("", "![Time from the publish to the last byte, by transport and rate](transports/latency.svg)", "")
    yield from ("### Bytes for each message", "", "Both directions, and packets in brackets.", "")
    yield from by_rate(wire, lambda name, rate: f"{shown(wire.bytes(name, rate))} ({shown(wire.packets(name, rate), 1)})")
    yield from ("", "![Bytes on the wire for each message, by transport and rate](transports/bytes.svg)", "")
    yield from ("### The old claims", "", *claims(wire), "")


def facts(found, wire):
    machine = found["machine"]
    counts = {rate: min(run["deliveries"] for (_, at), run in wire.runs.items() if at == rate) for rate in wire.rates}
    yield (f"{found['date']}, {machine['cpu']}, {machine['cores']} cores, Linux {machine['kernel']}; connecting over the link took "
           f"{found['round_trip_ms']:.1f} ms. At least " + ", ".join(f"{count:,} messages at {rate:g}/s" for rate, count in counts.items())
           + " for each transport. To repeat it:")
    yield from ("", "```sh", "scripts/transports --json wire.json && scripts/transports --page wire.json", "```")
    wrong = [f"{label(name)} at {rate:g}/s: {run['lost']} lost, {run['doubled']} duplicated, {run['disordered']} out of order"
             for (name, rate), run in wire.runs.items() if run["code"] != 0]
    yield from ("", f"Went wrong: {'; '.join(wrong)}.") if wrong else ("", "Nothing was lost, duplicated or out of order.")


def by_rate(wire, cell):
    yield row(["transport", *(f"{rate:g} a second" for rate in wire.rates)])
    yield "|---|" + "---:|" * len(wire.rates)
    for name in wire.transports:
        yield row([label(name), *(cell(name, rate) for rate in wire.rates)])


def claims(wire):
    """What was claimed of long polling beside what was found, as multiples of a stream."""
    mean = lambda name, rate: wire.latency(name, rate, "mean")
    late = lambda name, rate: wire.latency(name, rate, "p99")
    lines = [("latency of `longpoll` over `stream`, mean", "3", mean, "longpoll", "stream"),
             ("the same, 99 %", "", late, "longpoll", "stream"),
             ("latency of two overlapped long polls over `stream`, mean", "1", mean, "overlap", "stream"),
             ("the same, 99 %", "", late, "overlap", "stream"),
             ("bytes of `longpoll` over `stream`", "20", wire.bytes, "longpoll", "stream"),
             ("bytes of `longpoll` over `ws`", "20", wire.bytes, "longpoll", "ws"),
             (f"the same without the headers of IP and TCP, {HEADERS} bytes a packet", "", wire.above, "longpoll", "ws"),
             ("bytes of two overlapped long polls over `stream`", "", wire.bytes, "overlap", "stream")]
    yield row(["how many times as much", "claimed", *(f"{rate:g} a second" for rate in wire.rates)])
    yield "|---|---:|" + "---:|" * len(wire.rates)
    for what, claimed, measure, one, other in lines:
        yield row([what, claimed, *(shown(wire.ratio(measure, one, other, rate), 2) for rate in wire.rates)])


# ---- the pictures ----

WIDTH, PANEL, LEFT, LONGEST, STEP, THICK = 760, 380, 98, 150, 22, 14
# What a bar that is broken off has more.
BROKEN = 20
# Its own background: the page around a picture may be dark where the reader's system is light.
STYLE = """
text{font:12px system-ui,sans-serif;fill:#1f2328}.t{font-size:13px;font-weight:600}.c{fill:#59636e}
.back{fill:#fff}.stream{fill:#2f6fdb}.poll{fill:#d9923b}.more{opacity:.4}
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.c{fill:#9198a1}
.back{fill:#0d1117}.stream{fill:#5b94f0}.poll{fill:#c9863a}}
"""


def pictures(found):
    """{name: picture}"""
    wire = Wire(found)
    # Plain polls would make all others look the same: their bars are broken off.
    far = max(wire.latency(name, rate, "p99") or 0 for name in wire.transports if name != "poll" for rate in wire.rates)
    latency = lambda name, rate: (wire.latency(name, rate, "p50"), wire.latency(name, rate, "p99"))
    size = lambda name, rate: (wire.bytes(name, rate, "down"), wire.bytes(name, rate))
    return {"latency": drawing(wire, f"Time from the publish to the last byte, {found['delay_ms']:.0f} ms away", "median, pale up to 99 %; ms", latency,
                               lambda most, all_: f"{shown(most)} / {shown(all_)}", far),
            "bytes": drawing(wire, "On the wire for a message of 15 bytes", "from the server, pale: and to it; bytes", size,
                             lambda _, all_: shown(all_))}


def drawing(wire, title, legend, values, text, scale=None):
    """A panel of bars for each rate, two beside each other. `values` gives a bar's dark and whole length; `scale` is the length that
    is still drawn whole, or each panel has its own."""
    parts = [f'<text class="t" x="14" y="25">{escape(title)}</text>', f'<text class="c" x="14" y="43">{escape(legend)}</text>']
    tall = len(wire.transports) * STEP + 46
    for number, rate in enumerate(wire.rates):
        x, y = number % 2 * PANEL, 66 + number // 2 * tall
        parts.append(f'<text class="c" x="{x + 14}" y="{y}">{rate:g} message{"" if rate == 1 else "s"} a second</text>')
        bars = [(name, *values(name, rate)) for name in wire.transports]
        most = scale or max((whole for *_, whole in bars if whole), default=1)
        for line, (name, dark, whole) in enumerate(bars):
            parts += bar(x, y + 10 + line * STEP, name, (dark, whole), most, text(dark, whole))
    height = 66 + (len(wire.rates) + 1) // 2 * tall - 20
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" role="img">',
        f"<title>{escape(title)}</title>", f"<style>{STYLE}</style>",
        f'<rect class="back" width="{WIDTH}" height="{height}" rx="6"/>', *parts, "</svg>", ""])


def bar(x, y, name, lengths, most, text):
    """A name, a bar of two shades and the value at its end."""
    kind = "poll" if name in POLLS else "stream"
    dark, whole = (min(LONGEST * (length or 0) / most, LONGEST + BROKEN) for length in lengths)
    middle = y + THICK // 2 + 4
    yield f'<text x="{x + LEFT - 8}" y="{middle}" text-anchor="end">{escape(label(name))}</text>'
    yield f'<rect class="{kind}" x="{x + LEFT}" y="{y}" width="{max(dark, 1):.1f}" height="{THICK}"/>'
    yield f'<rect class="{kind} more" x="{x + LEFT + dark:.1f}" y="{y}" width="{max(whole - dark, 0):.1f}" height="{THICK}"/>'
    if whole > LONGEST:
        at = x + LEFT + LONGEST + BROKEN / 2
        yield f'<path class="back" d="M{at:.1f} {y - 1}h4l-4 {THICK + 2}h-4z"/>'
    yield f'<text x="{x + LEFT + whole + 7:.1f}" y="{middle}">{escape(text)}</text>'
