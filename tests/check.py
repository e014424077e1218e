# SPDX-License-Identifier: Apache-2.0
"""./check: every suite in one run, one closing line.

A build profile is a Meson build folder; a suite is a function that yields results.  The table at
the end is the list of suites, in the order in which they run: what is quick to fail comes first.
"""
import argparse
import json
import os
import queue
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"
SKIP_STATUS = 77
MOST_HOSTS = 4  # of the rig at once; each takes a processor and some GiB of memory

# Profile: compiler and Meson settings.  "gcc" makes the binaries that are shipped and measured.
PROFILES = {
    "gcc": ("gcc", ["-Dbench=true"]),
    "clang": ("clang", []),
    "asan": ("clang", ["-Db_sanitize=address,undefined", "-Db_lundef=false",
                       "-Dfault_injection=true"]),
    "tsan": ("clang", ["-Db_sanitize=thread", "-Db_lundef=false"]),
    "fuzz": ("clang", ["-Dfuzz=libfuzzer", "-Dfuzz_seconds=20", "-Db_sanitize=address,undefined", "-Db_lundef=false"]),
    "arm64": ("gcc", ["--cross-file", str(BUILD / "arm64-cross.ini")]),  # tests/arm writes it
}
UNIT_PROFILES = ("gcc", "clang", "asan", "tsan")
SANITIZER_ENV = {
    "ASAN_OPTIONS": "detect_stack_use_after_return=1:strict_string_checks=1",
    "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
    "TSAN_OPTIONS": "halt_on_error=1:second_deadlock_stack=1",
}


@dataclass
class Result:
    name: str
    outcome: str  # "ok", "not ok" or "skip"
    detail: str = ""


class BuildFailed(Exception):
    pass


def run(command, **kwargs):
    return subprocess.run(command, stdin=subprocess.DEVNULL, cwd=ROOT, text=True,
                          errors="replace", **kwargs)


def build(profile: str) -> Path:
    """The build folder of a profile, up to date."""
    folder = BUILD / profile
    compiler, settings = PROFILES[profile]
    if not (folder / "build.ninja").exists():
        shutil.rmtree(folder, ignore_errors=True)
        done = run(["meson", "setup", folder, *settings], stdout=subprocess.PIPE,
                   stderr=subprocess.STDOUT, env={**os.environ, "CC": compiler}, check=False)
        if done.returncode != 0:
            raise BuildFailed(f"meson setup, profile {profile}:\n{done.stdout[-4000:]}")
    done = run(["ninja", "-C", folder], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
               check=False)
    if done.returncode != 0:
        raise BuildFailed(f"build, profile {profile}:\n{done.stdout[-8000:]}")
    return folder


def meson_log(profile: str, suite: str, arguments=()):
    """Runs a Meson suite in a profile's folder; one record of Meson's log per test program."""
    folder = build(profile)
    log = folder / "meson-logs" / "testlog.json"
    log.unlink(missing_ok=True)
    run(["meson", "test", "-C", folder, "--suite", suite, "--no-rebuild", "--print-errorlogs",
         *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env={**os.environ, **SANITIZER_ENV}, check=False)
    if not log.exists():
        return []
    return [json.loads(line)
            for line in log.read_text(encoding="utf-8", errors="replace").splitlines()]


def meson_results(profile: str, suite: str):
    """The same, as one result per test program."""
    tests = meson_log(profile, suite)
    if not tests:
        yield Result(f"{profile}: {suite}", "not ok", "meson test left no log")
    for test in tests:
        name = f"{profile}: {test['name'].split('/')[-1].split(' ')[-1]}"
        if test["result"] in ("OK", "EXPECTEDFAIL"):
            yield Result(name, "ok")
        elif test["result"] == "SKIP":
            reason = (test.get("stdout") or test.get("stderr") or "").strip()
            yield Result(name, "skip", reason.splitlines()[-1] if reason else "no reason given")
        else:
            text = (test.get("stdout") or "") + (test.get("stderr") or "")
            yield Result(name, "not ok", f"{test['result']}\n{text[-3000:]}")


def program_results(name: str, command, env=None):
    """A runner that prints "ok NAME", "not ok NAME" or "skip NAME: reason" lines as it goes."""
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          text=True, errors="replace", env={**os.environ, **(env or {})}) as child:
        count = 0
        for line in child.stdout:
            line = line.rstrip("\n")
            for outcome in ("not ok", "ok", "skip"):
                if line.startswith(outcome + " "):
                    count += 1
                    title, _, detail = line[len(outcome) + 1:].partition(": ")
                    yield Result(f"{name}: {title}", outcome, detail)
                    break
            else:
                print(f"    {line}")
    if child.returncode not in (0, 1, SKIP_STATUS) or count == 0:
        yield Result(name, "not ok", f"the runner ended with status {child.returncode}")


def side_by_side(name: str, command):
    """As program_results, for a runner that takes --part: an emulated host for each processor."""
    results = queue.SimpleQueue()
    parts = min(os.cpu_count() or 1, MOST_HOSTS)

    def follow(part):
        try:
            for result in program_results(name, [*command, "--part", f"{part}/{parts}"]):
                results.put(result)
        finally:
            results.put(None)

    for part in range(1, parts + 1):
        threading.Thread(target=follow, args=(part,), daemon=True).start()
    for _ in range(parts):
        yield from iter(results.get, None)


def style():
    for script in sorted((ROOT / "tests" / "style").glob("check_*.py")):
        done = run([sys.executable, script, ROOT], stdout=subprocess.PIPE,
                   stderr=subprocess.STDOUT, check=False)
        outcome = {0: "ok", SKIP_STATUS: "skip"}.get(done.returncode, "not ok")
        yield Result(script.stem[len("check_"):], outcome, done.stdout.strip())
    sources = run(["git", "ls-files", "*.[ch]"], stdout=subprocess.PIPE, check=True).stdout.split()
    done = run(["clang-format", "--dry-run", "-Werror", *sources], stdout=subprocess.PIPE,
               stderr=subprocess.STDOUT, check=False)
    yield Result("clang-format", "not ok" if done.returncode else "ok", done.stdout[-2000:])
    scripts = run(["git", "grep", "-lE", "^#!/bin/(ba)?sh"], stdout=subprocess.PIPE,
                  check=False).stdout.split()
    done = run(["shellcheck", *scripts], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
               check=False)
    yield Result("shellcheck", "not ok" if done.returncode else "ok", done.stdout[-2000:])
    yield from clang_tidy()


def clang_tidy():
    """Each file that the clang build compiles, two at a time."""
    folder = build("clang")
    commands = json.loads((folder / "compile_commands.json").read_text(encoding="utf-8"))
    folders = ("util/", "hypervisor/", "devices/", "machine/", "migration/", "qmp/", "stencilctl/")
    files = sorted({str((folder / c["file"]).resolve().relative_to(ROOT)) for c in commands
                    if "/tests/" not in c["file"] and "/bench/" not in c["file"]
                    and ROOT in (folder / c["file"]).resolve().parents})
    files = [name for name in files if name.startswith(folders)]
    done = subprocess.run(["xargs", "-P2", "-n4", "clang-tidy", "--quiet", "-p", str(folder)],
                          input="\n".join(files), stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, text=True, cwd=ROOT, check=False)
    yield Result("clang-tidy", "not ok" if done.returncode else "ok", done.stdout[-4000:])


def unit():
    for profile in UNIT_PROFILES:
        yield from meson_results(profile, "unit")


def guest():
    vmm = build("gcc") / "machine" / "stencil"
    payloads = build("gcc") / "tests" / "guest"
    subject = ["--vmm", str(vmm), "--payloads", str(payloads)]
    payload_runner = [sys.executable, "-m", "tests.guest.run", *subject]
    yield from program_results("guest", [*payload_runner, "--ground", "local"])
    yield from side_by_side("guest in the rig", [*payload_runner, "--rig"])
    yield from program_results("guest", [sys.executable, "-m", "tests.guest.gdb", *subject])


def linux():
    vmm = build("gcc") / "machine" / "stencil"
    yield from program_results("linux", [sys.executable, "-m", "tests.linux", "--vmm", str(vmm)])


def arm():
    yield from program_results("arm", [sys.executable, "-m", "tests.arm"])


def fuzz():
    yield from meson_results("fuzz", "fuzz")


SUITES = {
    "style": (style, "layers, sizes, words, headers, formatter, linter"),
    "unit": (unit, "one program per module: gcc, clang, ASan with UBSan, TSan"),
    "guest": (guest, "freestanding guests that assert from inside, on this KVM and in the rig"),
    "linux": (linux, "stock Debian guests in the rig"),
    "arm": (arm, "the AArch64 cross build and its unit tests under user emulation"),
    "fuzz": (fuzz, "each fuzz target for a while, beyond its corpus"),
}


def run_suite(name: str):
    print(f"== {name}: {SUITES[name][1]}", flush=True)
    started = time.monotonic()
    results = []
    try:
        for result in SUITES[name][0]():
            results.append(result)
            if result.outcome != "ok":
                print(f"{result.outcome} {result.name}: {result.detail}", flush=True)
    except BuildFailed as error:
        results.append(Result(f"{name}: build", "not ok", str(error)))
        print(f"not ok {name}: {error}", flush=True)
    counts = [sum(r.outcome == o for r in results) for o in ("ok", "not ok", "skip")]
    print(f"   {name}: {counts[0]} ok, {counts[1]} not ok, {counts[2]} skipped, "
          f"{time.monotonic() - started:.0f} s", flush=True)
    return results


def main() -> int:
    parser = argparse.ArgumentParser(prog="./check", description="Builds Stencil and proves it.")
    parser.add_argument("suites", nargs="*", metavar="SUITE", help=" ".join(SUITES))
    parser.add_argument("--list", action="store_true", help="name the suites and do nothing")
    arguments = parser.parse_args()
    if arguments.list:
        for name, (_, what) in SUITES.items():
            print(f"{name:6} {what}")
        return 0
    for name in arguments.suites:
        if name not in SUITES:
            parser.error(f"there is no suite '{name}'; there are: {' '.join(SUITES)}")
    results = [r for name in arguments.suites or SUITES for r in run_suite(name)]
    skipped = [r for r in results if r.outcome == "skip"]
    for result in skipped:
        print(f"skipped {result.name}: {result.detail}")
    failed = [r for r in results if r.outcome == "not ok"]
    for result in failed:
        print(f"failed {result.name}")
    print(f"{len(results) - len(failed) - len(skipped)} passed, {len(failed)} failed, "
          f"{len(skipped)} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
