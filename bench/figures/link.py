# SPDX-License-Identifier: Apache-2.0
"""How the way of linking shows in every single start; docs/decisions/0001-linking.md."""
from bench.lib.context import Case
from bench.lib.samples import Goal, Result, Row

NAME = "link"
SUMMARY = "exec to main, and the first call of each library, by way of linking"
RUNS = 200
SETS = ("none", "glib", "json-c", "fdt", "uring", "all")
WAYS = ("static", "static-pie", "dynamic")


def measure(context) -> Result:
    cases = [Case(f"{libraries} {way}", "steps", [context.tool(f"link-{libraries}-{way}")])
             for libraries in SETS for way in WAYS]
    cases.insert(0, Case("no libc", "steps", [context.tool("link-bare")]))
    rows = []
    for group in (cases[:10], cases[10:]):  # the stopwatch takes only so many
        for label, timing in context.time(group, RUNS).items():
            rows.append(Row(label, [ns / 1e3 for ns in timing.steps["main"]], timing.failures))
            if label.startswith("all"):
                rows.append(Row(label + ", first use",
                                [ns / 1e3 for ns in timing.steps["first-use"]]))
    return Result(NAME, "us", "vfork+exec to main of a program that calls each library once", rows,
                  [Goal("static-pie costs at most 5 % over a fixed address", "all static-pie",
                        "all static", 1.05),
                   Goal("static-pie at most 0.7x dynamic", "all static-pie", "all dynamic", 0.7)])
