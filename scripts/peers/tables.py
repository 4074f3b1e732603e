"""Turns the raw reports of a comparison into medians, tables and verdicts."""
import statistics

from .scenarios import CPU, MEASURES, MEMORY, SCENARIOS, SHARD_BOUND, TARGETS


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
        for server in names:
            if not any((run["server"], run["scenario"]) == (server, scenario) for run in runs):
                continue
            own = middle.get((server, scenario), {})
            cells = [shown(own.get(measure.heading), measure.digits) for measure in MEASURES]
            cells.append(shown(divided(middle, encke, server, scenario), 2))
            cells.append(shown(divided(middle, server, "limit", scenario), 2))
            wrong = faults(runs, server, scenario)
            lines.append(row(server, *cells) + (f"  {wrong}" if wrong else ""))
    return lines


def divided(middle, over, under, scenario):
    """What the scenario compares by, of one server over that of another."""
    parts = [middle.get((server, scenario), {}).get(SCENARIOS[scenario].main.heading) for server in (over, under)]
    return parts[0] / parts[1] if all(parts) else None


def verdicts(runs, names):
    """For each Encke that ran and each target that these runs were to answer: {server, target, measured, bound, holds}."""
    middle, found = medians(runs), []
    scenarios = list(dict.fromkeys(run["scenario"] for run in runs))
    enckes = [name for name in names if name.startswith("encke-")]
    for encke in enckes:
        found += [verdict(encke, target.says(), target.ratio(encke, middle), target.bound)
                  for target in TARGETS if target.is_asked(scenarios, names)]
        for scenario in scenarios:
            wrong = faults(runs, encke, scenario)
            found.append({"server": encke, "target": f"{scenario}: nothing lost, doubled or out of order",
                          "measured": wrong or "nothing", "bound": "nothing", "holds": not wrong})
    if {"encke-1", "encke-2"} <= set(enckes) and "paced" in scenarios:
        found.append(verdict("encke-2", f"paced: {CPU.heading} / encke-1", divided(middle, "encke-2", "encke-1", "paced"), SHARD_BOUND))
    return found


def verdict(server, target, ratio, bound):
    """What could not be measured does not hold."""
    return {"server": server, "target": target, "measured": "no number" if ratio is None else round(ratio, 3), "bound": bound,
            "holds": ratio is not None and ratio <= bound}


def verdict_lines(found):
    lines = ["", "targets"]
    for each in found:
        measured = each["measured"] if isinstance(each["measured"], str) else f"{each['measured']:.2f}"
        bound = each["bound"] if isinstance(each["bound"], str) else f"at most {each['bound']:.2f}"
        lines.append(f"  {'holds' if each['holds'] else 'BROKEN':7}{each['server']:9}{each['target']:78}{measured:>10}  {bound}")
    return lines


def shown(value, digits):
    return "-" if value is None else f"{value:,.{digits}f}"


def row(name, *cells):
    return f"  {name:10}" + "".join(f"{cell:>14}" for cell in cells)
