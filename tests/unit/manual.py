# SPDX-License-Identifier: Apache-2.0
"""Manual pages and completion say what the programs do: manual.py STENCIL STENCILCTL MANUALS..."""
import re
import shutil
import subprocess
import sys
from pathlib import Path

SHARE = Path(__file__).resolve().parents[2] / "share"


def output(*command, **kwargs):
    return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
                          check=True, **kwargs).stdout


def read(page):
    """The page as people see it; as plain words where there is no groff."""
    if not shutil.which("groff"):
        return Path(page).read_text(encoding="utf-8").replace("\\-", "-").replace("\\~", " ")
    done = subprocess.run(["groff", "-man", "-ww", "-Tutf8", "-P-cbou", "-rLL=78n", page],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=True)
    assert not done.stderr, done.stderr
    return done.stdout.replace("\N{HYPHEN}", "-").replace("\N{MINUS SIGN}", "-")


def names_of(help_text):
    """The first word of every line with two blanks: verbs and options."""
    names = re.findall(r"^  ([-a-zA-Z][^\s,]*)", help_text, re.M)
    assert len(names) > 10, help_text
    return names


def page_has(page, names):
    text = read(page)
    for name in names:
        assert re.search(rf"^ +{re.escape(name)}(?![\w-])", text, re.M), (page, name)
    return text


def complete(program, script, *words):
    """What bash offers for the last of words."""
    line = " ".join(f"'{word}'" for word in (program, *words))
    text = output("bash", "-c", f"source {SHARE}/bash-completion/{script}; COMP_WORDS=({line}); "
                  f"COMP_CWORD={len(words)}; _{script}; printf '%s\\n' \"${{COMPREPLY[@]}}\"")
    return text.split()


def main():
    stencil, stencilctl, stencil_page, stencilctl_page = sys.argv[1:]
    page_has(stencil_page, names_of(output(stencil, "-help")))
    text = page_has(stencilctl_page, names_of(output(stencilctl, "--help")))
    for status in range(5):
        assert re.search(rf"^ +{status} ", text.split("EXIT STATUS")[1], re.M), status
    assert complete(stencilctl, "stencilctl", "st") == ["status", "stop"]
    assert "--json" in complete(stencilctl, "stencilctl", "--")
    assert complete(stencilctl, "stencilctl", "-s", "x", "wait", "run") == ["running"]
    assert complete(stencilctl, "stencilctl", "template", "") == ["show"]
    assert complete(stencilctl, "stencilctl", "-s", "/et") == ["/etc"]
    assert complete(stencil, "stencil", "-mach") == ["-machine"]
    assert "-M" in complete(stencil, "stencil", "-")
    assert "microvm" in complete(stencil, "stencil", "-machine", "")
    assert "virtio-blk-device" in complete(stencil, "stencil", "-device", "virtio-b")
    assert complete(stencil, "stencil", "-kernel", "/et") == ["/etc"]
    print("the manual has it all")


main()
