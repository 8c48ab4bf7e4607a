"""Hold page: reasons, required actions, blockers and release."""

from datetime import timedelta
from types import SimpleNamespace
from uuid import uuid4

import pytest

from caseapp.core.clock import at, now
from caseapp.domain.clients.schemas import SafeContact
from caseapp.domain.followups.queries import list_client_followups
from caseapp.domain.screening.queries import list_holds
from tests.support import builders, followups, staff
from tests.support.staff_pages import StaffBrowser

REASON = {"reason": "Rested and calm; the doctor saw her twice."}


@pytest.fixture
def ines(team):
    return builders.case(team["coach"], "Ines Okafor")


@pytest.fixture
def address(ines):
    return f"/case/{ines.number}/hold"


def complete_required_actions(team, made):
    """Complete each task and record two calm screenings a week apart."""
    followups.complete_all(team["coach"], made.client_id)
    builders.screen(team["coach"], made.client_id, days_ago=8)
    builders.screen(team["coach"], made.client_id)


@pytest.fixture
def care_hold(team, ines):
    """Open a care hold three weeks ago."""
    builders.screen(team["coach"], ines.client_id, days_ago=21, sleep="concern")
    hold = list_holds(team["coach"], ines.client_id)[0]
    return SimpleNamespace(id=hold.id, version=hold.version)


def test_hold_page_without_hold_shows_empty_state(coach, address):
    assert "No hold is open." in coach.text(address)


def test_safety_hold_shows_reasons_actions_and_blockers(team, coach, ines, address):
    builders.screen(team["coach"], ines.client_id, self_harm="urgent", sleep="concern")
    text = coach.text(address)
    for words in (
        "Safety hold",
        "Care hold",
        "Together, make a safety plan or go through the existing one.",
        "24-hour safety check",
        "Closing the case",
        "A hold doesn’t end after a set time or because the client asks.",
        "Still open: Make the safety plan together.",
        "There has been no full screening with every level at None or Watch since the hold opened or was renewed.",
        "Awaiting sign-off by a licensed clinician",
    ):
        assert words in text, words


def test_action_not_completed_in_time_is_overdue(team, coach, ines, address):
    with at(now() - timedelta(days=2)):
        builders.screen(team["coach"], ines.client_id, self_harm="urgent")
    assert "Overdue since" in coach.text(address)


def find_task(team, made, kind):
    tasks = list_client_followups(team["coach"], made.client_id)
    return next(task for task in tasks if task.kind == kind)


@pytest.mark.slow
def test_required_action_is_completed_on_the_hold_page(team, coach, ines, address):
    builders.screen(team["coach"], ines.client_id, self_harm="urgent")
    task = find_task(team, ines, "tell_supervisor")
    action = f"{address}/follow-ups/{task.id}"
    assert "<strong>Now</strong>" in coach.text(address)
    fields = {"result": "done", "method": "call", "note": "She reads the plan tonight."}
    missing = coach.send(address, action, **fields)
    assert missing.status_code == 422
    assert f'href="#told-{task.id}"' in missing.get_data(as_text=True)
    answer = coach.send(address, action, **fields, told="Helen Marsh, supervisor")
    assert (answer.status_code, answer.location) == (303, address)
    text = coach.text(address)
    assert action not in text
    assert "Told: Helen Marsh, supervisor." in text
    assert find_task(team, ines, "tell_supervisor").result == "done"


def test_check_on_the_hold_page_is_refused_before_its_time(team, coach, ines, address):
    builders.screen(team["coach"], ines.client_id, self_harm="urgent")
    task = find_task(team, ines, "safety_24h")
    action = f"{address}/follow-ups/{task.id}"
    text = coach.text(address)
    assert action not in text
    assert "Can be done from" in text
    sent = {"version": 1, "result": "reached", "method": "call", "note": "Asleep at her sister’s."}
    answer = coach.post(action, coach.token | coach.key_for(action) | sent)
    text = answer.get_data(as_text=True)
    assert answer.status_code == 409
    assert "It is too early for this check." in text
    assert "Asleep at her sister’s." in text
    assert find_task(team, ines, "safety_24h").completed_at is None


def test_action_of_another_client_is_not_completed_under_a_case(team, coach, ines, address):
    other = builders.case(team["coach"], "Aoife Brennan")
    builders.screen(team["coach"], other.client_id, self_harm="urgent")
    task = find_task(team, other, "tell_supervisor")
    action = f"{address}/follow-ups/{task.id}"
    sent = {"version": 1, "result": "done", "method": "call", "told": "Helen", "note": "Told her."}
    answer = coach.post(action, coach.token | coach.key_for(action) | sent)
    assert answer.status_code == 404
    assert find_task(team, other, "tell_supervisor").completed_at is None


@pytest.mark.slow
@pytest.mark.parametrize("channels", [("call", "portal"), ("portal",)])
def test_action_shows_a_number_to_ring_only_when_calls_are_safe(team, coach, channels):
    made = builders.case(
        team["coach"], "Aoife Brennan", phone="07700 900123", safe=SafeContact(channels)
    )
    builders.screen(team["coach"], made.client_id, self_harm="urgent")
    pages = (f"/case/{made.number}/hold", f"/case/{made.number}/follow-ups", "/follow-ups")
    for page in pages:
        text = coach.text(page)
        assert ('href="tel:07700900123"' in text) == ("call" in channels)
        assert ("There is no safe number to call." in text) == ("call" not in channels)
        assert "About 15 minutes." in text


def test_each_episode_has_its_own_list_of_actions(team, coach, ines, address):
    builders.screen(team["coach"], ines.client_id, days_ago=6, self_harm="urgent")
    assert "Required since" not in coach.text(address)
    builders.screen(team["coach"], ines.client_id, self_harm="urgent")
    text = coach.text(address)
    assert text.count("Required since") == 2
    assert text.count("24-hour safety check") >= 2


def test_newest_episode_comes_first_among_those_with_open_actions(team, coach, ines, address):
    builders.screen(team["coach"], ines.client_id, self_harm="urgent", days_ago=9)
    builders.screen(team["coach"], ines.client_id, harm_to_others="urgent")
    tasks = list_client_followups(team["coach"], ines.client_id)
    plans = sorted(
        (task for task in tasks if task.kind == "safety_plan"), key=lambda one: one.due_at
    )
    page = coach.get(address).get_data(as_text=True)
    assert page.index(f'id="task-{plans[1].id}"') < page.index(f'id="task-{plans[0].id}"')


def test_release_by_coach_is_forbidden(team, coach, ines, care_hold, address):
    complete_required_actions(team, ines)
    assert "Your supervisor can release the hold now." in coach.text(address)
    action = f"{address}/{care_hold.id}/release"
    assert coach.post(action, coach.token | REASON | {"version": 1}).status_code == 403
    assert list_holds(team["coach"], ines.client_id)[0].released_at is None


def test_release_by_supervisor_without_blockers_succeeds(
    team, supervisor, ines, care_hold, address
):
    complete_required_actions(team, ines)
    answer = supervisor.send(address, f"{address}/{care_hold.id}/release", **REASON)
    assert answer.status_code == 303
    text = supervisor.text(address)
    assert "Hold released." in text
    assert "No hold is open." in text
    assert "Released by Helen Marsh: Rested and calm; the doctor saw her twice." in text


def test_release_with_blockers_is_refused_and_keeps_reason(
    team, supervisor, ines, care_hold, address
):
    action = f"{address}/{care_hold.id}/release"
    sent = supervisor.token | supervisor.key_for(action) | REASON
    answer = supervisor.post(action, sent | {"version": care_hold.version})
    text = answer.get_data(as_text=True)
    assert answer.status_code == 409
    assert "The hold can’t be released yet" in text
    assert "Record its result under Required actions." in text
    assert REASON["reason"] in text
    assert list_holds(team["coach"], ines.client_id)[0].released_at is None


@pytest.mark.slow
@pytest.mark.parametrize(
    "changed", [{"reason": ""}, {"reason": "Fine."}, {"reason": "x" * 2001}, {"mood": "good"}]
)
def test_release_with_invalid_reason_is_refused(
    team, supervisor, ines, care_hold, address, changed
):
    complete_required_actions(team, ines)
    answer = supervisor.send(address, f"{address}/{care_hold.id}/release", **REASON | changed)
    assert answer.status_code == 422
    assert "Check your answers" in answer.get_data(as_text=True)
    assert list_holds(team["coach"], ines.client_id)[0].released_at is None


@pytest.mark.slow
def test_release_with_old_version_is_stale(team, supervisor, ines, care_hold, address):
    complete_required_actions(team, ines)
    answer = supervisor.send(address, f"{address}/{care_hold.id}/release", **REASON, version="99")
    assert answer.status_code == 412
    assert REASON["reason"] in answer.get_data(as_text=True)
    assert list_holds(team["coach"], ines.client_id)[0].released_at is None


@pytest.mark.slow
def test_release_sent_twice_releases_once(team, supervisor, ines, care_hold, address):
    complete_required_actions(team, ines)
    form = supervisor.form(address, f"{address}/{care_hold.id}/release")
    first = supervisor.post(form.action, form.fields | REASON)
    second = supervisor.post(form.action, form.fields | REASON)
    assert (first.status_code, first.location) == (303, second.location)
    assert supervisor.text(address).count("Released by") == 1


@pytest.mark.slow
def test_reason_of_a_release_that_somebody_else_was_first_with_is_shown(
    team, supervisor, ines, care_hold, address
):
    complete_required_actions(team, ines)
    forms = [supervisor.form(address, f"{address}/{care_hold.id}/release") for _ in range(2)]
    first, late = (
        supervisor.post(form.action, form.fields | {"reason": f"{number} times calm and rested."})
        for number, form in enumerate(forms, start=1)
    )
    assert (first.status_code, late.status_code) == (303, 409)
    assert "2 times calm and rested." in late.get_data(as_text=True)


def test_release_under_another_case_is_not_found(team, supervisor, ines, care_hold):
    other = builders.case(team["coach"], "Aoife Brennan")
    complete_required_actions(team, ines)
    for hold_id in (care_hold.id, uuid4()):
        action = f"/case/{other.number}/hold/{hold_id}/release"
        answer = supervisor.post(action, supervisor.token | REASON | {"version": care_hold.version})
        assert answer.status_code == 404


def test_hold_page_for_other_supervisor_is_not_found(app, team, ines, care_hold, address):
    stranger = staff.add("supervisor2", role="supervisor")
    desk = StaffBrowser(app, stranger)
    assert desk.get(address).status_code == 404
    action = f"{address}/{care_hold.id}/release"
    assert desk.post(action, desk.token | REASON | {"version": 1}).status_code == 404


@pytest.mark.slow
def test_declined_plan_waits_for_the_supervisors_decision(team, coach, supervisor, ines, address):
    builders.screen(team["coach"], ines.client_id, self_harm="urgent")
    plan = find_task(team, ines, "safety_plan")
    words = {"result": "declined", "method": "call", "note": "She wants no plan for now, she says."}
    action = f"{address}/follow-ups/{plan.id}"
    assert coach.send(address, action, **words).status_code == 303
    title = "Decide whether coaching can go on without what the client declined"
    assert f"Still open: {title}." in supervisor.text(address)
    decision = find_task(team, ines, "declined_decision")
    action = f"{address}/follow-ups/{decision.id}"
    words = {"result": "accepted", "note": "Her doctor has one, and sees her on Monday."}
    refused = coach.send(address, action, **words)
    assert refused.status_code == 409
    assert "A supervisor has to make this decision." in refused.get_data(as_text=True)
    assert supervisor.send(address, action, **words).status_code == 303
    assert f"Still open: {title}." not in supervisor.text(address)


@pytest.fixture
def own_hold(team):
    """Open a safety hold of a client whom the supervisor coaches; all is done but for a second person."""
    supervisor = team["supervisor"]
    with at(now() - timedelta(days=20)):
        made = builders.case(supervisor, "Aoife Brennan")
        builders.screen(supervisor, made.client_id, self_harm="urgent", comment="Said it twice.")
    builders.screen(supervisor, made.client_id, days_ago=1)
    followups.complete_all(supervisor, made.client_id)
    [hold] = list_holds(supervisor, made.client_id)
    return SimpleNamespace(id=hold.id, page=f"/case/{made.number}/hold", number=made.number)


@pytest.mark.slow
def test_supervisor_who_coaches_names_another_who_releases_the_hold(
    app, team, supervisor, own_hold
):
    other = StaffBrowser(app, staff.add("supervisor2", role="supervisor"))
    mine = f"/holds/{own_hold.id}"
    assert other.get(mine).status_code == 404
    text = supervisor.text(own_hold.page)
    assert f'href="#second-{own_hold.id}"' in text
    assert "Ask another supervisor" in text
    action = f"{own_hold.page}/{own_hold.id}/second-person"
    empty = supervisor.send(own_hold.page, action)
    assert empty.status_code == 422
    assert "Choose a supervisor." in empty.get_data(as_text=True)
    wrong = supervisor.send(own_hold.page, action, user_id=str(team["coach"].id))
    assert wrong.status_code == 409
    sent = supervisor.send(own_hold.page, action, user_id=str(other.actor.id))
    assert (sent.status_code, sent.location) == (303, own_hold.page)
    assert "Ruth Vance was named to release this hold." in supervisor.text(own_hold.page)
    today = other.text("/today")
    assert mine in today
    assert "Aoife Brennan" in today
    text = other.text(mine)
    for words in ("Safety hold for Aoife Brennan", "24-hour safety check", "Said it twice."):
        assert words in text
    assert own_hold.number not in text
    assert other.get(own_hold.page).status_code == 404
    short = other.send(mine, f"{mine}/release", reason="Fine.")
    assert short.status_code == 422
    assert other.send(mine, f"{mine}/release", **REASON).status_code == 303
    assert other.get(mine).status_code == 404
    assert "No hold is open." in supervisor.text(own_hold.page)


def test_each_blocker_leads_to_where_it_is_met(team, coach, ines, address):
    builders.screen(team["coach"], ines.client_id, self_harm="urgent")
    text = coach.text(address)
    assert "How this hold ends" in text
    open_tasks = list_client_followups(team["coach"], ines.client_id, open_only=True)
    assert open_tasks
    for task in open_tasks:
        assert f'href="#task-{task.id}">Still open: {task.title}.</a>' in text
        assert f'id="task-{task.id}"' in text
    assert f'<a href="/case/{ines.number}/screening">There has been no full screening' in text
    [hold] = list_holds(team["coach"], ines.client_id)
    assert f'<a href="#second-{hold.id}">A safety hold must be released by' in text
    assert f'id="second-{hold.id}"' in text


@pytest.mark.slow
def test_supervisor_allows_one_handout_in_spite_of_a_care_hold(
    team, coach, supervisor, ines, care_hold, address
):
    action = f"{address}/{care_hold.id}/allowed-handout"
    assert action not in coach.text(address)
    text = supervisor.text(address)
    assert '<option value="my-reasons">' in text
    assert '<option value="help-right-now">' not in text
    words = {"handout": "my-reasons", "reason": "It keeps her from writing to him at night."}
    for changed, status in (
        ({"reason": "x" + " " * 30}, 422),
        ({"handout": ""}, 422),
        ({"handout": "no-such-sheet"}, 422),
        ({"handout": "help-right-now"}, 409),
    ):
        answer = supervisor.send(address, action, **words | changed)
        assert answer.status_code == status, changed
    assert coach.post(action, coach.token | words | {"version": 1}).status_code == 403
    assert supervisor.send(address, action, **words).status_code == 303
    for desk in (coach, supervisor):
        text = desk.text(address)
        assert "can be assigned in this case until the hold ends or is renewed" in text
        assert "Allowed by Helen Marsh" in text
        assert words["reason"] in text
    assert "a supervisor has allowed this handout" in coach.text(
        f"/case/{ines.number}/handouts/assign?stage=all"
    )
    builders.screen(team["coach"], ines.client_id, sleep="concern")
    assert "can be assigned in this case" not in supervisor.text(address)
    assert "Care hold: handout no longer allowed" in coach.text(f"/case/{ines.number}")


@pytest.mark.slow
def test_no_handout_is_allowed_while_a_safety_hold_is_open(
    team, supervisor, ines, care_hold, address
):
    builders.screen(team["coach"], ines.client_id, self_harm="urgent")
    action = f"{address}/{care_hold.id}/allowed-handout"
    assert action not in supervisor.text(address)
    sent = {"version": "2", "handout": "my-reasons", "reason": "It keeps her from writing to him."}
    answer = supervisor.post(action, supervisor.token | supervisor.key_for(action) | sent)
    assert answer.status_code == 409
    assert "A supervisor can’t allow a handout while a safety hold is open." in answer.get_data(
        as_text=True
    )
