# SPDX-License-Identifier: Apache-2.0
"""Refuses an edit of the state tables that would break templates which people have.

    vmstate_compat.py STENCIL ACCEPTED     compare what the program says with the accepted schema
    vmstate_compat.py --self-test          does the comparison notice what it must?

docs/migration/compat.md says what may change and how.
"""
import copy
import json
import subprocess
import sys
from pathlib import Path


def by_name(items: list) -> dict:
    return {item["name"]: item for item in items}


def compare_field(path: str, old: dict, new: dict) -> list:
    bad = []
    for key in ("kind", "form", "count", "since"):
        if old.get(key) != new.get(key):
            bad.append(f"{path}: {key} was {old.get(key)}, is {new.get(key)}")
    if new.get("max-count", 0) < old.get("max-count", 0):
        bad.append(f"{path}: max-count was {old['max-count']}, is {new.get('max-count')}")
    if "table" in old and "table" in new:
        bad += compare_table(path, old["table"], new["table"])
    return bad


def compare_table(path: str, old: dict, new: dict) -> list:
    bad = []
    if new["version"] < old["version"]:
        bad.append(f"{path}: version was {old['version']}, is {new['version']}")
    if new["min-version"] > old["min-version"]:
        bad.append(f"{path}: min-version was {old['min-version']}, is {new['min-version']}:"
                   " templates of that age no longer load")
    old_fields, new_fields = by_name(old["fields"]), by_name(new["fields"])
    for name, field in old_fields.items():
        if name in new_fields:
            bad += compare_field(f"{path}.{name}", field, new_fields[name])
        else:
            bad.append(f"{path}.{name}: is gone")
    for name in new_fields.keys() - old_fields.keys():
        if new_fields[name]["since"] <= old["version"]:
            bad.append(f"{path}.{name}: is new, and must be since version {old['version'] + 1}")
    old_parts, new_parts = by_name(old.get("subsections", [])), by_name(new.get("subsections", []))
    for name, part in old_parts.items():
        if name in new_parts:
            bad += compare_table(f"{path}/{name}", part, new_parts[name])
        else:
            bad.append(f"{path}/{name}: is gone")
    return bad


def compare(old: dict, new: dict) -> list:
    bad = [f"{name}: is gone" for name in sorted(old.keys() - new.keys())]
    for name in sorted(old.keys() & new.keys()):
        bad += compare_table(name, old[name], new[name])
    return bad


def make_table() -> dict:
    leaf = {"name": "leaf", "version": 1, "min-version": 1, "fields": [
        {"name": "x", "kind": "u8", "form": "one", "since": 1}]}
    return {"t": {"name": "t", "version": 2, "min-version": 1, "subsections": [copy.deepcopy(leaf)], "fields": [
        {"name": "a", "kind": "u32", "form": "one", "since": 1},
        {"name": "b", "kind": "u64", "form": "resized", "max-count": 8, "since": 2},
        {"name": "c", "kind": "struct", "form": "one", "since": 1, "table": leaf}]}}


def self_test() -> int:
    """Each edit with what must be said of it; None: nothing."""
    def field(t, index):
        return t["t"]["fields"][index]

    new_field = {"name": "d", "kind": "u8", "form": "one", "since": 3}
    edits = [
        (lambda t: None, None),
        (lambda t: t.pop("t"), "t: is gone"),
        (lambda t: t.update(u=t["t"]), None),
        (lambda t: t["t"]["fields"].pop(0), "t.a: is gone"),
        (lambda t: t["t"]["fields"].reverse(), None),
        (lambda t: field(t, 0).update(kind="u64"), "t.a: kind was u32, is u64"),
        (lambda t: field(t, 0).update(since=2), "t.a: since was 1, is 2"),
        (lambda t: field(t, 1).update({"max-count": 4}), "t.b: max-count was 8, is 4"),
        (lambda t: field(t, 1).update({"max-count": 9}), None),
        (lambda t: t["t"]["fields"].append({**new_field, "since": 2}), "t.d: is new, and must be since version 3"),
        (lambda t: (t["t"]["fields"].append(new_field), t["t"].update(version=3)), None),
        (lambda t: t["t"].update(version=1), "t: version was 2, is 1"),
        (lambda t: t["t"].update({"min-version": 2}), "t: min-version was 1, is 2"),
        (lambda t: t["t"]["subsections"].clear(), "t/leaf: is gone"),
        (lambda t: t["t"]["subsections"][0]["fields"].clear(), "t/leaf.x: is gone"),
        (lambda t: field(t, 2)["table"]["fields"].clear(), "t.c.x: is gone"),
    ]
    failed = 0
    for number, (edit, expected) in enumerate(edits):
        new = make_table()
        edit(new)
        said = compare(make_table(), new)
        if (expected is None and said) or (expected and not any(s.startswith(expected) for s in said)):
            print(f"edit {number}: expected {expected}, got {said}")
            failed += 1
    print(f"{len(edits) - failed} of {len(edits)} edits judged rightly")
    return failed != 0


def main() -> int:
    if sys.argv[1:] == ["--self-test"]:
        return self_test()
    stencil, accepted = sys.argv[1:]
    text = subprocess.run([stencil, "-dump-vmstate"], stdout=subprocess.PIPE, check=True).stdout
    old, new = json.loads(Path(accepted).read_text(encoding="utf-8")), json.loads(text)
    bad = compare(old, new)
    if bad:
        print("\n".join(bad))
        print("old templates would not load any more; docs/migration/compat.md says how to change a table")
        return 1
    if old != new:
        print(f"compatible, but not what {accepted} says; bring it up to date:\n"
              f"    {stencil} -dump-vmstate > {accepted}")
        return 1
    print(f"{len(new)} tables are as accepted")
    return 0


sys.exit(main())
