"""What a worker gives up before its first job: root, the network, files, other processes and most memory.

Each step is enforced by the kernel and can't be undone by the process. The workers also run without root where the
server has it; gunicorn does that.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from caseapp.core.sandbox import landlock, seccomp
from caseapp.core.settings import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterable

    from caseapp.core.sandbox.protocol import Limits

CLONE_NEWNET = 0x40000000
LIBRARIES = ("/usr/lib", "/usr/lib64", "/lib", "/lib64", "/usr/local/lib", "/dev/urandom")
CAP_SETGID, CAP_SETUID = 6, 7


def list_missing() -> list[str]:
    """Name the protections that this machine lacks."""
    found = {
        "Landlock (Linux 5.13 or later)": landlock.get_version() > 0,
        "seccomp filters (x86-64 or ARM64)": seccomp.is_supported(),
    }
    return [name for name, present in found.items() if not present]


def leave_network() -> bool:
    """Move this process to an empty network namespace; return whether it may, which takes root.

    Without it workers are still refused every socket by seccomp.
    """
    return bool(ctypes.CDLL(None).unshare(CLONE_NEWNET) == 0)


def may_change_user() -> bool:
    """Return whether this process is root and may become another user; in a container root may lack that."""
    status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    [mask] = [line.split()[1] for line in status.splitlines() if line.startswith("CapEff:")]
    needed = 1 << CAP_SETGID | 1 << CAP_SETUID
    return os.geteuid() == 0 and int(mask, 16) & needed == needed


def confine(limits: Limits, *, readable: Iterable[Path], writable: Iterable[Path]) -> None:
    """Confine this process for good, as far as this machine can; it also ends when its parent does.

    Raises OSError when the kernel refuses a step that it offers.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    for option, value in (
        (seccomp.PR_SET_PDEATHSIG, signal.SIGKILL),
        (seccomp.PR_SET_NO_NEW_PRIVS, 1),
    ):
        if libc.prctl(option, value, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl")
    _limit_resources(limits)
    if landlock.get_version() > 0:
        landlock.restrict(readable=readable, writable=writable)
    if seccomp.is_supported():
        seccomp.restrict()


def _limit_resources(limits: Limits) -> None:
    for kind, most in (
        (resource.RLIMIT_AS, limits.memory_bytes),
        (resource.RLIMIT_CPU, int(limits.jobs_per_worker * limits.cpu_seconds)),
        (resource.RLIMIT_FSIZE, limits.file_bytes),
        (resource.RLIMIT_NOFILE, 64),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard = resource.getrlimit(kind)
        least = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (least, least))


def list_libraries() -> list[Path]:
    """List where code lies that may be imported late; the folder of this program is not among it, nor its data."""
    packages = [path for path in map(Path, sys.path) if path.is_absolute() and path != ROOT]
    return [*packages, *map(Path, LIBRARIES)]
