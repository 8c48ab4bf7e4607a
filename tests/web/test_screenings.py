"""Screening page: records answers and opens what they require."""

from datetime import timedelta

import pytest

from caseapp.core.clock import at, now
from caseapp.core.transaction import transaction
from caseapp.domain.cases.operations import close_case
from caseapp.domain.cases.queries import lock_case
from caseapp.domain.cases.schemas import CaseClosing
from caseapp.domain.practice.queries import today
from caseapp.domain.screening.history import get_safety_history
from caseapp.domain.screening.protocol import ITEMS
from tests.domain.alerts.steps import the_alert
from tests.support import builders
from tests.support.staff_pages import StaffBrowser, Statements, forms_in

NONE = {item.key: "none" for item in ITEMS}


@pytest.fixture
def ines(team):
    return builders.case(team["coach"], "Ines Okafor")


@pytest.fixture
def address(ines):
    return f"/case/{ines.number}/screening"


def test_page_without_screening_shows_empty_state(coach, address):
    text = coach.text(address)
    assert "Not screened yet." in text
    assert text.count("What the levels mean<span") == len(ITEMS)
    assert coach.form(address).fields["sleep"] == ["not_asked"]


def test_calm_screening_is_recorded_and_shown(coach, ines, address):
    answer = coach.send(
        address,
        **NONE | {"sleep": "watch", "eating": "not_asked"},
        asked_alone="yes",
        actions_taken=["gave_numbers"],
        comment="Sleeps by the window.",
    )
    assert answer.headers["Location"] == address
    text = coach.text(address)
    assert "Screening recorded." in text
    assert "Sleeps by the window." in text
    assert "gave the help line numbers" in text
    assert "Last time: watch" in text
    assert "Not asked yet" in text
    found = get_safety_history(ines.client_id).screenings[0]
    assert found.levels == dict.fromkeys(NONE, 0) | {"sleep": 1, "eating": None}
    assert found.asked_alone


@pytest.mark.slow
def test_circumstances_are_ticked_and_shown(team, coach, ines, address):
    text = coach.text(address)
    assert "A box that isn’t ticked means that the client didn’t mention it." in text
    sent = coach.send(address, **NONE, circumstances=["pregnancy", "leaving"])
    assert sent.headers["Location"] == address
    for page in (address, f"/case/{ines.number}"):
        assert "Is pregnant, or has a baby under one year" in coach.text(page)
    assert "Recorded before: Is pregnant" in coach.text(address)
    sent = coach.send(address, **NONE, asked_alone="yes", circumstances=["choking"])
    assert sent.headers["Location"].endswith("/hold")
    assert "Fear at home counts as Urgent." in coach.text(address)


GONE = "He handed the rifle in at the police station."


def test_circumstance_is_said_to_have_ended(coach, ines, address):
    coach.send(address, **NONE, circumstances=["weapons", "leaving"])
    form = f"{address}/circumstances"
    sent = coach.send(address, form, circumstance="weapons", reason=GONE)
    assert sent.headers["Location"] == f"{address}#circumstances-h"
    text = coach.text(address)
    assert "Recorded. This circumstance is no longer current." in text
    assert GONE in text
    assert f"by {coach.actor.name}" in text
    assert "Recorded before: Is leaving the partner" in text
    case_page = coach.text(f"/case/{ines.number}")
    assert "Circumstance ended" in case_page
    current = case_page.partition("<h3>Circumstances</h3>")[2].partition("</ul>")[0]
    assert "Is leaving the partner" in current
    assert "firearm" not in current


@pytest.mark.slow
def test_end_without_a_choice_or_a_reason_keeps_what_was_typed(coach, ines, address):
    coach.send(address, **NONE, circumstances=["weapons", "leaving"])
    form = f"{address}/circumstances"
    for sent, field, kept in (
        ({"circumstance": "weapons", "reason": "Gone."}, "reason", "Gone."),
        ({"circumstance": "", "reason": GONE}, "circumstance", GONE),
        ({"circumstance": "moon", "reason": GONE}, "circumstance", GONE),
    ):
        answer = coach.send(address, form, **sent)
        assert answer.status_code == 422
        text = answer.get_data(as_text=True)
        assert f'href="#{field}"' in text
        assert kept in text
    assert "Write how it ended, in 20 characters or more." in coach.send(
        address, form, circumstance="weapons", reason=""
    ).get_data(as_text=True)
    assert {one.ended for one in get_safety_history(ines.client_id).circumstances} == {None}


def test_end_of_a_circumstance_that_was_mentioned_again_meanwhile_is_refused(coach, ines, address):
    with at(now() - timedelta(days=1)):
        builders.screen(coach.actor, ines.client_id, circumstances=["weapons"])
    form = coach.form(address, f"{address}/circumstances")
    builders.screen(coach.actor, ines.client_id, circumstances=["weapons"])
    fields = form.fields | {"circumstance": ["weapons"], "reason": [GONE]}
    refused = coach.post(form.action, fields)
    text = refused.get_data(as_text=True)
    assert refused.status_code == 409
    assert "The circumstance was not ended" in text
    assert "Check the day. If the circumstance has ended since then, send it again" in text
    assert GONE in text
    shown = forms_in(text, address, form.action)[0]
    assert coach.post(form.action, shown.fields).status_code == 303
    [found] = get_safety_history(ines.client_id).circumstances
    assert found.ended.reason == GONE


@pytest.mark.slow
def test_choking_cannot_end_and_the_page_says_what_to_do(coach, ines, address):
    coach.send(address, **NONE, circumstances=["choking", "leaving"])
    text = coach.text(address)
    assert (
        "This can’t be ended. If it was ticked by mistake, mark that screening as recorded" in text
    )
    form = coach.form(address, f"{address}/circumstances")
    refused = coach.post(form.action, form.fields | {"circumstance": ["choking"], "reason": [GONE]})
    assert refused.status_code == 409
    assert "once it has happened, the danger stays" in refused.get_data(as_text=True)
    coach.send(address, form.action, circumstance="leaving", reason=GONE)
    assert "Which one has ended?" not in coach.text(address)


@pytest.mark.slow
def test_level_that_falls_steeply_needs_a_reason(coach, ines, address):
    coach.send(address, **NONE | {"sleep": "urgent"})
    answer = coach.send(address, **NONE)
    text = answer.get_data(as_text=True)
    assert answer.status_code == 422
    assert "Sleep (from Urgent to None)" in text
    assert (
        coach.send(address, **NONE, below_reason="He has slept for six nights.").status_code == 303
    )
    assert "He has slept for six nights." in coach.text(address)


def test_concern_redirects_to_hold_page(coach, address):
    answer = coach.send(address, **NONE | {"fear_at_home": "concern"})
    assert answer.headers["Location"].endswith("/hold")
    text = coach.text(answer.headers["Location"])
    assert "A hold is open. These are the required actions." in text
    assert "Believe the client. Do not advise staying or leaving." in text
    assert "999" in text
    assert "Do this now" in coach.text(address)


@pytest.mark.parametrize("path", ["/case/{}/hold", "/case/{}/screening", "/alerts/{}"])
@pytest.mark.parametrize("after", ["brief check", "late entry", "calm answers"])
def test_immediate_steps_follow_the_answers_that_count_now(app, team, ines, path, after):
    coach, supervisor = team["coach"], team["supervisor"]
    if after == "late entry":
        builders.screen(coach, ines.client_id)
        builders.screen(
            coach, ines.client_id, session_at=now() - timedelta(days=4), self_harm="urgent"
        )
    else:
        builders.screen(coach, ines.client_id, self_harm="urgent")
        unasked = {item.key: None for item in ITEMS if item.key != "sleep"}
        builders.screen(coach, ines.client_id, **unasked if after == "brief check" else {})
    part = the_alert().id if "alerts" in path else ines.number
    page = StaffBrowser(app, supervisor).text(path.format(part))
    heading = "What the coach does now" if "alerts" in path else "Do this now"
    assert (f"{heading}</h2>" in page) == (after != "calm answers")


@pytest.mark.parametrize("level", ["none", "watch"])
def test_calm_answers_show_no_immediate_steps(coach, address, level):
    coach.send(address, **NONE | {"self_harm": level})
    assert "Do this now</h2>" not in coach.text(address)


@pytest.mark.parametrize(
    ("sent", "field"),
    [
        ({}, "levels"),
        ({"sleep": "terrible"}, "sleep"),
        ({"sleep": "3"}, "sleep"),
        (NONE | {"comment": "x" * 2001}, "comment"),
        (NONE | {"actions_taken": ["prayed"]}, "actions_taken"),
        (NONE | {"circumstances": ["moon"]}, "circumstances"),
        (NONE | {"below_reason": "x" * 501}, "below_reason"),
        (NONE | {"mood": "none"}, "mood"),
        (NONE | {"form_key": None}, "form_key"),
    ],
)
def test_invalid_answers_record_nothing(coach, ines, address, sent, field):
    answer = coach.send(address, **sent)
    assert answer.status_code == 422
    assert f'href="#{field}"' in answer.get_data(as_text=True)
    assert get_safety_history(ines.client_id).screenings == []


def test_answers_are_kept_on_error(coach, address):
    answer = coach.send(address, **NONE | {"sleep": "urgent", "comment": "x" * 2001})
    text = answer.get_data(as_text=True)
    assert 'name="sleep" value="urgent" checked' in text
    assert "x" * 2001 in text


def test_form_sent_twice_records_one_screening(coach, ines, address):
    form = coach.form(address)
    fields = form.fields | NONE | {"sleep": "concern"}
    first, second = (coach.post(form.action, fields) for _ in range(2))
    assert first.headers["Location"] == second.headers["Location"]
    assert len(get_safety_history(ines.client_id).screenings) == 1


def test_screening_page_for_other_users_is_refused(app, team, ines, address):
    for who, status in (("coach2", 404), ("admin", 403)):
        desk = StaffBrowser(app, team[who])
        assert desk.get(address).status_code == status
        sent = desk.token | desk.key_for(address) | NONE
        assert desk.post(address, sent).status_code == status
    assert get_safety_history(ines.client_id).screenings == []


@pytest.mark.slow
def test_table_is_paginated_with_constant_statement_count(team, coach, ines, address):
    counts = []
    for rows in (10, 40):
        for number in range(rows):
            builders.screen(team["coach"], ines.client_id, days_ago=number + 1)
        coach.text(address)
        with Statements() as heard:
            text = coach.text(address)
        counts.append(len(heard.seen))
    assert counts[0] == counts[1]
    assert text.count('<th scope="row" class="who">') == 25
    assert "Next page" in text


REASON = "Two short nights before an exam."
SINCE = "lasting_since."


@pytest.fixture
def tired(team, ines):
    """Return a case whose client has slept and eaten badly for 19 days."""
    builders.screen(team["coach"], ines.client_id, days_ago=19, sleep="watch", eating="watch")
    return ines


def decision(coach, address, **sent):
    fields = {name.replace("__", "."): value for name, value in sent.items()}
    return coach.send(address, f"{address}/decisions", **fields)


def test_reported_day_is_asked_for_until_an_item_has_an_answer(coach, ines, address):
    form = coach.form(address)
    asked = {name.removeprefix(SINCE) for name in form.fields if name.startswith(SINCE)}
    assert asked == {item.key for item in ITEMS if not item.safety}
    since = today() - timedelta(days=40)
    answers = NONE | {"sleep": "watch", "eating": "not_asked", f"{SINCE}sleep": since.isoformat()}
    coach.send(address, **answers)
    assert get_safety_history(ines.client_id).screenings[0].lasting_since == {"sleep": since}
    form = coach.form(address)
    assert [name for name in form.fields if name.startswith(SINCE)] == [f"{SINCE}eating"]
    text = coach.text(address)
    assert "for 40 days" in text
    assert "as the client reported" in text


def test_wrong_reported_day_is_refused_at_its_field_and_kept(coach, ines, address):
    tomorrow = (today() + timedelta(days=1)).isoformat()
    answer = coach.send(address, **NONE | {"sleep": "watch", f"{SINCE}sleep": tomorrow})
    text = answer.get_data(as_text=True)
    assert answer.status_code == 422
    assert f'href="#{SINCE}sleep"' in text
    assert f'value="{tomorrow}"' in text
    assert get_safety_history(ines.client_id).screenings == []


def test_wrong_reported_day_never_keeps_a_safety_hold_from_being_opened(coach, ines, address):
    tomorrow = (today() + timedelta(days=1)).isoformat()
    answers = NONE | {"sleep": "watch", f"{SINCE}sleep": tomorrow, "self_harm": "urgent"}
    assert coach.send(address, **answers).headers["Location"].endswith("/hold")
    assert get_safety_history(ines.client_id).screenings[0].lasting_since == {}


@pytest.mark.parametrize("path", ["/case/{}", "/case/{}/screening", "/note/{}", "/today"])
def test_proposed_concern_stands_on_the_pages_of_the_case_and_on_today(team, coach, tired, path):
    note_id = builders.draft(team["coach"], tired.case_id)
    text = coach.text(path.format(note_id if "note" in path else tired.number))
    assert "Is this a concern?" in text or "Are these concerns?" in text
    assert "Sleep: at Watch or above for 19 days" in text
    assert "#decide-h" in text or 'id="decide-h"' in text


def test_declined_proposal_is_gone_until_it_is_asked_again(coach, tired, address):
    answer = decision(
        coach, address, decision__sleep="declined", reason__sleep=REASON, decision__eating="concern"
    )
    assert answer.headers["Location"] == f"/case/{tired.number}/hold"
    text = coach.text(address)
    assert 'id="decide-h"' not in text
    assert "Eating: at Watch or above since" in text


def test_declining_alone_stays_on_the_page(coach, tired, address):
    answer = decision(coach, address, decision__sleep="declined", reason__sleep=REASON)
    assert answer.headers["Location"] == address
    text = coach.text(address)
    assert "Decision recorded." in text
    assert "Eating: at Watch or above for" in text
    assert "Sleep: at Watch or above for" not in text


@pytest.mark.parametrize(
    ("sent", "field"),
    [
        ({}, "decision"),
        ({"reason__sleep": REASON}, "decision"),
        ({"decision__sleep": "declined"}, "reason.sleep"),
        (
            {"decision__sleep": "declined", "reason__sleep": "  \u200b\u2060 short " * 3},
            "reason.sleep",
        ),
        ({"decision__sleep": "perhaps"}, "decision.sleep"),
        ({"decision__self_harm": "declined"}, "decision.self_harm.key"),
    ],
)
def test_incomplete_decision_is_refused_at_its_field(coach, tired, address, sent, field):
    answer = decision(coach, address, **sent)
    assert answer.status_code == 422
    assert f'href="#{field}"' in answer.get_data(as_text=True)


@pytest.mark.slow
def test_closed_case_asks_for_no_decision(team, coach, tired, address):
    builders.screen(team["coach"], tired.client_id, sleep="watch")
    assert "decide-h" in coach.text("/today")
    with transaction():
        closing = CaseClosing(
            "other", "decision", "done", "", follow_up_consent=False, follow_up_on=None
        )
        close_case(team["coach"], lock_case(team["coach"], tired.case_id), closing, 1)
    for path in (address, f"/case/{tired.number}", "/today"):
        assert "decide-h" not in coach.text(path)


WHY = "Wrong key: she was never asked."


@pytest.mark.slow
def test_screening_is_marked_as_recorded_in_error_and_stays_visible(team, coach, ines, address):
    screening_id = builders.screen(team["coach"], ines.client_id, self_harm="urgent")
    here = f"{address}/{screening_id}/error"
    for page in (address, f"/case/{ines.number}/hold"):
        assert f'href="{here}"' in coach.text(page)
    answer = coach.send(here, reason="x")
    assert answer.status_code == 422
    assert "in 20 characters or more" in answer.get_data(as_text=True)
    fields = coach.form(here).fields | {"reason": WHY}
    answers = [coach.post(here, fields) for _ in range(2)]
    assert {answer.headers["Location"] for answer in answers} == {address}
    page = coach.text(address)
    assert "Marked as recorded in error." in page
    assert WHY in page
    assert 'id="now-h"' not in page
    page = coach.text(f"/case/{ines.number}/hold")
    assert "No hold is open." in page
    assert "It was not released." in page
    page = coach.text(f"/case/{ines.number}")
    assert WHY in page
    assert "These ended too, without being released or completed: the safety hold, one flag" in page
    page = coach.text(f"/case/{ines.number}/follow-ups?done=yes")
    assert "Recorded in error" in page


@pytest.mark.slow
def test_supervisor_sees_what_was_recorded_in_error_until_acknowledged(app, team, ines, address):
    screening_id = builders.screen(team["coach"], ines.client_id, self_harm="urgent")
    StaffBrowser(app, team["coach"]).send(f"{address}/{screening_id}/error", reason=WHY)
    supervisor = StaffBrowser(app, team["supervisor"])
    for page in ("/today", "/alerts"):
        assert "Answers recorded in error for Ines Okafor" in supervisor.text(page)
    assert "Marta Lindqvist" in supervisor.text("/alerts")


def test_page_says_who_can_mark_a_screening(app, team, coach, ines, address):
    with at(now() - timedelta(minutes=58)):
        screening_id = builders.screen(team["coach"], ines.client_id)
    here = f"{address}/{screening_id}/error"
    fields = coach.form(here).fields | {"reason": WHY}
    with at(now() + timedelta(minutes=3)):
        answer = coach.post(here, fields)
        assert answer.status_code == 409
        assert WHY in answer.get_data(as_text=True)
        assert "Ask a supervisor who did not record it." in coach.text(here)
    assert "What is wrong with these answers" in StaffBrowser(app, team["supervisor"]).text(here)


def test_screening_of_another_client_looks_missing(team, coach, ines, address):
    other = builders.case(team["coach"], "Mara Lind")
    screening_id = builders.screen(team["coach"], other.client_id)
    assert coach.get(f"{address}/{screening_id}/error").status_code == 404
