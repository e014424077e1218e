# SPDX-License-Identifier: Apache-2.0
"""A folder of things that take a while to build, each named by a hash of its recipe.

A recipe is whatever text decides the result (package lists, scripts); when it changes the key
changes and the thing is built anew.  Building happens in a temporary folder that is renamed when
it is complete, under a lock: a killed run leaves nothing half made and two runs share one build.
"""
import contextlib
import fcntl
import hashlib
import os
import shutil
import tempfile
import time
from pathlib import Path

UNUSED_DAYS = 14


def cache_folder() -> Path:
    chosen = os.environ.get("STENCIL_CACHE")
    return Path(chosen) if chosen else Path.home() / ".cache" / "stencil"


@contextlib.contextmanager
def locked(path: Path):
    with open(path, "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def recipe_key(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


def cached(name: str, key: str, build) -> Path:
    """The folder `name-key`, made by build(folder) unless it is there already."""
    root = cache_folder()
    root.mkdir(parents=True, exist_ok=True)
    target = root / f"{name}-{key}"
    with locked(root / f".{name}.lock"):
        if not target.is_dir():
            temporary = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=root))
            try:
                build(temporary)
                temporary.chmod(0o755)
                temporary.rename(target)
            except BaseException:
                shutil.rmtree(temporary, ignore_errors=True)
                raise
            forget_unused(root, name)
        os.utime(target)
    return target


def forget_unused(root: Path, name: str) -> None:
    """Removes what older recipes left, once nothing has asked for it for some time."""
    oldest = time.time() - UNUSED_DAYS * 86400
    for folder in [*root.glob(f"{name}-????????????"), *root.glob(f".{name}-*")]:
        if folder.is_dir() and folder.stat().st_mtime < oldest:
            shutil.rmtree(folder, ignore_errors=True)
