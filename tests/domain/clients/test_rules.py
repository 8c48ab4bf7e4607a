"""Which ways of contact may be used, for every choice of channels and every flag."""

from __future__ import annotations

from itertools import chain, combinations

import pytest

from caseapp.domain.clients.rules import list_channel_blockers, list_usable_channels
from caseapp.domain.clients.schemas import CHANNELS
from caseapp.domain.screening.protocol import FLAG_LABELS
from tests.support.contexts import NOW, client, complete

CHOICES = [
    *chain.from_iterable(combinations(CHANNELS, count) for count in range(len(CHANNELS) + 1))
]


@pytest.mark.parametrize("flag", [None, *sorted(FLAG_LABELS)])
@pytest.mark.parametrize("confirmed_at", [None, NOW])
def test_only_safe_channels_are_usable_and_every_refusal_names_a_way_out(flag, confirmed_at):
    flags = {flag} - {None}
    frozen = flag in {"violence_flag", "unsafe_delivery"} and confirmed_at is None
    for channels in CHOICES:
        person = client(channels=channels, confirmed_at=confirmed_at)
        expected = set() if "in_person" in channels else set(channels)
        if frozen:
            expected &= {"call"}
        if flag == "violence_flag":
            expected -= {"voicemail"}
        assert set(list_usable_channels(person, flags)) == expected
        for channel in CHANNELS:
            blockers = list_channel_blockers(person, flags, channel)
            assert bool(blockers) == (channel not in expected)
            assert complete(blockers)
