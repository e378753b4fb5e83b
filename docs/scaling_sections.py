"""Sections of docs/performance.md that show `seqrank bench scaling` and `seqrank bench model`."""
from result_tables import memory, number, plain_values, table, verdict

EXPLAINED = [
    "Efficiency is events/s over the number of ranks times the events/s of one rank, repeat by "
    "repeat. Of the steps' time on a rank: *input*, it waited for its batches; *exposed*, its compute "
    "stood still for communication, as long as that of the rank which stood still least; *idle*, it "
    "stood still longer than that one, for slower ranks; *compute*, the rest. "
    "*Hidden* is 1 - exposed / exposed in turn, where every exchange is waited for at once. "
    "*apart*: as many worlds of one side by side, without a word between them.", ""]


def middle(values):
    ordered = sorted(values)
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


def with_range(values, factor=100):
    if not values:
        return "-"
    return (f"{factor * middle(values):.1f} % ({factor * min(values):.1f} to "
            f"{factor * max(values):.1f})")


def point_row(point):
    exchanges = point["load"] in ("weak", "strong")
    shares = point["shares"]
    return [point["load"], point["ranks"], point["hosts"],
            ("yes" if point["overlap"] else "no") if exchanges else "-",
            number(round(middle(point["events_per_s"]))), with_range(point["efficiencies"]),
            f"{1e3 * middle(point['step_seconds']):.2f}",
            *(f"{100 * shares[key]:.1f} %" for key in ("compute", "exposed", "input", "idle")),
            with_range(point.get("hidden_shares", [])), memory(point["peak_bytes"])]


def call_rows(calls):
    """Equal calls as one row."""
    rows = {}
    for call in calls:
        key = (call["operation"], round(call["bytes"]), call["algorithm"])
        rows.setdefault(key, []).append(call)
    return [[operation, len(same), number(size), algorithm,
             f"{1e3 * middle([c['seconds'] for c in same]):.3f}",
             f"{1e-9 * middle([c['bus_bytes_per_s'] for c in same]):.3f}"]
            for (operation, size, algorithm), same in rows.items()]


def width_lines(name, bench, at):
    lines = [f"{bench['model']}, width {at['width']}, {number(at['parameters'])} parameters, "
             f"{number(round(at['events_per_rank']))} events of a rank in a step; "
             f"{bench['repeats']} repeats of {bench['steps']} steps in turns, medians (and ranges "
             f"over repeats), {bench['threads']} thread{'s' if bench['threads'] > 1 else ''} a rank.",
             ""]
    lines += table([name, "ranks", "hosts", "overlap", "events/s", "efficiency", "step, ms",
                    "compute", "exposed", "input", "idle", "hidden", "peak memory of a rank"],
                   [point_row(point) for point in at["points"]])
    timed = [p for p in at["points"] if p["calls"]]
    if timed:
        last = timed[-1]
        lines += [f"Calls of a step on {last['ranks']} ranks, {last['load']}, timed by themselves:",
                  ""]
        lines += table(["operation", "calls", "bytes", "algorithm", "ms", "bus GB/s"],
                       call_rows(last["calls"]))
    return lines


def scaling(records):
    out = list(EXPLAINED)
    for r in records:
        if "widths" not in r.result:
            out += plain_values(r)
            continue
        for at in r.result["widths"]:
            out += width_lines(r.name, r.result, at)
    return out


def cores(records, _):
    return scaling(records)


def hosts(records, goals):
    out = ["Two network namespaces of one machine joined by a wire of limited rate and given delay "
           "(`tests/support/two_hosts`); the wire takes its processor time from the ranks. The width "
           "is one at which communication takes about as long as compute.", ""]
    out += scaling(records)
    for r in records:
        for at in r.result.get("widths", []):
            for point in at["points"]:
                if point.get("hidden_shares"):
                    out += verdict(goals, "scaling-hosts", "hidden_share",
                                   middle(point["hidden_shares"]))
    return out


def points_table(points):
    return table(["rate, Gbit/s", "delay, ms", "ranks", "width", "", "measured, ms", "modelled, ms",
                  "error"],
                 [[f"{p['gbit']:g}", f"{p['ms']:g}", p["ranks"], p["width"], p["what"],
                   f"{1e3 * p['measured']:.2f}", f"{1e3 * p['modelled']:.2f}",
                   f"{100 * p['error']:+.1f} %"] for p in points])


def model(records, goals):
    out = ["Compute is measured at each width in worlds of one; what the network takes is a model "
           "of three numbers, fitted to calls timed by themselves; how much compute slows down "
           "meanwhile is a fourth, fitted to overlapped steps (`docs/adr/0015`). "
           "Measured: medians over repeats.", ""]
    for r in records:
        if not r.name.startswith("scaling-model"):  # what it was fitted to
            continue
        found = r.result["model"]
        fitted = found["model"]
        out += table(["fitted", r.name],
                     [["microseconds of a message, besides the delay",
                       f"{1e6 * fitted['message_seconds']:.1f}"],
                      ["share of the link's rate that is reached",
                       f"{100 * fitted['link_share']:.1f} %"],
                      ["nanoseconds of a byte besides", f"{1e9 * fitted['byte_seconds']:.3f}"],
                      ["share of its speed at which compute goes on meanwhile",
                       f"{100 * fitted['compute_speed']:.1f} %"]])
        for held_out, title in ((True, "Held out, at widths and rates that were not fitted to:"),
                                (False, "Fitted to:")):
            out += [title, ""] + points_table([p for p in found["points"]
                                               if p["held_out"] == held_out])
        out += verdict(goals, "scaling-model", "largest_error_held_out",
                       found["largest_error_held_out"], at_most=True)
        out += forecasts(r)
    return out


def forecasts(r):
    found = r.result["model"]
    if not found["forecasts_modelled"]:
        return []
    out = ["### Beyond what was measured: modelled", "",
           "**Nothing in this table was measured.** The model's rules, the recorded step stretched to "
           "the speed of a device, and the figures of `launch/configs/h100.ini`, which names their "
           "sources. Hierarchical rings, weak scaling.", ""]
    return out + table(
        [f"width {found['forecast_width']}, modelled: devices", "nodes", "step, ms", "compute, ms",
         "communication, ms", "exposed, ms", "efficiency", "events/s"],
        [[number(f["devices"]), number(f["nodes"]),
          *(f"{1e3 * f[key]:.3f}" for key in ("step_seconds", "compute_seconds",
                                               "communication_seconds", "exposed_seconds")),
          f"{100 * f['efficiency']:.1f} %", number(round(f["events_per_s"]))]
         for f in found["forecasts_modelled"]])
