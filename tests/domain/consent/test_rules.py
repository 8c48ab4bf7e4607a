from dataclasses import replace
from datetime import date, timedelta
from uuid import UUID

import pytest

from caseapp.core.errors import RuleBroken
from caseapp.domain.clients.queries import LockedClient
from caseapp.domain.clients.rules import may_be_mailed
from caseapp.domain.consent.queries import LockedTexts
from caseapp.domain.consent.rules import (
    LONGEST_AGO,
    check_publish,
    check_withdraw,
    choose_text,
    derive_consent,
    derive_standing,
    find_consent_faults,
    find_withdrawal_faults,
)
from caseapp.domain.consent.schemas import (
    ConsentTextRecord,
    ConsentWithdrawal,
    NewConsent,
    NewConsentText,
)
from caseapp.domain.handouts.library import library
from caseapp.domain.suitability.rules import assess_for_situation, derive_situation
from tests.support import contexts
from tests.support.contexts import KEY, NOW, TODAY

DAY = timedelta(days=1)
TEXT, OTHER = UUID(int=11), UUID(int=12)
EARLIER = {TEXT: TODAY - 2 * DAY}


def client(**changed):
    return replace(contexts.client(email="ines@example.test", channels=("email",)), **changed)


@pytest.mark.parametrize(
    ("changed", "published", "state"),
    [
        ({}, 0, "given"),
        ({}, 1, "earlier_text"),
        ({"consent_version": 0}, 1, "earlier_text"),
        ({"consent_version": 1}, 1, "given"),
        ({"consent_version": 1}, 2, "earlier_text"),
        ({"consent_on": None}, 0, "missing"),
        ({"consent_on": None}, 1, "missing"),
        ({"consent_on": None, "consent_version": 0}, 0, "given"),
        ({"consent_version": 1, "consent_withdrawn_on": TODAY}, 1, "withdrawn"),
        ({"consent_on": None, "consent_withdrawn_on": TODAY}, 1, "withdrawn"),
    ],
)
def test_consent_counts_until_another_text_is_published(changed, published, state):
    found = derive_consent(client(**changed), published)
    assert (found.state, found.is_given) == (state, state == "given")
    assert found.withdrawn_on == (TODAY if state == "withdrawn" else None)


@pytest.mark.parametrize(
    ("new", "published", "withdrawn_on", "faults"),
    [
        (NewConsent(TODAY, "written"), {}, None, set()),
        (NewConsent(TODAY, "written"), EARLIER, None, {"text_id"}),
        (NewConsent(TODAY, "written", OTHER), EARLIER, None, {"text_id"}),
        (NewConsent(TODAY, "written", OTHER), {}, None, {"text_id"}),
        (NewConsent(TODAY, "written", TEXT), EARLIER, TODAY, set()),
        (NewConsent(TODAY - DAY, "written", TEXT), EARLIER, TODAY, {"given_on"}),
        (NewConsent(TODAY + DAY, "written", TEXT), EARLIER, None, {"given_on"}),
        (NewConsent(TODAY - 2 * DAY, "written", TEXT), EARLIER, None, set()),
        (NewConsent(TODAY - 3 * DAY, "written", TEXT), EARLIER, None, {"given_on"}),
        (NewConsent(TODAY - LONGEST_AGO, "written"), {}, None, set()),
        (NewConsent(date.min, "written"), {}, None, {"given_on"}),
    ],
)
def test_consent_names_a_published_text_and_a_day_after_a_withdrawal(
    new, published, withdrawn_on, faults
):
    found = find_consent_faults(new, client(consent_withdrawn_on=withdrawn_on), published, TODAY)
    assert {*found} == faults


@pytest.mark.parametrize(
    ("day", "last_given_on", "is_right"),
    [
        (TODAY, None, True),
        (TODAY, TODAY, True),
        (TODAY - DAY, None, True),
        (TODAY - DAY, TODAY, False),
        (TODAY + DAY, None, False),
        (TODAY - LONGEST_AGO, None, True),
        (date.min, None, False),
    ],
)
def test_withdrawal_is_neither_in_the_future_nor_before_the_newest_consent(
    day, last_given_on, is_right
):
    new = ConsentWithdrawal(day, "spoken", "She told Sam.")
    faults = find_withdrawal_faults(new, last_given_on, TODAY)
    assert {*faults} == (set() if is_right else {"withdrawn_on"})


@pytest.mark.parametrize(
    ("entries", "standing"),
    [
        ([], (None, None)),
        ([(True, 0, TODAY)], (0, None)),
        ([(True, 2, TODAY), (True, 1, TODAY)], (2, None)),
        ([(True, 2, TODAY), (False, 0, TODAY)], (2, TODAY)),
        ([(True, 2, TODAY), (False, 0, TODAY), (True, 1, TODAY)], (1, None)),
    ],
)
def test_standing_follows_from_the_entries_that_count(entries, standing):
    assert derive_standing(entries) == standing


def test_withdrawal_is_recorded_once():
    check_withdraw(LockedClient(client(), KEY))
    with pytest.raises(RuleBroken) as refused:
        check_withdraw(LockedClient(client(consent_withdrawn_on=TODAY), KEY))
    assert refused.value.reasons[0].code == "consent_already_withdrawn"


def test_text_is_a_new_version_or_a_translation_into_a_further_language():
    none, one = LockedTexts(0, frozenset()), LockedTexts(1, frozenset({"en-GB"}))
    text = NewConsentText("en-GB", "We keep notes about what you tell us.")
    assert [check_publish(none, text), check_publish(one, text)] == [1, 2]
    assert check_publish(one, replace(text, language="es", is_translation=True)) == 1
    for texts, code in ((none, "no_consent_text"), (one, "consent_text_published")):
        with pytest.raises(RuleBroken) as refused:
            check_publish(texts, replace(text, is_translation=True))
        assert refused.value.reasons[0].code == code


def test_form_proposes_the_newest_text_in_the_clients_language():
    def text(version, language):
        return ConsentTextRecord(UUID(int=version), version, language, "", NOW, TEXT, "")

    texts = [text(2, "en-GB"), text(2, "en-US"), text(1, "es")]
    assert choose_text(texts, "en-US") == texts[1]
    assert choose_text(texts, "es") == texts[0]
    assert choose_text([], "es") is None


def test_withdrawal_stops_every_handout_and_mail_and_nothing_else_does():
    state = contexts.safety(last=contexts.screening())
    for withdrawn_on in (None, TODAY):
        person = client(consent_withdrawn_on=withdrawn_on)
        situation = derive_situation(person, state, {})
        codes = [
            {reason.code for reason in assess_for_situation(handout, situation).reasons}
            for handout in library().values()
        ]
        stopped = ["consent_withdrawn" in found for found in codes]
        assert (all(stopped), any(stopped)) == (bool(withdrawn_on), bool(withdrawn_on))
        assert may_be_mailed(person, ()) == (withdrawn_on is None)
        assert may_be_mailed(person, (), is_requested=True)
        assert not may_be_mailed(replace(person, email=None), (), is_requested=True)
    missing = derive_situation(client(consent_on=None), state, {})
    assert not missing.consent_withdrawn
    assert may_be_mailed(client(consent_on=None), ())
