# SPDX-License-Identifier: Apache-2.0
"""A template of full RAM beside the plain parallel write() of the same bytes."""
import json
import subprocess

from bench.lib.samples import Goal, Result, Row

NAME = "save"
SUMMARY = "save of full RAM to a new file, beside write() of the same bytes"
RUNS = 30
MIB = 256


def measure(context) -> Result:
    out = subprocess.run([context.tool("savebench"), context.scratch, str(MIB),
                          str(context.runs or RUNS)], stdout=subprocess.PIPE, check=True).stdout
    rows = [Row(label, [ns / 1e6 for ns in times]) for label, times in json.loads(out).items()]
    return Result(NAME, "ms", f"{MIB} MiB that is not zero, stopped, no fsync", rows,
                  [Goal("a save reaches 80 % of the rate of write()", "save", "write", 1.25)])
