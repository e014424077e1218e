# SPDX-License-Identifier: Apache-2.0
"""What this host's kernel asks of anybody who starts a guest, step by step."""
from bench.lib.context import Case
from bench.lib.guests import cpuid_file, template
from bench.lib.samples import Result, Row

NAME = "floor"
SUMMARY = "the least that starts a guest: step by step, and what other orders of KVM calls cost"
RUNS = 200
VARIANTS = {
    "2 vCPUs": ["--vcpus", "2"],
    "full vCPU state": ["--full-state"],
    "8 doorbells": ["--doorbells", "8"],
    "irqchip in the kernel, last": ["--order", "irqchip-last"],
    "irqchip in the kernel, first": ["--order", "irqchip-first"],
}


def measure(context) -> Result:
    base = [context.tool("floor"), "--template", template(context, 256), "--cpuid",
            cpuid_file(context)]
    timing = context.time([Case("floor", "steps", base)], RUNS)["floor"]
    rows = [Row(name, [ns / 1e3 for ns in values]) for name, values in timing.steps.items()]
    rows.append(timing.row("floor", 1e3))
    rows.append(Row("floor, end of process", [ns / 1e3 for ns in timing.teardown]))
    cases = [Case(label, "steps", base + more) for label, more in VARIANTS.items()]
    for label, variant in context.time(cases, RUNS // 8).items():
        rows.append(variant.row(label, 1e3))
        rows.append(Row(label + ", end", [ns / 1e3 for ns in variant.teardown]))
    return Result(NAME, "us", "vfork+exec to the guest's first OUT, 256 MiB template, 1 vCPU", rows)
