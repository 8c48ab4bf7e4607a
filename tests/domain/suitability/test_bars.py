"""Every handout against every flag, level, way of asking and hold, compared with a table made from the sources."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pytest

from caseapp.domain.handouts.library import library
from caseapp.domain.screening.protocol import FLAG_LABELS, ITEMS
from caseapp.domain.suitability.rules import assess_for_situation, derive_situation
from caseapp.domain.suitability.schemas import BLOCKED, CAUTION, ELIGIBLE
from tests.support import contexts
from tests.support.bars_table import CODES, TABLE
from tests.support.contexts import safety, screening

if TYPE_CHECKING:
    from collections.abc import Iterator

WATCH, CONCERN, URGENT = 1, 2, 3
ALONE, NOT_ALONE, NOT_ASKED = "alone", "not alone", "not asked"
TOGETHER = {
    "spouse_willingness": "agreed",
    "spouse_contact_wish": "open",
    "living_arrangement": "long_distance",
    "affair_disclosed": "no",
    "order": "none",
}
ABOUT_SCREENING = {CODES["safety unknown"], CODES["fear unknown"], CODES["old screening"]}


@dataclass
class Client:
    """What is known about a client: one flag, the levels, how fear was asked about, a hold, the facts."""

    flag: str | None = None
    levels: dict[str, int | None] = field(default_factory=dict)
    asked: str = ALONE
    hold: str | None = None
    days_ago: int | None = 0
    facts: dict[str, str] = field(default_factory=dict)

    def situation(self):
        """Derive the situation as the application does, from a screening in memory."""
        levels = self.levels | ({"fear_at_home": None} if self.asked == NOT_ASKED else {})
        last = None
        if self.days_ago is not None:
            last = screening(days_ago=self.days_ago, asked_alone=self.asked == ALONE, **levels)
        state = safety(
            holds=(self.hold,) if self.hold else (), flags={self.flag} - {None}, last=last
        )
        return derive_situation(contexts.client(), state, TOGETHER | self.facts)

    def conditions(self) -> set[str]:
        """Name the conditions of the table that are met, by the definitions at its top."""
        screened = self.days_ago is not None
        levels = dict.fromkeys((item.key for item in ITEMS), 0) | self.levels
        if self.asked == NOT_ASKED:
            levels["fear_at_home"] = None
        fear = levels["fear_at_home"] or 0
        others = max(levels["harm_to_others"] or 0, levels["following"] or 0)
        facts = TOGETHER | self.facts
        afraid = self.flag == "violence_flag" or fear >= CONCERN
        harms = self.flag == "client_harm_flag" or others >= CONCERN
        unknown_fear = not screened or self.asked != ALONE or levels["fear_at_home"] is None
        safety_items = ("self_harm", "harm_to_others", "following", "fear_at_home")
        met = {
            "contact block": self.flag == "contact_block"
            or afraid
            or harms
            or facts["order"] != "none"
            or facts["spouse_contact_wish"] == "asked_for_none",
            "harmed or afraid": afraid,
            "harms others": harms,
            "self-harm": self.flag == "self_harm_flag" or (levels["self_harm"] or 0) >= WATCH,
            "safety unknown": unknown_fear or any(levels[key] is None for key in safety_items),
            "fear unknown": unknown_fear,
            "fear at watch": fear >= WATCH,
            "old screening": not screened or self.days_ago > 14,
            "no consent": facts["spouse_willingness"] not in {"several", "agreed"}
            or facts["spouse_contact_wish"] != "open",
            "not far apart": facts["living_arrangement"] != "long_distance",
            "affair": facts["affair_disclosed"] in {"spouse", "client", "both"},
            "order": facts["order"] != "none",
            "eating disorder": self.flag == "eating_disorder_flag"
            or (levels["eating"] or 0) >= CONCERN,
            "withdrawal": self.flag == "withdrawal_risk" or levels["substances"] == URGENT,
            "no safe channel": self.flag == "unsafe_delivery" or fear >= CONCERN,
        }
        return {name for name, applies in met.items() if applies}


def clients() -> Iterator[Client]:
    """Make every client of one flag or none, one raised or unasked item or none, each way of asking, each hold."""
    levels: list[dict[str, int | None]] = [{}]
    levels += [{item.key: level} for item in ITEMS for level in (WATCH, CONCERN, URGENT, None)]
    for flag in (None, *FLAG_LABELS):
        for hold in (None, "care", "safety"):
            for raised in levels:
                for asked in (ALONE, NOT_ALONE, NOT_ASKED):
                    if asked != NOT_ASKED or "fear_at_home" not in raised:
                        yield Client(flag, raised, asked, hold)
            yield Client(flag, hold=hold, days_ago=None)
            yield from (Client(flag, hold=hold, days_ago=days) for days in (14, 15))
            for facts in (
                {"order": "protects_client"},
                {"order": "protects_spouse"},
                {"spouse_contact_wish": "asked_for_none"},
                {"spouse_contact_wish": "space"},
                {"spouse_willingness": "few"},
                {"affair_disclosed": "spouse"},
                {"living_arrangement": "same_home"},
            ):
                yield Client(flag, hold=hold, facts=facts)


CLIENTS = [(client, client.situation(), client.conditions()) for client in clients()]


def expect(row, client, met):
    """Say what the table says: the outcome, the channels and the codes of what blocks."""
    blocked = {CODES[name] for name in row.get("block", []) if name in met}
    if client.days_ago is None and blocked & ABOUT_SCREENING:
        blocked = (blocked - ABOUT_SCREENING) | {"never_screened"}
    if client.hold and client.hold not in row["holds"]:
        blocked.add("hold_open")
    if blocked:
        return BLOCKED, set(), blocked
    channels = set(row.get("channels", ["in_person", "print", "portal"]))
    in_session = met & set(row.get("in_session", []))
    by_hand = met & {"no safe channel", "harmed or afraid"}
    if in_session:
        channels = {"in_person"}
    elif by_hand:
        channels -= {"portal"}
    caution = in_session or by_hand or met & set(row.get("caution", []))
    return (CAUTION if caution else ELIGIBLE), channels, set()


@pytest.mark.parametrize("key", [*library()], ids=".".join)
def test_handout_is_kept_from_exactly_the_clients_of_its_row(key):
    handout, row = library()[key], TABLE[key[0]]
    wrong = []
    for client, situation, met in CLIENTS:
        found = assess_for_situation(handout, situation)
        codes = {reason.code for reason in found.reasons} if found.outcome == BLOCKED else set()
        if (found.outcome, {*found.channels}, codes) != expect(row, client, met):
            wrong.append((client, found))
    assert not wrong, f"{len(wrong)} of {len(CLIENTS)}, first {wrong[0]}"


@pytest.mark.parametrize("key", [*library()], ids=".".join)
def test_handout_that_is_allowed_passes_the_bar_of_a_care_hold_and_no_other(key):
    handout, row = library()[key], TABLE[key[0]]
    other = next(slug for slug in TABLE if slug != handout.id)
    for client, situation, met in CLIENTS:
        if client.hold != "care" or "care" in row["holds"]:
            continue
        allowed = assess_for_situation(handout, replace(situation, allowed=frozenset({handout.id})))
        held = {**row, "holds": ["care"]}
        outcome, channels, codes = expect(held, client, met)
        found = {reason.code for reason in allowed.reasons}
        if outcome == BLOCKED:
            assert (allowed.outcome, found) == (BLOCKED, codes), client
        else:
            assert (allowed.outcome, {*allowed.channels}) == (CAUTION, channels), client
            assert "allowed_in_hold" in found
        for barred in (
            replace(situation, allowed=frozenset({other})),
            replace(situation, allowed=frozenset({handout.id}), hold="safety"),
        ):
            found = {reason.code for reason in assess_for_situation(handout, barred).reasons}
            assert "hold_open" in found, client


@pytest.mark.slow
def test_handout_that_is_named_instead_is_one_that_the_client_may_have():
    """A client who is afraid is never left with a bar alone: something calming stands in for the first worksheet."""
    titles = {handout.title: handout for (_, lang), handout in library().items() if lang == "en"}
    named = set()
    for handout in titles.values():
        for client, situation, met in CLIENTS:
            for reason in assess_for_situation(handout, situation).reasons:
                if reason.way_out.startswith("Use “"):
                    other = titles[reason.way_out[5:].removesuffix("” instead.")]
                    row = TABLE[other.id]
                    assert expect(row, client, met)[0] != BLOCKED, (handout.id, other.id, client)
                    named.add((handout.id, other.id))
    assert ("first-days-pause", "a-few-quiet-minutes") in named
    calm = assess_for_situation(
        library()["a-few-quiet-minutes", "en"], Client("violence_flag", hold="safety").situation()
    )
    assert calm.outcome == CAUTION


def test_table_has_a_sourced_row_for_each_handout_and_known_conditions():
    assert {*TABLE} == {slug for slug, _language in library()}
    for row in TABLE.values():
        assert row["source"]
        named = [
            name for effect in ("block", "in_session", "caution") for name in row.get(effect, [])
        ]
        assert {*named} <= {*CODES}
        assert len(named) == len({*named})


def test_every_condition_is_met_by_some_client_and_not_by_another():
    for name in CODES:
        assert len({name in met for _client, _situation, met in CLIENTS}) == 2, name
