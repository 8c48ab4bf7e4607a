"""Known devices: what a browser's cookie says about who has signed in there, so that strangers can't hold them up.

The cookie names nobody: for each account it holds a keyed hash, which no one else can make. By itself it opens nothing:
it gives the account's next tries on this device a budget of their own. Where a client has let us remember the device,
its random name stands for a link or card, and the PIN is asked for as always (`remembered_devices`).
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass

from caseapp.domain.keys.queries import fingerprint

# Of accounts on one device, such as a shared computer in a practice.
MOST_ACCOUNTS = 8
COOKIE = re.compile(r"[0-9a-f]{32}(\.[a-z2-7]{26}){1,8}")


@dataclass(frozen=True)
class Device:
    """A browser by its own random name, with the marks of the accounts that have signed in there, newest first."""

    name: str = ""
    marks: tuple[str, ...] = ()

    def knows(self, account: str) -> bool:
        """Tell whether somebody has signed in to this account on this device."""
        return bool(self.name) and _mark(self.name, account) in self.marks

    def remembering(self, account: str) -> Device:
        """Return this device with an account that has just signed in there."""
        name = self.name or secrets.token_hex(16)
        mark = _mark(name, account)
        others = [other for other in self.marks if other != mark]
        return Device(name, (mark, *others)[:MOST_ACCOUNTS])

    def as_cookie(self) -> str:
        """Return the text of the cookie."""
        return ".".join((self.name, *self.marks))


def _mark(name: str, account: str) -> str:
    return fingerprint("attempt", f"device\n{name}\n{account}")


NO_DEVICE = Device()


def read_device(cookie: str) -> Device:
    """Read the device of a cookie; without one, or with something else in it, it knows nobody."""
    if COOKIE.fullmatch(cookie) is None:
        return NO_DEVICE
    name, *marks = cookie.split(".")
    return Device(name, tuple(marks))
