"""The budget of an API token, or of a program with all of its tokens: how many requests it may send in a minute.

They are counted in memory, so that no request writes for it. Each process counts for itself and forgets when it ends: a
token may send as many times more as there are processes.
"""

from __future__ import annotations

from collections import Counter
from threading import Lock
from typing import TYPE_CHECKING

from caseapp.core import settings
from caseapp.core.clock import now
from caseapp.core.errors import TooManyAttempts

if TYPE_CHECKING:
    from uuid import UUID

MINUTE = 60
_counted: Counter[tuple[int, UUID]] = Counter()
_lock = Lock()


def count_request(sender_id: UUID) -> None:
    """Count a request of a token, or of a program, which gets new tokens as often as it asks for them.

    Raises TooManyAttempts when the setting TOKEN_REQUESTS allows no more in this minute; 0 allows any number.
    """
    allowed = settings.active().token_requests
    if not allowed:
        return
    minute, second = divmod(int(now().timestamp()), MINUTE)
    with _lock:
        for key in [key for key in _counted if key[0] != minute]:
            del _counted[key]
        _counted[minute, sender_id] += 1
        used = _counted[minute, sender_id]
    if used > allowed:
        raise TooManyAttempts(
            f"This token or program has sent more than {allowed} requests in a minute. Wait, then try again.",
            MINUTE - second,
        )
