# SPDX-License-Identifier: Apache-2.0
"""What every benchmark is given: the built programs, a scratch folder, and the stopwatch."""
import json
import shutil
import subprocess
import tempfile
from pathlib import Path

from bench.lib.samples import Row

TOP = Path(__file__).resolve().parents[2]
LAUNCH_LIMIT = 900  # seconds for one call of the stopwatch, however many runs


class Case:
    """One program for the stopwatch; until is byte, steps, exit, text:TEXT or qmp:SOCKET."""

    def __init__(self, label: str, until: str, argv: list):
        self.label = label
        self.words = ["--case", label, until, *map(str, argv)]


class Timing:
    """What the stopwatch says of one case, in nanoseconds."""

    def __init__(self, case: dict):
        self.total = case["total"]
        self.teardown = case["teardown"]
        self.steps = case["steps"]
        self.failures = case["failures"]

    def row(self, label: str, scale=1e6) -> Row:
        return Row(label, [ns / scale for ns in self.total], self.failures)


def launch_command(launch, cases: list, runs: int, timeout_ms: int) -> list:
    return [str(launch), "--json", "--runs", str(runs), "--timeout", str(timeout_ms),
            *(word for case in cases for word in case.words)]


def read_timings(text: str) -> dict:
    if not text.startswith("{"):
        raise RuntimeError(f"the stopwatch said {text!r}")
    return {case["name"]: Timing(case) for case in json.loads(text)["cases"]}


class Context:
    def __init__(self, build: Path, stencil, runs, logs: Path):
        self.build = build
        self.stencil = stencil
        self.runs = runs  # None: each figure's own number
        self.logs = logs
        self.scratch = Path(tempfile.mkdtemp(prefix="stencil-bench-"))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.scratch, ignore_errors=True)

    def tool(self, name: str) -> Path:
        return self.build / "bench" / name

    def time(self, cases: list, runs: int, timeout_ms=10000) -> dict:
        """Runs the cases in turns, here; label -> Timing.  Messages of the programs go to a log."""
        return self.time_exactly(cases, self.runs or runs, timeout_ms)

    def time_exactly(self, cases: list, runs: int, timeout_ms: int) -> dict:
        command = launch_command(self.tool("launch"), cases, runs, timeout_ms)
        command.insert(1, "--real-time")
        with open(self.logs / "programs.log", "ab") as log:
            done = subprocess.run(command, stdout=subprocess.PIPE, stderr=log,
                                  timeout=LAUNCH_LIMIT, check=False)
        return read_timings(done.stdout.decode())
