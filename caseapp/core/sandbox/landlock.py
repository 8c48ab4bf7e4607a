"""Landlock: what a process, and all that it starts, may do with files and with processes outside (Linux 5.13 or later).

See the kernel's "Landlock: unprivileged access control". A process gives up rights that it can't get back, and needs no
privilege for it.
"""

from __future__ import annotations

import ctypes
import os
import stat
import struct
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
CREATE_RULESET_VERSION = 1
RULE_PATH_BENEATH = 1
WRITE_FILE, READ_FILE, READ_DIR, TRUNCATE = 1 << 1, 1 << 2, 1 << 3, 1 << 14
REMOVE_DIR, REMOVE_FILE, MAKE_DIR, MAKE_REG = 1 << 4, 1 << 5, 1 << 7, 1 << 8
READ = READ_FILE | READ_DIR
WRITE = READ | WRITE_FILE | TRUNCATE | REMOVE_DIR | REMOVE_FILE | MAKE_DIR | MAKE_REG
# How many rights over files each version knows; a version that isn't listed knows those of the last one.
FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
FIRST_WITH_NETWORK, FIRST_WITH_SCOPES = 4, 6
ALL_NETWORK = 0b11
"""Binding and connecting a TCP socket."""
ALL_SCOPES = 0b11
"""Connecting to abstract Unix sockets and sending signals outside."""

_libc = ctypes.CDLL(None, use_errno=True)


def get_version() -> int:
    """Return the version that the running kernel offers; 0 when it has none or has it switched off."""
    return max(0, int(_libc.syscall(CREATE_RULESET, None, 0, CREATE_RULESET_VERSION)))


def restrict(*, readable: Iterable[Path], writable: Iterable[Path]) -> None:
    """Allow this process to read and write in these places only, and nothing that Landlock knows beside.

    Paths that don't exist are left out. Raises OSError when the kernel refuses.
    """
    version = get_version()
    known = (1 << FILE_RIGHTS.get(version, max(FILE_RIGHTS.values()))) - 1
    attributes = struct.pack("=Q", known)
    if version >= FIRST_WITH_NETWORK:
        attributes += struct.pack("=Q", ALL_NETWORK)
    if version >= FIRST_WITH_SCOPES:
        attributes += struct.pack("=Q", ALL_SCOPES)
    ruleset = _call(CREATE_RULESET, attributes, len(attributes), 0)
    try:
        for rights, paths in ((READ, readable), (WRITE, writable)):
            for path in paths:
                with suppress(FileNotFoundError, PermissionError):
                    _allow(ruleset, path, rights & known)
        _call(RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: Path, rights: int) -> None:
    place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        if not stat.S_ISDIR(os.fstat(place).st_mode):
            rights &= READ_FILE | WRITE_FILE | TRUNCATE
        _call(ADD_RULE, ruleset, RULE_PATH_BENEATH, struct.pack("=Qi", rights, place), 0)
    finally:
        os.close(place)


def _call(number: int, *arguments: int | bytes) -> int:
    result = int(_libc.syscall(number, *arguments))
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result
