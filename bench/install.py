"""
Gets what the bench needs into `bench/.work`: nothing is installed into the system, no service is started.

nginx and wrk are taken from the system where they are; else their Debian packages are downloaded by `apt-get` (which
needs no root) and unpacked. LiteLLM's proxy and py-spy get an environment of their own from a lock with hashes.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
WORK = ROOT / "bench" / ".work"
UNPACKED = WORK / "debs"
PACKAGES = {
    "nginx": ("nginx", "nginx-light", "nginx-core"),
    "h2load": ("nghttp2-client", "libnghttp2-14", "libev4", "libjemalloc2", "libcares2", "libc-ares2"),
    "wrk": ("wrk", "libluajit-5.1-2", "libluajit-5.1-common"),
}


class Missing(Exception):
    """Something the bench cannot get by itself; the text says what to install."""


def _run(command: Sequence[str], cwd: Path) -> None:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        last = "\n".join((done.stdout + done.stderr).strip().splitlines()[-5:])
        raise Missing(f"`{' '.join(command)}` failed:\n{last}")


def _unpacked(name: str) -> Path | None:
    for folder in ("usr/sbin", "usr/bin"):
        if (found := UNPACKED / folder / name).is_file():
            return found
    return None


def program(name: str) -> str:
    """Where `nginx` or `wrk` is; fetched if nobody has it."""
    seen = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if seen:
        return seen
    if not _unpacked(name):
        print(f"{name} is not installed: unpacking its Debian package into {UNPACKED.relative_to(ROOT)}", flush=True)
        UNPACKED.mkdir(parents=True, exist_ok=True)
        for package in PACKAGES[name]:
            try:
                _run(["apt-get", "download", package], UNPACKED)
            except Missing:
                if package == PACKAGES[name][0]:
                    hint = (
                        f"Install it (Debian, Ubuntu: apt-get install {PACKAGES[name][-1 if name == 'nginx' else 0]})."
                    )
                    raise Missing(f"{name} is not here and could not be downloaded. {hint}") from None
        for deb in sorted(UNPACKED.glob("*.deb")):
            _run(["dpkg", "-x", str(deb), str(UNPACKED)], UNPACKED)
            deb.unlink()
    found = _unpacked(name)
    if found is None:
        raise Missing(f"the Debian package of {name} did not bring the program: install {name} by hand.")
    libraries = {str(path.parent) for path in (UNPACKED / "usr/lib").rglob("*.so*")}
    os.environ["LD_LIBRARY_PATH"] = ":".join(sorted(libraries))
    return str(found)


def needed() -> None:
    """`taskset` and `setpriv` are part of every Debian; elsewhere one line says what is missing."""
    lost = [name for name in ("taskset", "setpriv") if not shutil.which(name)]
    if lost or sys.platform != "linux":
        raise Missing(f"the bench needs Linux with util-linux; missing here: {', '.join(lost) or 'Linux'}.")


def environment(name: str) -> Path:
    """The `bin` of an environment made from `requirements/<name>.lock`; made again when the lock changes."""
    lock = ROOT / "requirements" / f"{name}.lock"
    home = WORK / name
    mark = home / "lock.sha256"
    wanted = hashlib.sha256(lock.read_bytes()).hexdigest()
    if not mark.is_file() or mark.read_text() != wanted:
        print(f"installing {name} from {lock.relative_to(ROOT)} into {home.relative_to(ROOT)} (once)", flush=True)
        shutil.rmtree(home, ignore_errors=True)
        _run([sys.executable, "-m", "venv", str(home)], ROOT)
        pip = [str(home / "bin" / "python"), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
        _run([*pip, "--require-hashes", "-r", str(lock)], ROOT)
        mark.write_text(wanted)
    return home / "bin"


def versions() -> dict[str, str]:
    """What the yardsticks and the load generator say they are."""
    nginx = subprocess.run([program("nginx"), "-v"], capture_output=True, text=True, check=False).stderr
    wrk = subprocess.run([program("wrk"), "-v"], capture_output=True, text=True, check=False).stdout
    return {"nginx": nginx.rpartition("/")[2].strip(), "wrk": wrk.partition("[")[0].replace("wrk", "").strip()}


def version(name: str) -> str:
    """The version of the package that an environment is named for."""
    code = f"import importlib.metadata as m; print(m.version({name!r}))"
    done = subprocess.run([environment(name) / "python", "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()
