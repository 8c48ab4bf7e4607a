import re

import pytest

from caseapp.core.errors import Unauthenticated
from caseapp.core.ids import new_id
from caseapp.core.permissions import Action
from caseapp.core.transaction import transaction
from caseapp.domain.audit.queries import AuditFilter, list_audit_events
from caseapp.domain.auth.identities import Vouched, link_identity
from caseapp.domain.auth.password_links import check_link
from caseapp.domain.auth.queries import find_token
from caseapp.domain.screening.marks import HOLD_KINDS, list_marks
from caseapp.domain.users.queries import get_user_by_email
from tests.support import builders, staff
from tests.support.staff import PASSWORD


def test_user_add_reads_the_password_from_standard_input(app, run_command):
    """The first admin is made so (VULN-21)."""
    staff.add("supervisor")
    done = run_command(
        "user",
        "add",
        "Ines@practice.test",
        "--name",
        "Ines Okafor",
        "--supervisor",
        "supervisor@practice.test",
        input_text=f"{PASSWORD}\n",
    )
    assert done.exit_code == 0, done.output
    assert done.output == "Ines Okafor can sign in as ines@practice.test (coach).\n"
    user = get_user_by_email("ines@practice.test")
    assert user.supervisor_id == get_user_by_email("supervisor@practice.test").id
    assert "Ines Okafor, coach" in run_command("user", "list").output


def test_user_add_has_no_password_option(run_command):
    done = run_command("user", "add", "a@practice.test", "--name", "A", "--password", PASSWORD)
    assert done.exit_code == 2
    assert "No such option" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "password", "message"),
    [
        (["a@practice.test", "--name", "Ade"], "short", "password: Use 15 characters or more"),
        (["nowhere", "--name", "Ade"], PASSWORD, "email: "),
        (["a@practice.test", "--name", " "], PASSWORD, "name: "),
        (["a@practice.test", "--name", "A" * 121], PASSWORD, "name: "),
        (
            ["a@practice.test", "--name", "Ade 🙂"],
            PASSWORD,
            "name: We cannot print these characters: 🙂",
        ),
        (
            ["a@practice.test", "--name", "A", "--supervisor", "b@x.test"],
            PASSWORD,
            "No account uses that",
        ),
    ],
)
def test_user_add_reports_an_error_in_one_line(run_command, arguments, password, message):
    done = run_command("user", "add", *arguments, input_text=password)
    assert done.exit_code == 1
    assert done.stderr.startswith(message)
    assert done.stderr.count("\n") == 1


def test_sessions_of_a_user_are_listed_and_ended(app, run_command):
    coach = staff.add("coach")
    browser = app.test_client()
    staff.sign_in(browser, coach)
    assert run_command("user", "sessions", "coach@practice.test").output.startswith("Signed in 20")
    done = run_command("user", "sign-out", "coach@practice.test")
    assert done.output == "coach@practice.test is signed out everywhere.\n"
    assert run_command("user", "sessions", "coach@practice.test").output == ""
    assert browser.get("/today").status_code == 303
    assert run_command("user", "sign-out", "nobody@practice.test").exit_code == 1


def test_second_factor_of_a_user_is_removed(app, run_command):
    coach = staff.add("coach")
    staff.set_up_app(coach)
    assert staff.sign_in(app.test_client(), coach).location == "/sign-in/code"
    done = run_command("user", "remove-factor", "coach@practice.test", "--reason", "lost")
    assert done.exit_code == 0
    assert "no longer has a second factor" in done.output
    assert staff.sign_in(app.test_client(), coach).location == "/today"


def test_linked_account_is_shown_and_unlinked(app, run_command):
    coach = staff.add("coach")
    assert run_command("user", "identity", "coach@practice.test").output == ""
    with transaction():
        link_identity(coach, Vouched("https://id.example.org", "1234", None, has_factor=False))
    browser = app.test_client()
    staff.sign_in(browser, coach)
    shown = run_command("user", "identity", "coach@practice.test").output
    assert shown.startswith("https://id.example.org  1234, linked 20")
    assert run_command("user", "unlink", "coach@practice.test").exit_code == 0
    assert browser.get("/today").location == "/sign-in"
    assert run_command("user", "identity", "coach@practice.test").output == ""
    assert run_command("user", "unlink", "coach@practice.test").exit_code == 1


def test_user_reset_and_disable_end_access(app, run_command):
    coach = staff.add("coach")
    browser = app.test_client()
    staff.sign_in(browser, coach)
    assert (
        run_command(
            "user", "reset", "coach@practice.test", input_text="nine small lanterns at sea\n"
        ).exit_code
        == 0
    )
    assert browser.get("/today").status_code == 303
    assert staff.sign_in(app.test_client(), coach).status_code == 401
    assert run_command("user", "disable", "coach@practice.test").exit_code == 0
    assert "no access since" in run_command("user", "list").output
    admin = staff.add("admin")
    log = list_audit_events(admin, AuditFilter(action=Action.USER_MANAGE), None, 9).items
    assert [entry.details for entry in log][1:] == [
        {"disabled": True},
        {"password": "reset"},
        {"added": "coach"},
    ]
    assert {entry.via for entry in log} == {"cli"}


def test_token_is_printed_once_listed_and_revoked(app, run_command):
    coach = staff.add("coach")
    made = run_command("token", "create", "coach@practice.test", "--name", "Calendar")
    text = made.output.strip()
    assert find_token(text).actor.id == coach.id
    listed = run_command("token", "list", "coach@practice.test").output
    assert text not in listed
    assert "not used yet: account:read audit:read clients:read erasure:read handouts:read" in listed
    token_id = re.match(r"\S+", listed)[0]
    assert run_command("token", "revoke", token_id).exit_code == 0
    assert find_token(text) is None
    assert "revoked" in run_command("token", "list", "coach@practice.test").output


def test_revoking_an_unknown_token_fails(run_command):
    done = run_command("token", "revoke", str(new_id()))
    assert done.exit_code == 1
    assert done.stderr == "We could not find that.\n"


def test_user_with_clients_in_need_is_not_disabled_and_their_cases_are_listed(app, run_command):
    team = staff.team()
    made = builders.case(team["coach"], "Ines Okafor")
    builders.screen(team["coach"], made.client_id, self_harm=3)
    done = run_command("user", "disable", "coach@practice.test")
    assert done.exit_code == 1
    assert made.number in done.stderr
    assert "Ines" not in done.output
    assert get_user_by_email("coach@practice.test").disabled_at is None


def test_supervisor_is_disabled_once_their_people_have_another_one(app, run_command):
    staff.team()
    staff.add("supervisor2")
    done = run_command("user", "disable", "supervisor@practice.test")
    assert done.exit_code == 1
    assert "They supervise one person." in done.stderr
    to = ("--people-to", "supervisor2@practice.test")
    assert run_command("user", "disable", "supervisor@practice.test", *to).exit_code == 0
    supervisor2 = get_user_by_email("supervisor2@practice.test")
    assert get_user_by_email("coach@practice.test").supervisor_id == supervisor2.id
    assert get_user_by_email("supervisor@practice.test").disabled_at is not None


def test_user_supervise_gives_another_supervisor(app, run_command):
    team = staff.team()
    made = builders.case(team["coach2"])
    builders.screen(team["coach2"], made.client_id, self_harm=3)
    by = ("--by", "supervisor@practice.test")
    assert run_command("user", "supervise", "coach2@practice.test", *by).exit_code == 0
    marks = list_marks(team["supervisor"].id, HOLD_KINDS)
    assert [mark.client_id for mark in marks] == [made.client_id]
    done = run_command("user", "supervise", "coach2@practice.test", "--by", "coach@practice.test")
    assert done.exit_code == 1
    assert "Only a supervisor" in done.stderr


def test_supervisor_can_work_without_a_supervisor_and_a_coach_cannot(app, run_command):
    staff.add("supervisor2")
    staff.add("supervisor", supervisor="supervisor2")
    staff.add("coach", supervisor="supervisor")
    nobody = ("--by", "nobody")
    done = run_command("user", "supervise", "supervisor@practice.test", *nobody)
    assert done.output == "Nobody now supervises supervisor@practice.test.\n"
    assert get_user_by_email("supervisor@practice.test").supervisor_id is None
    done = run_command("user", "supervise", "coach@practice.test", *nobody)
    assert done.exit_code == 1
    assert "Only a supervisor can work without" in done.stderr


def test_command_names_who_runs_it_and_keeps_to_their_role(app, run_command):
    team = staff.team()
    sign_out = ("user", "sign-out", "coach@practice.test")
    named = ("--as", "Admin@practice.test")
    assert run_command(*named, *sign_out).exit_code == 0
    assert run_command(*sign_out, CASEAPP_OPERATOR="admin@practice.test").exit_code == 0
    done = run_command("--as", "coach@practice.test", *sign_out)
    assert (done.exit_code, done.stderr) == (1, "Your role doesn’t include this.\n")
    with transaction():
        staff.disable("coach2@practice.test")
    for gone in ("coach2@practice.test", "nobody@practice.test"):
        assert run_command("--as", gone, *sign_out).exit_code == 1
    log = list_audit_events(team["admin"], AuditFilter(action=Action.USER_MANAGE), None, 2).items
    assert {(event.actor_id, event.via) for event in log} == {(team["admin"].id, "cli")}


def test_user_is_invited_edited_promoted_disabled_and_enabled(app, run_command):
    staff.team()
    ines = "ines@practice.test"
    over = ("--supervisor", "supervisor@practice.test")
    invite = ("user", "invite", ines, "--name", "Ines Okafor", *over)
    code = run_command(*invite, "--code").output.strip()
    assert check_link(code, PASSWORD, "192.0.2.1")
    assert run_command(*invite).output == f"A link is on its way to {ines}.\n"
    assert f"{ines}  Ines Okafor, coach  invited\n" in run_command("user", "list").output
    with pytest.raises(Unauthenticated):
        check_link(code, PASSWORD, "192.0.2.1")
    edit = ("user", "edit", ines)
    for options, language in (
        (("--language", "es"), "es"),
        (("--name", "Ines Ruiz"), "es"),
        (("--language", "practice"), None),
    ):
        assert run_command(*edit, *options).exit_code == 0
        assert get_user_by_email(ines).language == language
    assert run_command(*edit).output == f"Ines Ruiz, {ines}\n"
    assert (
        run_command("user", "role", ines, "supervisor").output
        == f"{ines} now has the role supervisor.\n"
    )
    assert get_user_by_email(ines).supervisor_id
    assert run_command("user", "disable", ines).exit_code == 0
    assert run_command("user", "enable", ines).output == f"{ines} can sign in again.\n"
    code = run_command("user", "code", "coach@practice.test", "--reason", "forgotten").output
    assert check_link(code.strip(), PASSWORD, "192.0.2.1").link.actor.name == "Marta Lindqvist"
    assert run_command("user", "code", ines, "--reason", "forgotten").exit_code == 1
