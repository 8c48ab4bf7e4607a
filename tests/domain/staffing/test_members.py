"""Members of staff are invited, edited, get another role, and are enabled again."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from caseapp.core import outbox
from caseapp.core.actor import operator
from caseapp.core.clock import at, now
from caseapp.core.database import db
from caseapp.core.errors import Forbidden, Invalid, RuleBroken, Stale
from caseapp.core.i18n import gettext, in_language
from caseapp.core.transaction import transaction
from caseapp.domain.audit.models import AuditEvent
from caseapp.domain.auth.operations import create_token, set_own_language
from caseapp.domain.auth.password_links import (
    check_link,
    choose_password,
    invite_again,
    make_reset_code,
    request_reset,
)
from caseapp.domain.auth.queries import find_token, get_account
from caseapp.domain.auth.second_factor import remove_second_factor_of
from caseapp.domain.screening.marks import HOLD_KINDS, list_marks
from caseapp.domain.staffing.members import (
    change_role,
    enable_member,
    invite_member,
    update_member,
)
from caseapp.domain.staffing.operations import disable_member
from caseapp.domain.staffing.queries import list_leaving, lock_member, lock_with_others
from caseapp.domain.staffing.schemas import MemberDetails, NewMember
from caseapp.domain.users.queries import get_user_by_email
from caseapp.domain.users.staff_mail import send_staff_mail
from tests.support import builders, staff

HERE = "192.0.2.1"
INES = NewMember("Ines Okafor", "Ines@practice.test", "coach", None, "code")


def invite(**changed):
    with transaction():
        return invite_member(operator(), NewMember(**(vars(INES) | changed)))


def set_role(person, role, supervisor=None, people_to=None):
    with transaction():
        member, over, successor = lock_with_others(
            person.id,
            supervisor_id=supervisor and supervisor.id,
            successor_id=people_to and people_to.id,
        )
        change_role(operator(), member, role, over, successor)


def disable(person):
    with transaction():
        disable_member(operator(), lock_member(person.id), None)


def broken(call, *arguments):
    with pytest.raises(RuleBroken) as refused:
        call(*arguments)
    return [reason.code for reason in refused.value.reasons]


def token_of(email):
    with transaction():
        return create_token(operator(), email, "laptop")[1]


def test_invited_coach_can_sign_in_only_after_choosing_a_password(team):
    """Until then the account has nothing by which anybody could sign in (VULN-25)."""
    user_id, code = invite(supervisor_id=team["supervisor"].id)
    assert get_account(user_id).state == "invited"
    with at(now() + timedelta(hours=71)):
        checked = check_link(code, staff.PASSWORD, HERE)
        assert not get_account(user_id).is_expired
    with at(now() + timedelta(hours=72)):
        assert get_account(user_id).is_expired
    with transaction():
        choose_password(checked)
    found = get_account(user_id)
    assert (found.state, found.user.supervisor_id) == ("active", team["supervisor"].id)


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({}, "supervisor_id"),
        ({"role": "admin", "over": "supervisor"}, "supervisor_id"),
        ({"over": "coach"}, "supervisor_id"),
        ({"over": "supervisor", "email": "coach@practice.test"}, "email"),
        ({"over": "supervisor", "email": "nowhere"}, "email"),
        ({"over": "supervisor", "name": "."}, "name"),
    ],
)
def test_invitation_that_is_wrong_adds_nobody(team, changed, field):
    over = team[changed["over"]].id if "over" in changed else None
    rest = {name: value for name, value in changed.items() if name != "over"}
    with pytest.raises(Invalid) as refused:
        invite(**rest, supervisor_id=over)
    assert [*refused.value.fields] == [field]


def test_only_admins_invite_edit_and_enable(team):
    who, details = team["supervisor"], MemberDetails("Ines", "ines@practice.test")
    for change in (
        lambda: invite_member(who, INES),
        lambda: update_member(who, team["coach"].id, details, 1),
        lambda: change_role(who, lock_member(team["coach"].id), "admin", None, None),
        lambda: enable_member(who, lock_member(team["coach"].id)),
    ):
        with pytest.raises(Forbidden), transaction():
            change()


def test_another_address_ends_tokens_and_another_name_does_not(team):
    token, user = token_of("coach@practice.test"), get_user_by_email("coach@practice.test")
    with transaction():
        update_member(operator(), user.id, MemberDetails("Ana Ruiz", user.email), 1)
    assert find_token(token)
    with pytest.raises(Stale), transaction():
        update_member(operator(), user.id, MemberDetails("Ana", user.email), 1)
    with transaction():
        update_member(operator(), user.id, MemberDetails("Ana Ruiz", "Ana@practice.test"), 2)
    assert find_token(token) is None
    assert get_user_by_email("ana@practice.test").name == "Ana Ruiz"


def test_mail_to_staff_is_in_the_language_that_its_reader_has_chosen(team, monkeypatch):
    sent: list[Any] = []
    monkeypatch.setattr("caseapp.core.mail.send", sent.append)
    user, subjects = get_user_by_email("coach@practice.test"), []
    for set_language in (
        lambda: set_own_language(team["coach"], "es"),
        lambda: update_member(operator(), user.id, MemberDetails(user.name, user.email), 2),
    ):
        with transaction():
            set_language()
        assert send_staff_mail(user.email, "forgotten-password", {"link": "x", "minutes": 60})
        subjects.append(sent[-1].subject)
    with in_language("es"):
        translated = gettext("Choose a new password")
    assert subjects == [translated, "Choose a new password"]


def test_address_before_is_told_and_for_a_day_no_link_or_code_replaces_the_password(
    team, monkeypatch
):
    sent: list[Any] = []
    monkeypatch.setattr("caseapp.core.mail.send", sent.append)
    user_id, start = team["coach"].id, now()

    def ask():
        with transaction():
            request_reset("ana@practice.test")
        for _ in range(2):
            outbox.sweep()

    def make_code():
        with transaction():
            return make_reset_code(operator(), user_id, "forgotten")

    with transaction():
        update_member(operator(), user_id, MemberDetails("Ana", "ana@practice.test"), 1)
    ask()
    (told,) = sent
    assert told.to == "coach@practice.test"
    assert "ana@" not in told.body
    assert broken(make_code) == ["address_changed"]
    stored = str([*db.session.scalars(sa.select(outbox.OutboxRow.payload))])
    assert "practice.test" not in stored
    with at(start + timedelta(hours=24, minutes=1)):
        ask()
        assert sent[1].to == "ana@practice.test"
        assert make_code()


def test_wrong_address_of_an_invitation_is_told_nothing(team, monkeypatch):
    sent: list[Any] = []
    monkeypatch.setattr("caseapp.core.mail.send", sent.append)
    user_id, _ = invite(supervisor_id=team["supervisor"].id)
    with transaction():
        update_member(operator(), user_id, MemberDetails("Ines", "right@practice.test"), 1)
    outbox.sweep()
    assert sent == []


def test_token_neither_makes_an_admin_nor_changes_ones_account(team):
    """What a token may do never grows into what its owner may (VULN-28)."""
    admin = replace(team["admin"], scopes=frozenset({"staff:write"}))
    other = staff.add("admin2", role="admin")
    invited, _ = invite(role="admin", email="third@practice.test")
    details = MemberDetails("Another", "another@practice.test")
    for change in (
        lambda: invite_member(admin, replace(INES, role="admin")),
        lambda: invite_again(admin, invited, by_mail=False),
        lambda: make_reset_code(admin, other.id, "forgotten"),
        lambda: update_member(admin, other.id, details, 1),
        lambda: change_role(admin, lock_member(team["coach"].id), "admin", None, None),
        lambda: change_role(admin, lock_member(other.id), "supervisor", None, None),
        lambda: disable_member(admin, lock_member(other.id), None),
        lambda: enable_member(admin, lock_member(other.id)),
    ):
        with pytest.raises(Forbidden) as refused, transaction():
            change()
        assert "can’t make an admin" in refused.value.message
    with transaction():
        update_member(admin, team["coach"].id, details, 1)


def test_coach_becomes_supervisor_and_tokens_end(team):
    token = token_of("coach@practice.test")
    set_role(team["coach"], "supervisor", team["supervisor"])
    assert get_account(team["coach"].id).user.role == "supervisor"
    assert find_token(token) is None


def test_coach_with_a_client_in_need_does_not_become_an_admin(team):
    made = builders.case(team["coach"])
    builders.screen(team["coach"], made.client_id, self_harm=3)
    assert broken(set_role, team["coach"], "admin") == ["clients_left"]
    set_role(team["coach2"], "admin")
    assert get_account(team["coach2"].id).user.supervisor_id is None


@pytest.mark.slow
def test_supervisor_becomes_a_coach_once_somebody_else_supervises_their_people(team):
    made = builders.case(team["coach"])
    builders.screen(team["coach"], made.client_id, self_harm=3)
    supervisor, other = team["supervisor"], team["supervisor2"]
    _, people = list_leaving(operator(), supervisor.id)
    assert {one.id for one in people} == {team["coach"].id, team["coach2"].id}
    assert broken(set_role, supervisor, "coach", other) == ["people_left"]
    assert broken(set_role, supervisor, "coach", None, other) == ["supervisor_needed"]
    set_role(supervisor, "coach", other, other)
    assert get_account(team["coach"].id).user.supervisor_id == other.id
    assert [mark.client_id for mark in list_marks(other.id, HOLD_KINDS)] == [made.client_id]


def test_last_admin_who_can_sign_in_stays(team):
    invite(role="admin")
    assert broken(disable, team["admin"]) == ["last_admin"]
    assert broken(set_role, team["admin"], "supervisor") == ["last_admin"]
    staff.add("admin2", role="admin")
    set_role(team["admin"], "supervisor")


def test_nobody_removes_their_own_second_factor_as_an_admin(team):
    with pytest.raises(RuleBroken), transaction():
        remove_second_factor_of(team["admin"], team["admin"].id, "lost")


def test_enabled_account_has_its_password_and_no_token(team):
    token = token_of("coach@practice.test")
    disable(team["coach"])
    with transaction():
        enable_member(operator(), lock_member(team["coach"].id))
    assert get_account(team["coach"].id).state == "active"
    assert find_token(token) is None
    recorded = [*db.session.scalars(sa.select(AuditEvent.details).order_by(AuditEvent.id))]
    assert recorded[-2:] == [{"disabled": True}, {"enabled": True}]


def test_coach_is_enabled_only_under_an_active_supervisor_and_only_when_disabled(team):
    def enable():
        with transaction():
            enable_member(operator(), lock_member(team["coach"].id))

    assert broken(enable) == ["active"]
    with transaction():
        staff.disable("coach@practice.test")
        staff.disable("supervisor@practice.test")
    assert broken(enable) == ["not_a_supervisor"]
