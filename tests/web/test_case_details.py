"""Details of a case: client, facts, flags and safe contact."""

import pytest
import sqlalchemy as sa

from caseapp.core.transaction import transaction
from caseapp.domain.clients.models import PossibleConflict
from caseapp.domain.clients.queries import get_client_record
from caseapp.domain.clients.schemas import SafeContact
from tests.support import builders

HIDDEN = ("csrf_token", "form_key")


@pytest.fixture
def ines(team):
    return builders.case(team["coach"], "Ines Okafor", phone="07700 900418")


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


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
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
    assert "with nobody else present, then confirm it here" in unasked.get_data(as_text=True)
    assert get_client_record(team["coach"], ines.client_id).contact_confirmed_at is None
    assert coach.send(page, action, in_person="yes").status_code == 303
    text = coach.text(page)
    assert "Safe contact confirmed." in text
    assert "Confirmed in person" in text
    assert f"by {team['coach'].name}" in text


@pytest.mark.slow
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


@pytest.mark.slow
def test_possible_conflicts_are_shown_to_supervisors_only(team, coach, supervisor, ines):
    builders.client(team["supervisor"], "Peter Okafor", partner_name="Ines Okafor", agreed=True)
    page = f"/case/{ines.number}/details"
    assert "Peter Okafor" in supervisor.text(page)
    assert "Peter Okafor" not in coach.text(page)


@pytest.mark.slow
def test_partner_added_later_is_decided_by_the_supervisor(team, coach, supervisor, ines):
    builders.client(team["coach2"], "Peter Okafor")
    page = f"/case/{ines.number}/details"
    for agreed in (None, "yes"):
        answer = coach.send(page, f"{page}/client", partner_name="Peter Okafor", agreed=agreed)
        text = answer.get_data(as_text=True)
        assert answer.status_code == 409
        assert "Talk to your supervisor before saving." in text
        assert "Jonas Adler" not in text
        assert 'value="Peter Okafor"' in text
    assert 'name="agreed"' not in coach.send(
        page, f"{page}/client", partner_name="Peter Okafor"
    ).get_data(as_text=True)
    answer = supervisor.send(page, f"{page}/client", partner_name="Peter Okafor")
    assert "Peter Okafor (coach: Jonas Adler) has the name" in answer.get_data(as_text=True)
    assert 'name="agreed"' in answer.get_data(as_text=True)
    answer = supervisor.send(page, f"{page}/client", partner_name="Peter Okafor", agreed="yes")
    assert answer.status_code == 303
    assert coach.send(page, f"{page}/client", pronouns="she/they").status_code == 303


@pytest.mark.slow
def test_conflict_that_waits_is_on_the_board_and_decided_under_details(
    team, coach, supervisor, ines
):
    builders.client(team["supervisor"], "Peter Okafor", partner_name="Ines Okafor", agreed=True)
    with transaction() as session:
        session.execute(sa.update(PossibleConflict).values(decided_at=None, decided_by=None))
    page = f"/case/{ines.number}/details"
    assert "Possible conflicts" in supervisor.text("/board")
    assert page in supervisor.text("/board?show=conflicts")
    assert 'name="agreed"' not in coach.text(page)
    assert "Once you have decided" in supervisor.text(page)
    assert supervisor.send(page, f"{page}/client", agreed="yes").status_code == 303
    assert "Somebody has decided" in supervisor.text(page)
    assert 'name="agreed"' not in supervisor.text(page)
    assert page not in supervisor.text("/board?show=conflicts")
