# SPDX-License-Identifier: Apache-2.0
"""stencil.1 from its text and what -help says: make.py TEMPLATE STENCIL > stencil.1"""
import re
import subprocess
import sys


def roff(text):
    """As it is: dashes that can be typed, no escapes, no requests."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return re.sub(r"^([.'])", r"\\&\1", text)


def form_of(text):
    """What follows an option, which may be longer than a line: it can break before each part."""
    return re.sub(r"(?=\[)|(?<=\|)", r"\\:", roff(text))


def options(help_text):
    """-help is groups of options: a title, then two blanks for an option, eight for its text."""
    groups = help_text.split("\n\n", 1)[1]
    for line in groups.splitlines():
        if match := re.fullmatch(r"(\S.*):", line):
            yield f".SS {roff(match[1])}"
        elif match := re.match(r"  (-\S+)((?:, -\S+)*)(?: (.*))?$", line):
            form = f" \\fI{form_of(match[3])}\\fR" if match[3] else ""
            yield f".TP\n\\fB{roff(match[1] + match[2])}\\fR{form}"
        elif line.strip():
            yield roff(line.strip())


def main():
    template, stencil = sys.argv[1:]
    help_text = subprocess.run([stencil, "-help"], stdout=subprocess.PIPE, check=True,
                               text=True).stdout
    with open(template, encoding="utf-8") as file:
        print(file.read().replace("@OPTIONS@", "\n".join(options(help_text))), end="")


main()
