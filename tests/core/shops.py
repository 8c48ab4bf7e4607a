"""Workshops for the tests of work apart: what `tests.core.works` does is asked of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from caseapp.core.workshop import Stopped, Workshop


def shop_of(*told, hands=2):
    return Workshop("tests.core.works", lambda: [*told], hands=hands)


def children(pid):
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def foreman_of(shop):
    return shop._foreman.pid  # noqa: SLF001 - which process it is stands nowhere else


def stopped(shop, job):
    with pytest.raises(Stopped) as found:
        shop.do(job)
    return str(found.value)
