"""Key files: only regular files of our own that nobody else can read, with keys that were drawn at random."""

from __future__ import annotations

import os
import secrets
import stat
import string
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

KEY_BYTES = 32
# Of 10^16 random keys three have fewer.
MIN_DISTINCT_BYTES = 16
PRINTABLE = frozenset(string.printable.encode())


def ensure(path: Path) -> None:
    """Create a key file unless there is one; it is whole from the start, however many processes do so at once."""
    if path.exists():
        return
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    temporary.touch(mode=0o600)
    temporary.write_bytes(secrets.token_bytes(KEY_BYTES))
    try:
        path.hardlink_to(temporary)
    except FileExistsError:
        pass
    finally:
        temporary.unlink()


def read(path: Path) -> bytes:
    """Read a key file.

    Raises OSError, and ValueError when it is a link, isn't ours, can be read by others or is too short.
    """
    key = read_private(path)
    if len(key) < KEY_BYTES:
        raise ValueError(f"{path} must contain at least {KEY_BYTES} random bytes")
    return key


def read_private(path: Path) -> bytes:
    """Read a file with a secret that somebody else has made.

    Raises OSError, and ValueError when it is a link, isn't ours or can be read by others.
    """
    if path.is_symlink():
        raise ValueError(f"{path} is a link; give the path of the file itself")
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ValueError(f"{path} is not a file")
        if status.st_uid != os.geteuid():
            raise ValueError(
                f"{path} belongs to a different user from the one who runs this program"
            )
        if status.st_mode & 0o077:
            raise ValueError(f"{path} can be read by others; set its mode to 0600")
        return os.read(descriptor, status.st_size)
    finally:
        os.close(descriptor)


def check_place(path: Path, data_dir: Path) -> None:
    """Check that a key isn't kept beside what it encrypts.

    Raises ValueError.
    """
    if path.resolve().is_relative_to(data_dir):
        raise ValueError(f"{path} is in the data folder; keep it away from the data it encrypts")


def check_strength(path: Path, key: bytes) -> None:
    """Check that a key looks random: neither a text nor a few bytes over and over.

    Raises ValueError.
    """
    if PRINTABLE.issuperset(key):
        raise ValueError(f"{path} contains text; use random bytes")
    if len(set(key)) < MIN_DISTINCT_BYTES:
        raise ValueError(f"{path} consists of a few bytes repeated; use random bytes")
