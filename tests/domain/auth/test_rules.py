"""Rules of portal access, without a database: every combination of what they depend on."""

from __future__ import annotations

from datetime import timedelta
from itertools import chain, combinations, pairwise, product
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caseapp.core.permissions import CONFIRMED_ACTIONS, Action
from caseapp.domain.auth.rules import (
    CHANNELS_BY_WAY,
    SignInStep,
    choose_way,
    derive_sign_in_step,
    find_pin_error,
    is_wait_over,
    lacks_factor,
    list_card_blockers,
    list_remembering_blockers,
    may_enter,
    needs_confirmation,
    needs_other_person,
)
from caseapp.domain.clients.rules import list_channel_blockers
from caseapp.domain.clients.schemas import CHANNELS
from caseapp.domain.screening.protocol import FLAG_LABELS
from tests.support import contexts

EVERY_CHOICE = [
    *chain.from_iterable(combinations(CHANNELS, count) for count in range(len(CHANNELS) + 1))
]


@pytest.mark.parametrize("email", [None, "", "ines@example.test"])
def test_every_choice_of_channels_decides_invitation_and_entry(email):
    for channels in EVERY_CHOICE:
        client, chosen = contexts.client(channels=channels, email=email), set(channels)
        in_person_only = "in_person" in chosen
        portal = "portal" in chosen and not in_person_only
        mail = "email" in chosen and not in_person_only
        blockers = list_channel_blockers(client, (), "portal")
        assert [reason.code for reason in blockers] == ([] if portal else ["portal_not_safe"])
        assert all(reason.message and reason.way_out for reason in blockers)
        assert choose_way(client, ()) == ("link" if email and mail else "card")
        assert may_enter("card", client, ()) == portal
        assert may_enter("link", client, ()) == (portal and mail)
        assert may_enter("device", client, ()) == portal
        for is_others in (False, True):
            found = list_remembering_blockers(client, (), is_others=is_others)
            assert [one.code for one in found] == (
                [] if portal and not is_others else ["device_not_remembered"]
            )


def test_invitation_never_goes_a_way_that_does_not_open():
    for channels in EVERY_CHOICE:
        client = contexts.client(channels=channels, email="ines@example.test")
        if not list_channel_blockers(client, (), "portal"):
            assert may_enter(choose_way(client, ()), client, ())


def test_card_after_a_pin_is_created_by_somebody_else():
    ways = [(way, had_pin) for way in CHANNELS_BY_WAY for had_pin in (False, True)]
    assert [pair for pair in ways if needs_other_person(pair[0], had_pin=pair[1])] == [
        ("card", True)
    ]
    coach, colleague = uuid4(), uuid4()
    for start_code_by, expected in (
        (colleague, []),
        (None, ["card_not_missing"]),
        (coach, ["other_person_needed"]),
    ):
        assert [one.code for one in list_card_blockers(coach, start_code_by)] == expected


@pytest.mark.parametrize("flag", sorted(FLAG_LABELS))
@pytest.mark.parametrize("confirmed_at", [None, contexts.NOW])
def test_link_opens_nothing_while_contact_is_frozen_and_a_card_and_a_device_do(flag, confirmed_at):
    frozen = flag in {"violence_flag", "unsafe_delivery"} and confirmed_at is None
    client = contexts.client(
        channels=("email", "portal"), email="ines@example.test", confirmed_at=confirmed_at
    )
    assert may_enter("card", client, {flag})
    assert may_enter("link", client, {flag}) != frozen
    assert may_enter("device", client, {flag})
    assert list_remembering_blockers(client, {flag}, is_others=False) == []
    assert bool(list_channel_blockers(client, {flag}, "portal")) == frozen


def test_every_way_in_needs_the_portal():
    assert all("portal" in channels for channels in CHANNELS_BY_WAY.values())


@pytest.mark.parametrize("role", ["coach", "supervisor", "admin"])
@pytest.mark.parametrize("roles", [[], ["admin", "supervisor"], ["coach"]])
@pytest.mark.parametrize("has_factor", [False, True])
def test_second_factor_is_lacking_only_where_the_practice_requires_it(role, roles, has_factor):
    assert lacks_factor(role, roles, has_factor=has_factor) == (role in roles and not has_factor)


def test_sign_in_waits_ten_minutes_for_a_code():
    assert not is_wait_over(contexts.NOW, contexts.NOW + timedelta(minutes=10))
    assert is_wait_over(contexts.NOW, contexts.NOW + timedelta(minutes=10, seconds=1))


def test_confirmation_is_due_after_five_minutes_before_some_actions():
    for action in Action:
        limit = contexts.NOW + timedelta(minutes=5)
        assert not needs_confirmation(action, contexts.NOW, contexts.NOW)
        assert not needs_confirmation(action, contexts.NOW, limit)
        due = needs_confirmation(action, contexts.NOW, limit + timedelta(microseconds=1))
        assert due == (action in CONFIRMED_ACTIONS), action


@pytest.mark.parametrize(("pin_verified", "has_pin"), list(product([False, True], repeat=2)))
def test_sign_in_step_for_every_state(pin_verified, has_pin):
    step = derive_sign_in_step(pin_verified=pin_verified, has_pin=has_pin)
    if pin_verified:
        assert step is SignInStep.FIRST_VISIT
    else:
        assert step is (SignInStep.ENTER_PIN if has_pin else SignInStep.CHOOSE_PIN)


@given(st.text())
def test_accepted_pin_has_six_plain_digits(text):
    if find_pin_error(text) is None:
        assert len(text) == 6
        assert set(text) <= set("0123456789")
        assert len(set(text)) >= 3


@given(st.integers(min_value=0, max_value=999_999))
def test_pin_of_six_digits_is_refused_only_when_it_is_easy_to_guess(number):
    pin = f"{number:06}"
    steps = {int(b) - int(a) for a, b in pairwise(pin)}
    easy = len(set(pin)) < 3 or steps in ({1}, {-1}) or pin in {"567890", "098765"}
    assert (find_pin_error(pin) is not None) == easy
