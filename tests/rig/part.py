# SPDX-License-Identifier: Apache-2.0
"""Cases shared out among hosts that run side by side."""


def one_of(cases: list, part: str) -> list:
    """The cases of part I of N, written I/N: every Nth, from the Ith."""
    first, _, count = part.partition("/")
    if not (first.isdigit() and count.isdigit() and 1 <= int(first) <= int(count)):
        raise SystemExit(f"part '{part}': expected I/N, I from 1 to N")
    return cases[int(first) - 1::int(count)]
