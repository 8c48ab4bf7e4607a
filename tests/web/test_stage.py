"""The stage page: the gate as a list of tasks, the move forward, the move back."""

import pytest

from caseapp.domain.cases.queries import case_head
from tests.support import builders
from tests.support.staff_pages import Desk, forms_in

EVIDENCE = {
    "evidence.two_supports_named": "Her sister and Ruth from work.",
    "evidence.pause_described": "She walks round the block first.",
    "evidence.practical_emergencies_listed": "Rent is paid; court on 3 June.",
}


@pytest.fixture
def ines(team):
    return builders.steady_case(team["coach"], "Ines Okafor")


@pytest.fixture
def address(ines):
    return f"/case/{ines.number}/stage"


def stage_of(team, made):
    return case_head(team["coach"], made.case_id).case.stage


def move(desk, address, **changed):
    """Send the form that moves a case forward, which is the first of the page."""
    return desk.send(address, **changed)


def test_the_gate_says_what_is_met_and_how_to_meet_the_rest(coach, address):
    text = coach.text(address)
    assert "Before Understand" in text
    assert "3 of 6 met" in text
    assert "Two full screenings at least 7 days apart" in text
    assert "Ask who the client can talk to, and write down two people or services." in text
    assert "Pleading or bargaining" in text


def test_a_case_moves_on_when_every_condition_is_met(team, coach, ines, address):
    answer = move(coach, address, **EVIDENCE)
    assert answer.status_code == 303
    assert stage_of(team, ines) == "understand"
    text = coach.text(answer.headers["Location"])
    assert "The case has moved." in text
    assert "Moved to stage 2, Understand" in text
    assert "Before Rebuild" in coach.text(address)


def test_what_is_missing_is_named_and_the_lines_are_kept(team, coach, ines, address):
    answer = move(coach, address, **EVIDENCE | {"evidence.pause_described": " "})
    text = answer.get_data(as_text=True)
    assert answer.status_code == 409
    assert "The client can say how they pause before reacting: not yet." in text
    assert 'value="Her sister and Ruth from work."' in text
    assert stage_of(team, ines) == "steady"


def test_under_a_hold_nothing_moves_forward(team, coach, ines, address):
    builders.screen(team["coach"], ines.client_id, sleep="concern")
    text = coach.text(address)
    assert "A care hold is open, so coaching is paused." in text
    assert "See the hold" in text
    answer = move(coach, address, **EVIDENCE)
    assert answer.status_code == 409
    assert stage_of(team, ines) == "steady"


def test_the_three_standing_conditions_each_lead_to_what_meets_them(app, team, coach):
    fresh = builders.case(team["coach"], "Aoife Brennan")
    assert "There is no screening yet." in coach.text(f"/case/{fresh.number}/stage")
    builders.screen(team["coach"], fresh.client_id, eating=None)
    assert "Not asked the last time: Eating." in coach.text(f"/case/{fresh.number}/stage")
    old = builders.case(team["coach"], "Ruth Adeyemi")
    builders.screen(team["coach"], old.client_id, days_ago=16)
    assert "The last screening is 16 days old" in coach.text(f"/case/{old.number}/stage")


def test_moving_back_asks_for_a_reason_only(team, coach, ines, address):
    move(coach, address, **EVIDENCE)
    token = coach.form(address).fields
    back = {"csrf_token": token["csrf_token"], "version": token["version"], "to": "steady"}
    assert coach.post(address, back).status_code == 422
    assert stage_of(team, ines) == "understand"
    assert coach.post(address, back | {"reason": "He left again on Sunday."}).status_code == 303
    assert stage_of(team, ines) == "steady"
    assert "He left again on Sunday." in coach.text(f"/case/{ines.number}")


def test_the_ending_stage_can_be_entered_from_any_other(team, coach, ines, address):
    fields = coach.form(address).fields
    answer = coach.post(
        address, {"csrf_token": fields["csrf_token"], "version": fields["version"], "to": "close"}
    )
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
        ({"speed": "fast"}, "speed"),
        ({"evidence": "all of it"}, "evidence"),
    ],
)
def test_what_makes_no_sense_moves_nothing(team, coach, ines, address, changed, field):
    answer = move(coach, address, **EVIDENCE | changed)
    assert answer.status_code == 422
    assert f'href="#{field}"' in answer.get_data(as_text=True)
    assert stage_of(team, ines) == "steady"


def test_skipping_a_stage_is_refused(team, coach, ines, address):
    assert move(coach, address, **EVIDENCE, to="repair").status_code == 409
    assert stage_of(team, ines) == "steady"


def test_a_move_sent_twice_moves_once(team, coach, ines, address):
    form = coach.form(address)
    assert coach.post(address, form.fields | EVIDENCE).status_code == 303
    assert coach.post(address, form.fields | EVIDENCE).status_code == 409
    assert stage_of(team, ines) == "understand"


def test_a_stale_move_changes_nothing_and_keeps_the_lines(team, coach, ines, address):
    form = coach.form(address)
    details = f"/case/{ines.number}/details"
    coach.send(details, f"{details}/facts", gender="woman")
    answer = coach.post(address, form.fields | EVIDENCE)
    assert answer.status_code == 412
    assert 'value="Her sister and Ruth from work."' in answer.get_data(as_text=True)
    assert stage_of(team, ines) == "steady"


def lines_in(form):
    """Give the lines of evidence that stand in a form."""
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
def test_whatever_is_refused_every_line_stands_in_the_form_again(coach, address, why):
    changed, status = REFUSALS[why]
    sent = EVIDENCE | {"evidence.two_supports_named": 'Ruth "from work" & <Kate>'} | changed
    answer = move(coach, address, **sent)
    assert answer.status_code == status
    wanted = {name: line for name, line in sent.items() if name.startswith("evidence.")}
    # The page itself, which was opened anew, has not got them: nothing of a refused move is kept.
    assert lines_in(coach.form(address).fields) == dict.fromkeys(wanted, "")
    assert lines_in(forms_in(answer.get_data(as_text=True), address)[0].fields) == wanted


def test_under_a_hold_every_line_stands_in_the_form_again(team, coach, ines, address):
    form = coach.form(address)
    builders.screen(team["coach"], ines.client_id, sleep="concern")
    answer = coach.post(address, form.fields | EVIDENCE)
    assert answer.status_code == 409
    assert lines_in(forms_in(answer.get_data(as_text=True), address)[0].fields) == EVIDENCE


@pytest.mark.parametrize("now", ["understand", "closed"])
def test_lines_for_a_stage_that_the_case_has_left_are_shown_to_be_copied(
    team, coach, ines, address, now
):
    """Somebody else was quicker, so that the form which comes back asks for other things."""
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
    assert "These lines are not asked for where the case stands now, and were not saved." in text
    for line in EVIDENCE.values():
        assert f"<p>{line}</p>" in text
    assert "Two supports are named" in text
    assert "were not saved" not in coach.text(address)


def test_nobody_else_moves_a_case(app, team, ines, address):
    for who, status in (("coach2", 404), ("admin", 403)):
        desk = Desk(app, team[who])
        sent = desk.token | EVIDENCE | {"to": "understand", "version": "1"}
        assert desk.post(address, sent).status_code == status
    assert stage_of(team, ines) == "steady"


def test_a_closed_case_has_no_gate(team, coach, ines, address):
    coach.send(
        f"/case/{ines.number}/close", outcome="other", reason="decision", final_screening="done"
    )
    text = coach.text(address)
    assert "This case is closed." in text
    assert "Before Understand" not in text
