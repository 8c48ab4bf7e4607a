"""Stage page: the gate and moves forward and back."""

from datetime import timedelta

import pytest

from caseapp.core.clock import at, now
from caseapp.domain.cases.queries import get_case_context
from caseapp.domain.screening.protocol import ITEMS
from tests.support import builders
from tests.support.staff_pages import StaffBrowser, forms_in

EVIDENCE = {
    "evidence.two_supports_named": "Her sister and Ruth from work.",
    "evidence.pause_described": "She walks round the block first.",
    "evidence.practical_emergencies_listed": "Rent is paid; court on 3 June.",
}
KEYS = [item.key for item in ITEMS]


@pytest.fixture
def ines(team):
    return builders.steady_case(team["coach"], "Ines Okafor")


@pytest.fixture
def address(ines):
    return f"/case/{ines.number}/stage"


def stage_of(team, made):
    return get_case_context(team["coach"], made.case_id).case.stage


def move(desk, address, **changed):
    """Send the form that moves a case forward, the first form of the page."""
    return desk.send(address, **changed)


def test_gate_shows_met_and_unmet_criteria(coach, address):
    text = coach.text(address)
    assert "Before Understand" in text
    assert "3 of 6 met" in text
    assert "Two full screenings at least 7 days apart" in text
    assert "Ask who the client can talk to, and write down two people or services." in text
    assert "Pleading or bargaining" in text


def test_move_with_all_criteria_met_succeeds(team, coach, ines, address):
    answer = move(coach, address, **EVIDENCE)
    assert answer.status_code == 303
    assert stage_of(team, ines) == "understand"
    text = coach.text(answer.headers["Location"])
    assert "Stage changed." in text
    assert "Moved to stage 2, Understand" in text
    page = coach.text(address)
    assert "Before Rebuild" in page
    assert all(line in page for line in EVIDENCE.values())


def test_refused_move_names_criteria_and_keeps_evidence(team, coach, ines, address):
    answer = move(coach, address, **EVIDENCE | {"evidence.pause_described": " "})
    text = answer.get_data(as_text=True)
    assert answer.status_code == 409
    assert "Not met yet: The client can say how they pause before reacting" in text
    assert 'value="Her sister and Ruth from work."' in text
    assert stage_of(team, ines) == "steady"


def test_move_forward_under_hold_is_refused(team, coach, ines, address):
    builders.screen(team["coach"], ines.client_id, sleep="concern")
    text = coach.text(address)
    assert "A care hold is open, so coaching is paused." in text
    assert "See the hold" in text
    answer = move(coach, address, **EVIDENCE)
    assert answer.status_code == 409
    assert stage_of(team, ines) == "steady"


def test_common_blockers_link_to_their_pages(app, team, coach):
    fresh = builders.case(team["coach"], "Aoife Brennan")
    assert "There is no screening yet." in coach.text(f"/case/{fresh.number}/stage")
    builders.screen(team["coach"], fresh.client_id, eating=None)
    assert "Not asked yet: Eating." in coach.text(f"/case/{fresh.number}/stage")
    old = builders.case(team["coach"], "Ruth Adeyemi")
    builders.screen(team["coach"], old.client_id, days_ago=16)
    assert "No question was asked in the last 14 days." in coach.text(f"/case/{old.number}/stage")


def test_brief_check_leaves_the_gate_open(team, coach, ines, address):
    builders.screen(team["coach"], ines.client_id, **dict.fromkeys(KEYS) | {"sleep": "watch"})
    assert move(coach, address, **EVIDENCE).status_code == 303
    assert stage_of(team, ines) == "understand"


def test_gate_names_what_has_to_be_asked_again(app, team):
    made = builders.steady_case(team["coach"], "Aoife Brennan")
    later = now() + timedelta(days=10)
    with at(later):
        brief = dict.fromkeys(KEYS, 0) | {"eating": None, "fear_at_home": None}
        builders.screen(team["coach"], made.client_id, **brief)
    with at(later + timedelta(days=5)):
        text = StaffBrowser(app, team["coach"]).text(f"/case/{made.number}/stage")
    assert "Not asked in the last 14 days: Eating, Fear at home." in text


@pytest.mark.slow
def test_move_back_requires_only_a_reason(team, coach, ines, address):
    move(coach, address, **EVIDENCE)
    token = coach.form(address).fields
    back = token | {"to": "steady"}
    assert coach.post(address, back).status_code == 422
    assert stage_of(team, ines) == "understand"
    assert coach.post(address, back | {"reason": "He left again on Sunday."}).status_code == 303
    assert stage_of(team, ines) == "steady"
    assert "He left again on Sunday." in coach.text(f"/case/{ines.number}")


def test_last_stage_can_be_entered_from_any_stage(team, coach, ines, address):
    fields = coach.form(address).fields
    answer = coach.post(address, fields | {"to": "close"})
    assert answer.status_code == 303
    assert stage_of(team, ines) == "close"
    text = coach.text(address)
    assert "This is the last stage." in text
    assert text.count(" (done)") == 1, "the stages in between were never entered"


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"to": ""}, "to"),
        ({"to": "moon"}, "to"),
        ({"evidence.pause_described": "x" * 501}, "evidence.pause_described"),
        ({"evidence.pause_described": "."}, "evidence.pause_described"),
        ({"reason": "…"}, "reason"),
        ({"speed": "fast"}, "speed"),
        ({"evidence": "all of it"}, "evidence"),
    ],
)
def test_invalid_move_is_refused(team, coach, ines, address, changed, field):
    answer = move(coach, address, **EVIDENCE | changed)
    assert answer.status_code == 422
    assert f'href="#{field}"' in answer.get_data(as_text=True)
    assert stage_of(team, ines) == "steady"


def test_skipping_a_stage_is_refused(team, coach, ines, address):
    assert move(coach, address, **EVIDENCE, to="repair").status_code == 409
    assert stage_of(team, ines) == "steady"


def test_move_sent_twice_moves_once(team, coach, ines, address):
    form = coach.form(address)
    first = coach.post(address, form.fields | EVIDENCE)
    second = coach.post(address, form.fields | EVIDENCE)
    assert (first.status_code, first.location) == (303, second.location)
    assert stage_of(team, ines) == "understand"


def test_stale_move_changes_nothing_and_keeps_evidence(team, coach, ines, address):
    form = coach.form(address)
    details = f"/case/{ines.number}/details"
    coach.send(details, f"{details}/facts", gender="woman")
    answer = coach.post(address, form.fields | EVIDENCE)
    assert answer.status_code == 412
    assert 'value="Her sister and Ruth from work."' in answer.get_data(as_text=True)
    assert stage_of(team, ines) == "steady"


def evidence_in(form):
    """Return the evidence in a form."""
    return {name: value for name, [value] in form.items() if name.startswith("evidence.")}


REFUSALS = {
    "a line is missing": ({"evidence.pause_described": ""}, 409),
    "a line is too long": ({"evidence.pause_described": "y" * 501}, 422),
    "no such stage": ({"to": "moon"}, 422),
    "a stage is skipped": ({"to": "repair"}, 409),
    "the version is old": ({"version": "0"}, 412),
    "the version is missing": ({"version": ""}, 422),
    "a field is unknown": ({"speed": "fast"}, 422),
}


@pytest.mark.parametrize("why", REFUSALS)
def test_refused_move_keeps_all_evidence_in_form(coach, address, why):
    changed, status = REFUSALS[why]
    sent = EVIDENCE | {"evidence.two_supports_named": 'Ruth "from work" & <Kate>'} | changed
    answer = move(coach, address, **sent)
    assert answer.status_code == status
    wanted = {name: line for name, line in sent.items() if name.startswith("evidence.")}
    # The page itself, which was opened anew, has not got them: nothing of a refused move is kept.
    assert evidence_in(coach.form(address).fields) == dict.fromkeys(wanted, "")
    assert evidence_in(forms_in(answer.get_data(as_text=True), address)[0].fields) == wanted


def test_move_refused_by_hold_keeps_all_evidence_in_form(team, coach, ines, address):
    form = coach.form(address)
    builders.screen(team["coach"], ines.client_id, sleep="concern")
    answer = coach.post(address, form.fields | EVIDENCE)
    assert answer.status_code == 409
    assert evidence_in(forms_in(answer.get_data(as_text=True), address)[0].fields) == EVIDENCE


@pytest.mark.parametrize("now", ["understand", "closed"])
def test_evidence_of_a_left_stage_is_shown_to_copy(team, coach, ines, address, now):
    """Another user moved the case first, so the returned form asks for other criteria."""
    form = coach.form(address)
    theirs = dict.fromkeys(EVIDENCE, "As the supervisor heard it.")
    if now == "closed":
        closing = {"outcome": "other", "reason": "decision", "final_screening": "done"}
        coach.send(f"/case/{ines.number}/close", **closing)
    else:
        move(coach, address, **theirs)
    answer = coach.post(address, form.fields | EVIDENCE)
    assert answer.status_code == 409
    text = answer.get_data(as_text=True)
    assert 'id="left-h"' in text
    for line in EVIDENCE.values():
        assert f'<p class="typed">{line}</p>' in text
    assert "Two supports are named" in text
    assert 'id="left-h"' not in coach.text(address)


def test_move_by_other_users_is_refused(app, team, ines, address):
    for who, status in (("coach2", 404), ("admin", 403)):
        desk = StaffBrowser(app, team[who])
        sent = desk.token | EVIDENCE | {"to": "understand", "version": "1"}
        assert desk.post(address, sent).status_code == status
    assert stage_of(team, ines) == "steady"


def test_closed_case_has_no_gate(team, coach, ines, address):
    coach.send(
        f"/case/{ines.number}/close", outcome="other", reason="decision", final_screening="done"
    )
    text = coach.text(address)
    assert "This case is closed." in text
    assert "Before Understand" not in text
