# SPDX-License-Identifier: Apache-2.0
"""Every benchmark, in the order in which they run.

A benchmark is a module with NAME, SUMMARY and measure(context), which gives a Result.
"""
from bench.figures import (block, boot_init, clones, first_instruction, floor, greeting, link, qmp_rtt,
                           restore, sandbox, save)

ALL = (floor, link, save, first_instruction, restore, clones, sandbox, greeting, qmp_rtt, boot_init, block)
