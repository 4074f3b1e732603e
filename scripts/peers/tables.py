"""Turns the raw reports of a comparison into medians, tables and verdicts."""
import statistics

from .scenarios import COMPRESSED_ONCE, CPU, MEASURES, MEMORY, SCENARIOS, SHARD_BOUND, TARGETS, limit_name, shards_of


def medians(runs):
    """{(server, scenario): {heading: median over the rounds}}"""
    reports = {}
    for run in runs:
        if run["report"]:
            reports.setdefault((run["server"], run["scenario"]), []).append(run["report"])
    found = {}
    for key, several in reports.items():
        found[key] = {}
        for measure in MEASURES:
            if measure is MEMORY and SCENARIOS[key[1]].unit == "connections":
                # They are gone again: divided by those of one moment, the sessions that linger say nothing.
                continue
            values = [value for report in several if (value := measure.of(report)) is not None]
            if values:
                found[key][measure.heading] = statistics.median(values)
    return found


def faults(runs, server, scenario):
    """What went wrong in any round, in words."""
    found = []
    mine = [run for run in runs if (run["server"], run["scenario"]) == (server, scenario)]
    for what in ("lost", "doubled", "disordered", "gaps"):
        if count := sum(run["report"].get(what) or 0 for run in mine if run["report"]):
            found.append(f"{count} {what}")
    errors = sum(sum((run["report"].get("errors") or {}).values()) for run in mine if run["report"])
    if errors:
        found.append(f"{errors} errors")
    found += dict.fromkeys(run["complaint"] for run in mine if run["complaint"])
    if failed := [run for run in mine if run["failure"]]:
        found.append(f"{len(failed)} of {len(mine)} runs failed: {failed[0]['failure']}")
    return ", ".join(found)


def results(runs, names, encke):
    """A block of lines for each scenario, a line for each server."""
    middle, lines = medians(runs), []
    for scenario in dict.fromkeys(run["scenario"] for run in runs):
        lines += ["", f"{scenario}: {SCENARIOS[scenario].says} (a million: {SCENARIOS[scenario].unit})"]
        lines.append(row("", *(measure.heading for measure in MEASURES), f"{encke}/it", "it/floor"))
        for server in with_variants(names, runs):
            if not any((run["server"], run["scenario"]) == (server, scenario) for run in runs):
                continue
            own = middle.get((server, scenario), {})
            cells = [shown(own.get(measure.heading), measure.digits) for measure in MEASURES]
            cells.append(shown(divided(middle, encke, server, scenario), 2))
            cells.append(shown(divided(middle, server, "limit", scenario), 2))
            wrong = faults(runs, server, scenario)
            lines.append(row(server, *cells) + (f"  {wrong}" if wrong else ""))
        lines += curves([run for run in runs if run["scenario"] == scenario])
    return lines


def curves(runs):
    """Of a rate that rises: a line for each step of each server's last run, in milliseconds."""
    last, lines = {run["server"]: run["report"] for run in runs if run["report"] and run["report"].get("steps")}, []
    for server, report in last.items():
        lines += [f"  {server}: latency in ms as the rate rises; most deliveries a second: "
                  f"{shown(report['details'].get('peak_deliveries_per_s'), 0)}",
                  row("", "due a second", "came", "median", "90 %", "99 %", "longest", "CPU s/million")]
        for step in report["steps"]:
            latency = [shown(step["latency_ms"][name], 1) for name in ("p50", "p90", "p99", "max")]
            rates = [shown(step[name], 0) for name in ("due_per_s", "came_per_s")]
            lines.append(row("", *rates, *latency, shown(step["cpu_s_per_million"], 2)))
    return lines


def with_variants(names, runs):
    """The servers, each followed by those of its variants that ran."""
    ran = dict.fromkeys(run["server"] for run in runs)
    return [each for name in names for each in (name, *(other for other in ran if other.startswith(f"{name}:")))]


def divided(middle, over, under, scenario):
    """What the scenario compares by, of one server over that of another."""
    parts = [middle.get((server, scenario), {}).get(SCENARIOS[scenario].main.heading) for server in (over, under)]
    return parts[0] / parts[1] if all(parts) else None


def verdicts(runs, names):
    """For each Encke that ran and each target that these runs were to answer: {server, target, measured, bound, holds, counted}."""
    middle, found = medians(runs), []
    scenarios = list(dict.fromkeys(run["scenario"] for run in runs))
    enckes = [name for name in names if name.startswith("encke-")]
    for encke in enckes:
        found += [verdict(encke, target.says(), target.ratio(encke, middle), target.bound)
                  for target in TARGETS if target.is_asked(encke, scenarios, names)]
        found += [compressed(runs, encke, scenario) for scenario in scenarios if scenario in COMPRESSED_ONCE]
        for scenario in scenarios:
            for server in with_variants([encke], [run for run in runs if run["scenario"] == scenario]):
                wrong = faults(runs, server, scenario)
                found.append({"server": server, "target": f"{scenario}: nothing lost, doubled or out of order",
                              "measured": wrong or "nothing", "bound": "nothing", "holds": not wrong, "counted": True})
    if {"encke-1", "encke-2"} <= set(enckes) and "paced" in scenarios:
        growth = divided(middle, "encke-2", "encke-1", "paced")
        found.append(verdict("encke-2", f"paced: {CPU.heading} / encke-1", growth, SHARD_BOUND))
        if limit_name(2) in names:
            # What a second thread costs a machine is in the floor too.
            floor = divided(middle, limit_name(2), limit_name(1), "paced")
            growth = growth / floor if growth and floor else None
            found.append(verdict("encke-2", f"paced: {CPU.heading} / encke-1, each divided by its floor's", growth, SHARD_BOUND))
    return found


def compressed(runs, encke, scenario):
    """How often a message was compressed, at most over the rounds, by the server's own count. Its bound is the number of shards."""
    mine = [run for run in runs if (run["server"], run["scenario"]) == (encke, scenario) and run["report"]]
    counts = [run.get("counts", {}).get("encke_deflated_total") for run in mine]
    # A server that compresses nothing is not one that compresses once.
    each = [count / run["report"]["published"] for count, run in zip(counts, mine) if count and run["report"]["published"]]
    ratio = max(each) if mine and len(each) == len(mine) else None
    return verdict(encke, f"{scenario}: times that a message is compressed, on all shards", ratio, shards_of(encke)) | {"counted": True}


def verdict(server, target, ratio, bound):
    """What could not be measured does not hold. What is `counted` is the same however small a run is."""
    return {"server": server, "target": target, "measured": "no number" if ratio is None else round(ratio, 3), "bound": bound,
            "holds": ratio is not None and ratio <= bound, "counted": False}


def verdict_lines(found):
    lines = ["", "targets"]
    for each in found:
        measured = each["measured"] if isinstance(each["measured"], str) else f"{each['measured']:.2f}"
        bound = each["bound"] if isinstance(each["bound"], str) else f"at most {each['bound']:.2f}"
        lines.append(f"  {'holds' if each['holds'] else 'BROKEN':7}{each['server']:18}{each['target']:73}{measured:>10}  {bound}")
    return lines


def shown(value, digits):
    return "-" if value is None else f"{value:,.{digits}f}"


def row(name, *cells):
    return f"  {name:18}" + "".join(f"{cell:>14}" for cell in cells)
