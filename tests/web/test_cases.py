"""Caseload and case pages: content, permissions and statement counts."""

from uuid import uuid4

import pytest

from caseapp.core.clock import now
from caseapp.core.transaction import transaction
from caseapp.domain.audit.queries import AuditFilter, list_audit_events
from caseapp.domain.clients.queries import get_client_record, lock_client
from caseapp.domain.clients.schemas import SafeContact
from caseapp.domain.followups.operations import create_followup
from caseapp.domain.followups.schemas import NewFollowUp
from tests.support import builders
from tests.support.staff_pages import StaffBrowser, Statements, lasting


@pytest.fixture
def ines(team):
    return builders.case(team["coach"], "Ines Okafor", phone="07700 900418")


CASE_PAGES = ("", "/details", "/screening", "/hold", "/stage", "/close", "/invite")


@pytest.mark.parametrize("page", CASE_PAGES)
def test_case_of_other_coach_is_not_found(app, team, ines, page):
    stranger = StaffBrowser(app, team["coach2"])
    foreign = stranger.text(f"/case/{ines.number}{page}", 404)
    missing = stranger.text(f"/case/C-1999-0001{page}", 404)
    assert foreign == missing
    assert "Ines" not in lasting(foreign)


@pytest.mark.parametrize("page", CASE_PAGES)
def test_case_pages_for_admin_are_forbidden(app, team, ines, page):
    assert StaffBrowser(app, team["admin"]).get(f"/case/{ines.number}{page}").status_code == 403


def test_caseload_and_intake_for_admin_are_forbidden(app, team):
    admin = StaffBrowser(app, team["admin"])
    assert admin.get("/cases").status_code == 403
    assert admin.get("/cases/new").status_code == 403


def test_case_page_signed_out_redirects_to_sign_in(app, ines):
    answer = app.test_client().get(f"/case/{ines.number}")
    assert answer.status_code == 303
    assert answer.headers["Location"] == "/sign-in"


def test_caseload_shows_visible_cases(app, team, coach, supervisor, ines):
    builders.case(team["coach2"], "Tomasz Nowak")
    assert "Ines Okafor" in coach.text("/cases")
    assert "Tomasz Nowak" not in coach.text("/cases")
    assert "Ines Okafor" in supervisor.text("/cases")
    assert "Tomasz Nowak" not in supervisor.text("/cases")


def test_filters_apply_and_stay_in_form(team, coach, ines):
    held = builders.case(team["coach"], "Aoife Brennan")
    builders.screen(team["coach"], held.client_id, sleep="concern")
    assert "Aoife" not in coach.text("/cases?hold=safety")
    page = coach.text("/cases?hold=care&stage=steady&status=open&q=aoi")
    assert "Aoife Brennan" in page
    assert "Ines Okafor" not in page
    assert '<option value="care" selected>' in page
    assert 'name="q" type="search" maxlength="120" value="aoi"' in page
    assert "Ines Okafor" in coach.text(f"/cases?q={ines.number.lower()}")
    assert "No cases match." in coach.text("/cases?stage=repair")


def test_supervisor_filters_by_coach(team, supervisor, ines):
    assert "Ines Okafor" in supervisor.text(f"/cases?coach={team['coach'].id}")
    assert "Ines Okafor" not in supervisor.text(f"/cases?coach={team['supervisor'].id}")


def test_invalid_filters_are_ignored(coach, ines):
    assert "Ines Okafor" in coach.text("/cases?stage=moon&status=perhaps&hold=none&coach=me")
    assert coach.get("/cases?cursor=elsewhere").status_code == 422


def test_empty_caseload_links_to_intake(coach):
    assert "No open cases yet." in coach.text("/cases")


def test_closed_case_is_found_only_by_search(coach, team, ines):
    coach.send(
        f"/case/{ines.number}/close",
        outcome="reunited",
        reason="decision",
        final_screening="not_possible",
        not_screened_reason="Moved abroad.",
    )
    assert "Ines Okafor" not in coach.text("/cases")
    assert "Ines Okafor" in coach.text("/cases?status=closed")
    assert "Ines Okafor" in coach.text("/cases?q=okafor")


def test_caseload_pages_have_no_gap(team, coach):
    for number in range(27):
        builders.case(team["coach"], f"Client Number{number:02}", agreed=True)
    first = coach.text("/cases?status=open")
    assert first.count('class="case-link"') == 25
    link = first.split('rel="next"')[0].rsplit('href="', 1)[1].split('"')[0].replace("&amp;", "&")
    assert "status=open" in link
    second = coach.text(link)
    assert second.count('class="case-link"') == 2
    assert "First page" in second


def test_identity_bar_shows_client_stage_and_safe_contact(team, coach, ines):
    builders.screen(team["coach"], ines.client_id, fear_at_home="concern")
    page = coach.text(f"/case/{ines.number}")
    for words in (
        "<h1>Ines Okafor</h1>",
        "she/her",
        ines.number,
        "Marta Lindqvist",
        "number ending 418",
        "before 17:00",
        "no voicemail",
        "Safety hold",
        "Contact block",
        "Safety hold since",
        "Fear at home is at concern.",
        "on hold",
    ):
        assert words.lower() in page.lower(), words
    assert "900418" not in lasting(page)


def test_in_person_only_excludes_other_channels(coach, team):
    made = builders.case(
        team["coach"],
        "Ruth Adeyemi",
        safe=SafeContact(("in_person",), warning="He reads her phone."),
    )
    page = coach.text(f"/case/{made.number}")
    assert "in person only." in page
    assert "He reads her phone." in page


def test_timeline_lists_events_and_filters_by_kind(team, coach, ines):
    builders.screen(team["coach"], ines.client_id, sleep="concern", comment="Awake at four.")
    page = coach.text(f"/case/{ines.number}")
    assert "Awake at four." in page
    assert "Care hold opened" in page
    assert "Case opened" in page
    only = coach.text(f"/case/{ines.number}?kind=stage")
    assert "Case opened" in only
    assert "Awake at four." not in only
    assert "No events of this type yet." in coach.text(f"/case/{ines.number}?kind=session")
    assert coach.get(f"/case/{ines.number}?kind=rumour").status_code == 422


def test_trends_have_text_equivalents(team, coach, ines):
    builders.screen(team["coach"], ines.client_id, days_ago=8, sleep="watch", eating=None)
    page = coach.text(f"/case/{ines.number}")
    assert 'aria-label="Sleep over 1 screening: watch"' in page
    assert 'aria-label="Eating over 1 screening: not asked"' in page
    builders.screen(team["coach"], ines.client_id, work="watch")
    page = coach.text(f"/case/{ines.number}")
    assert 'aria-label="Sleep over 2 screenings: watch, none"' in page
    assert 'aria-label="Daily life over 2 screenings: none, watch"' in page


def test_overview_lists_due_followups(team, coach, ines):
    builders.screen(team["coach"], ines.client_id, sleep="watch")
    page = coach.text(f"/case/{ines.number}")
    assert "Ask again about every item with a level of Watch or above" in page


def test_case_read_is_recorded_once_in_fifteen_minutes(app, team, coach, ines):
    for _ in range(3):
        coach.text(f"/case/{ines.number}")
    wanted = AuditFilter(action="case.read", client_id=ines.client_id)
    assert len(list_audit_events(team["admin"], wanted, None, 10).items) == 1


def test_refused_read_is_recorded(app, team, ines):
    StaffBrowser(app, team["coach2"]).get(f"/case/{ines.number}")
    refused = list_audit_events(team["admin"], AuditFilter(outcome="refused"), None, 10).items
    assert [entry.action for entry in refused] == ["case.read"]


def test_get_on_post_routes_is_refused(coach, ines):
    case = f"/case/{ines.number}"
    for path in (
        "/details/client",
        "/details/facts",
        "/flags",
        f"/flags/{uuid4()}/clear",
        "/reopen",
        f"/hold/{uuid4()}/release",
    ):
        assert coach.get(case + path).status_code == 405, path


def _add_rows(team, made, rows):
    for number in range(rows):
        with transaction():
            create_followup(
                team["coach"],
                lock_client(team["coach"], made.client_id),
                NewFollowUp(f"Task {number}", now()),
            )
    for number in range(rows):
        builders.screen(team["coach"], made.client_id, days_ago=number + 1, sleep="watch")


@pytest.mark.slow
def test_statement_count_is_independent_of_row_count(team, coach, ines):
    counts = []
    for rows in (5, 495):
        _add_rows(team, ines, rows)
        coach.text(f"/case/{ines.number}")
        with Statements() as heard:
            coach.text(f"/case/{ines.number}")
        counts.append(len(heard.seen))
    assert counts[0] == counts[1]


# Details


def test_saved_details_are_shown(coach, ines):
    page = f"/case/{ines.number}/details"
    answer = coach.send(
        page,
        f"{page}/client",
        preferred_name="Nes",
        birth_year="1984",
        safe_channels=["text", "post"],
        code_word="heron",
    )
    assert answer.status_code == 303
    fields = coach.form(page, f"{page}/client").fields
    assert fields["preferred_name"] == ["Nes"]
    assert fields["birth_year"] == ["1984"]
    assert fields["safe_channels"] == ["text", "post"]
    assert fields["code_word"] == ["heron"]


def test_saved_facts_are_shown_and_set_flags(coach, ines):
    page = f"/case/{ines.number}/details"
    answer = coach.send(
        page,
        f"{page}/facts",
        order="protects_spouse",
        order_until="2027-01-31",
        stated_reasons=["peace", "not_heard"],
        separated_since="2026-03",
        children="2",
        goal="apart_well",
        review_date="2027-02-01",
    )
    assert answer.status_code == 303
    fields = coach.form(page, f"{page}/facts").fields
    assert fields["order"] == ["protects_spouse"]
    assert fields["order_until"] == ["2027-01-31"]
    assert fields["stated_reasons"] == ["peace", "not_heard"]
    assert fields["separated_since"] == ["2026-03"]
    assert fields["children"] == ["2"]
    assert fields["goal"] == ["apart_well"]
    assert "Contact block" in coach.text(page)


@pytest.mark.parametrize(
    ("part", "changed", "words"),
    [
        ("client", {"name": ""}, "name"),
        ("client", {"safe_channels": None}, "Ask which ways are safe"),
        ("client", {"consent_on": "31.12.2026"}, "consent_on"),
        ("client", {"safe_warning": "x" * 5000}, "safe_warning"),
        ("client", {"birth_year": "long ago"}, "birth_year"),
        ("facts", {"next_legal_date": "2026-02-30"}, "next_legal_date"),
        ("facts", {"gender": "x" * 61}, "gender"),
        ("facts", {"separated_since": "spring"}, "Enter the year and month"),
        ("facts", {"children": "31"}, "children"),
    ],
)
def test_invalid_details_change_nothing_and_stay_in_form(coach, ines, part, changed, words):
    page = f"/case/{ines.number}/details"
    before = coach.form(page, f"{page}/{part}").fields
    answer = coach.send(page, f"{page}/{part}", **changed)
    assert answer.status_code == 422
    text = answer.get_data(as_text=True)
    assert "Check your answers" in text
    assert words in text
    assert all(value is None or value in text for value in changed.values())
    after = coach.form(page, f"{page}/{part}").fields
    assert after | dict.fromkeys(HIDDEN) == before | dict.fromkeys(HIDDEN)


@pytest.mark.parametrize(
    ("part", "changed"),
    [("client", {"nickname": "Nes"}), ("facts", {"money": "none"}), ("facts", {"order": "maybe"})],
)
def test_unknown_fields_and_codes_are_refused(coach, ines, part, changed):
    page = f"/case/{ines.number}/details"
    answer = coach.send(page, f"{page}/{part}", **changed)
    assert answer.status_code == 422
    assert f'href="#{next(iter(changed))}"' in answer.get_data(as_text=True)


@pytest.mark.parametrize(("part", "field"), [("client", "preferred_name"), ("facts", "gender")])
def test_stale_form_overwrites_nothing_and_keeps_answers(
    app, team, coach, supervisor, ines, part, field
):
    page = f"/case/{ines.number}/details"
    old = coach.form(page, f"{page}/{part}")
    assert supervisor.send(page, f"{page}/{part}", **{field: "First"}).status_code == 303
    answer = coach.post(old.action, old.fields | {field: "Second"})
    assert answer.status_code == 412
    assert 'value="Second"' in answer.get_data(as_text=True)
    assert ">First</strong>" in answer.get_data(as_text=True)
    assert coach.form(page, f"{page}/{part}").fields[field] == ["First"]


@pytest.mark.parametrize("version", [None, "", "one", "9" * 12])
def test_form_without_valid_version_is_refused(coach, ines, version):
    page = f"/case/{ines.number}/details"
    assert coach.send(page, f"{page}/client", version=version).status_code == 422


def test_flag_set_twice_is_set_once(coach, ines):
    page = f"/case/{ines.number}/details"
    form = coach.form(page, f"/case/{ines.number}/flags")
    fields = form.fields | {"kind": "withdrawal_risk"}
    for _ in range(2):
        assert coach.post(form.action, fields).status_code == 303
    assert coach.text(page).count("/clear") == 0
    assert coach.text(page).count(", by Marta Lindqvist") == 1


@pytest.mark.parametrize("kind", ["", "violence_flag", "bad_luck"])
def test_flag_of_other_kind_cannot_be_set_manually(coach, ines, kind):
    page = f"/case/{ines.number}/details"
    assert coach.send(page, f"/case/{ines.number}/flags", kind=kind).status_code == 422


def test_supervisor_clears_flag_with_reason(coach, supervisor, ines):
    page = f"/case/{ines.number}/details"
    coach.send(page, f"/case/{ines.number}/flags", kind="withdrawal_risk")
    action = supervisor.text(page).split("/clear")[0].rsplit('"', 1)[1] + "/clear"
    short = supervisor.send(page, action, reason="Fine.")
    assert short.status_code == 422
    assert "Fine." in short.get_data(as_text=True)
    refused = coach.post(action, coach.token | {"reason": "It has passed, I believe."})
    assert refused.status_code == 403
    form = supervisor.form(page, action)
    fields = form.fields | {"reason": "Her doctor wrote that the risk is over."}
    assert supervisor.post(action, fields).status_code == 303
    assert "No flag is set." in supervisor.text(page)
    assert supervisor.post(action, fields | supervisor.key_for(action)).status_code == 409


def test_safe_contact_is_confirmed_on_the_details_page(team, coach, ines):
    page = f"/case/{ines.number}/details"
    assert "Confirm safe contact" not in coach.text(page)
    coach.send(page, f"/case/{ines.number}/flags", kind="unsafe_delivery")
    assert (
        "no email, link or invitation is sent, and handouts in the portal are suspended"
        in coach.text(page)
    )
    action = f"/case/{ines.number}/details/contact"
    unasked = coach.send(page, action)
    assert unasked.status_code == 422
    assert "in person and alone, then confirm it here" in unasked.get_data(as_text=True)
    assert get_client_record(team["coach"], ines.client_id).contact_confirmed_at is None
    assert coach.send(page, action, in_person="yes").status_code == 303
    text = coach.text(page)
    assert "Safe contact confirmed." in text
    assert "Confirmed in person" in text
    assert f"by {team['coach'].name}" in text


def test_header_names_only_ways_of_contact_that_may_be_used_now(team, coach):
    made = builders.case(
        team["coach"],
        "Noor Haddad",
        phone="07700 900123",
        safe=SafeContact(
            ("call", "voicemail", "email"), "before 17:00", "Bluebell", "Shared phone"
        ),
    )
    page, details = f"/case/{made.number}", f"/case/{made.number}/details"

    def safe_contact():
        return coach.text(page).split('class="safe-contact"')[1].split("</p>")[0]

    assert "phone call or voicemail to the number ending 123" in safe_contact()
    builders.screen(team["coach"], made.client_id, fear_at_home="concern")
    frozen = safe_contact()
    assert "<strong>phone call to the number ending 123, before 17:00.</strong>" in frozen
    assert "Send nothing until the safe ways are confirmed under Details." in frozen
    assert "No voicemail, no text message, no email, no letter, no portal." in frozen
    assert coach.send(details, f"{details}/contact", in_person="yes").status_code == 303
    confirmed = safe_contact()
    assert "phone call to the number ending 123 or email, before 17:00." in confirmed
    assert "No voicemail" in confirmed


def test_invite_page_says_why_nobody_is_invited_while_contact_is_frozen(team, coach, ines):
    builders.screen(team["coach"], ines.client_id, fear_at_home="concern")
    address = f"/case/{ines.number}/invite"
    text = coach.text(address)
    assert "Nothing may be sent to this client" in text
    assert f"/case/{ines.number}/details" in text
    assert coach.post(address, coach.token | coach.key_for(address)).status_code == 409


def test_possible_conflicts_are_shown_to_supervisors_only(team, coach, supervisor, ines):
    builders.client(team["coach2"], "Peter Okafor", partner_name="Ines Okafor", agreed=True)
    page = f"/case/{ines.number}/details"
    assert "Peter Okafor" in supervisor.text(page)
    assert "Peter Okafor" not in coach.text(page)


# Closing and opening again


HIDDEN = ("csrf_token", "form_key")
CLOSING = {
    "outcome": "separated",
    "reason": "decision",
    "final_screening": "done",
    "follow_up_consent": "yes",
    "follow_up_on": "2027-06-01",
}


def test_case_is_closed_and_reopened(team, coach, ines):
    builders.screen(team["coach"], ines.client_id)
    page = f"/case/{ines.number}/close"
    assert coach.send(page, **CLOSING).status_code == 303
    text = coach.text(f"/case/{ines.number}")
    assert "Separated amicably" in text
    assert "because the case was closed with the couple apart" in text
    empty = coach.send(page, f"/case/{ines.number}/reopen", reason="")
    assert empty.status_code == 422
    assert (
        coach.send(page, f"/case/{ines.number}/reopen", reason="He wrote again.").status_code == 303
    )
    assert "He wrote again." in coach.text(f"/case/{ines.number}")


def test_close_without_screening_is_refused_with_way_out(coach, ines):
    answer = coach.send(f"/case/{ines.number}/close", **CLOSING)
    text = answer.get_data(as_text=True)
    assert answer.status_code == 409
    assert "Record a full screening today, then close the case." in text
    assert f"/case/{ines.number}/screening" in text
    assert '<option value="separated" selected>' in text


@pytest.mark.parametrize(
    "changed",
    [
        {"outcome": ""},
        {"reason": "tired"},
        {"final_screening": "not_possible"},
        {"follow_up_on": None},
        {"follow_up_on": "soon"},
        {"colour": "blue"},
    ],
)
def test_invalid_closing_is_refused(team, coach, ines, changed):
    builders.screen(team["coach"], ines.client_id)
    assert coach.send(f"/case/{ines.number}/close", **CLOSING | changed).status_code == 422
    assert "Closed on" not in coach.text(f"/case/{ines.number}")


def test_closing_sent_twice_closes_once(team, coach, ines):
    builders.screen(team["coach"], ines.client_id)
    form = coach.form(f"/case/{ines.number}/close")
    first = coach.post(form.action, form.fields | CLOSING)
    second = coach.post(form.action, form.fields | CLOSING)
    assert (first.status_code, first.location) == (303, second.location)
    coach.text(first.location)
    assert coach.text(f"/case/{ines.number}?kind=stage").count("Case closed") == 1


def test_stale_closing_changes_nothing(team, coach, ines):
    builders.screen(team["coach"], ines.client_id)
    page = f"/case/{ines.number}"
    form = coach.form(f"{page}/close")
    coach.send(f"{page}/details", f"{page}/details/facts", gender="woman")
    assert coach.post(form.action, form.fields | CLOSING).status_code == 412
    assert "Closed on" not in coach.text(page)


@pytest.mark.parametrize("page", ["/help/levels", "/help/keys", "/protocol"])
def test_help_pages_are_shown_to_all_staff(app, team, page):
    assert "<h1>" in StaffBrowser(app, team["admin"]).text(page)
    assert app.test_client().get(page).status_code == 303
