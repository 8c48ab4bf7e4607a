from __future__ import annotations

import pytest
import sqlalchemy as sa
from argon2 import PasswordHasher

from caseapp.core.actor import operator
from caseapp.core.database import db
from caseapp.core.errors import Forbidden, Invalid, NotFound, Unauthenticated
from caseapp.core.permissions import READING_SCOPES
from caseapp.core.transaction import transaction
from caseapp.domain.audit.models import AuditEvent
from caseapp.domain.auth import credentials
from caseapp.domain.auth.models import Credential
from caseapp.domain.auth.operations import (
    TOKEN_DAYS,
    add_user,
    create_token,
    reset_password,
    revoke_token,
)
from caseapp.domain.auth.passwords import check_password
from caseapp.domain.auth.queries import find_staff_session, find_token
from caseapp.domain.auth.schemas import SignIn
from caseapp.domain.auth.second_factor import sign_in_with_password
from caseapp.domain.staffing.operations import disable_member
from caseapp.domain.staffing.queries import lock_member
from caseapp.domain.users.models import User
from caseapp.domain.users.queries import (
    get_user_by_email,
    get_user_names,
    list_assignable_coaches,
    select_visible_coaches,
)
from tests.support import staff

GOOD = {
    "email": "new@practice.test",
    "name": "New Person",
    "role": "coach",
    "password": staff.PASSWORD,
}


def add(**changed):
    with transaction():
        return add_user(operator(), **{**GOOD, **changed})


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"email": ""}, "email"),
        ({"email": "no address"}, "email"),
        ({"email": "a@"}, "email"),
        ({"email": "@b"}, "email"),
        ({"email": "a@b@c"}, "email"),
        ({"email": "COACH@practice.test"}, "email"),
        ({"role": "owner"}, "role"),
        ({"role": "client"}, "role"),
        ({"role": ""}, "role"),
        ({"name": "  "}, "name"),
        ({"name": "..."}, "name"),
        ({"name": "N" * 121}, "name"),
        ({"email": f"{'n' * 250}@b.test"}, "email"),
        ({"password": "short"}, "password"),
        ({"password": "x" * 129}, "password"),
        ({"password": "my name is Person and so on"}, "password"),
    ],
)
def test_add_user_with_an_invalid_field_adds_nobody(app, changed, field):
    staff.add("coach")
    with pytest.raises(Invalid) as refused:
        add(**changed)
    assert list(refused.value.fields) == [field]
    assert db.session.scalar(sa.select(sa.func.count()).select_from(User)) == 1


def test_add_user_names_every_error(app):
    with pytest.raises(Invalid) as refused:
        add(email="", role="", name="", password="")
    assert set(refused.value.fields) == {"email", "role", "name", "password"}


def test_add_user_with_unknown_supervisor_is_refused(app):
    with pytest.raises(NotFound):
        add(supervisor="nobody@practice.test")
    assert db.session.scalar(sa.select(sa.func.count()).select_from(User)) == 0


@pytest.mark.parametrize("name", ["", " ", "--", "\u200b", "n" * 81])
def test_token_needs_a_name_that_fits(app, name):
    staff.add("coach")
    with pytest.raises(Invalid) as caught, transaction():
        create_token(operator(), "coach@practice.test", name)
    assert [*caught.value.fields] == ["name"]


@pytest.mark.parametrize(
    ("wrong", "field"),
    [({"scopes": ()}, "scopes"), ({"scopes": ("all",)}, "scopes"), ({"days": 366}, "days")],
)
def test_token_needs_scopes_and_ends_within_a_year(app, wrong, field):
    staff.add("coach")
    with pytest.raises(Invalid) as caught, transaction():
        create_token(operator(), "coach@practice.test", "laptop", **wrong)
    assert [*caught.value.fields] == [field]


@pytest.mark.parametrize("who", ["coach", "supervisor"])
def test_only_admins_manage_users(app, who):
    actor = staff.add(who)
    calls = (
        lambda: add_user(actor, **GOOD),
        lambda: disable_member(actor, lock_member(actor.id), None),
        lambda: reset_password(actor, f"{who}@practice.test", "another good pass phrase"),
        lambda: create_token(actor, f"{who}@practice.test", "mine"),
        lambda: revoke_token(actor, actor.id),
    )
    for call in calls:
        with pytest.raises(Forbidden), transaction():
            call()


def test_email_is_stored_in_lower_case_and_found_in_any_case(app):
    add(email="  New@Practice.Test ")
    assert get_user_by_email("NEW@practice.test ").email == "new@practice.test"
    with pytest.raises(NotFound):
        get_user_by_email("nobody@practice.test")


def enter(password):
    """Sign the coach in as the page does; return the reference of the session."""
    checked = check_password(SignIn("coach@practice.test", password), "192.0.2.1")
    with transaction():
        return sign_in_with_password(checked)


def test_sign_in_begins_a_session_of_that_user(app):
    coach = staff.add("coach")
    reference = enter(staff.PASSWORD)
    found = find_staff_session(reference).actor
    assert (found.id, found.role, found.via) == (coach.id, coach.role, "web")


IN_USE = sa.select(Credential.secret).where(Credential.ended_at.is_(None))


def test_outdated_hash_is_renewed_at_sign_in(app, monkeypatch):
    staff.add("coach")
    today = credentials._hasher  # noqa: SLF001 - what the other tests run on
    old = PasswordHasher(time_cost=2, memory_cost=16, parallelism=1)
    monkeypatch.setattr(credentials, "_hasher", old)
    with transaction():
        reset_password(operator(), "coach@practice.test", staff.PASSWORD)
    monkeypatch.setattr(credentials, "_hasher", today)
    sealed = db.session.scalar(IN_USE)
    enter(staff.PASSWORD)
    assert db.session.scalar(IN_USE) != sealed
    checked = check_password(SignIn("coach@practice.test", staff.PASSWORD), "192.0.2.1")
    assert not credentials.needs_rehash(checked.stored)


def test_reset_password_replaces_the_old_one(app):
    staff.add("coach")
    with pytest.raises(Invalid), transaction():
        reset_password(operator(), "coach@practice.test", "too short")
    with transaction():
        reset_password(operator(), "coach@practice.test", "another good pass phrase")
    with pytest.raises(Unauthenticated):
        enter(staff.PASSWORD)
    assert enter("another good pass phrase")


@pytest.mark.parametrize("change", ["reset", "disabled"])
def test_sign_in_after_a_change_since_the_check_is_refused(app, change):
    staff.add("coach")
    checked = check_password(SignIn("coach@practice.test", staff.PASSWORD), "192.0.2.1")
    with transaction():
        if change == "reset":
            reset_password(operator(), "coach@practice.test", "another good pass phrase")
        else:
            staff.disable("coach@practice.test")
    with pytest.raises(Unauthenticated), transaction():
        sign_in_with_password(checked)


def test_disabled_user_cannot_sign_in_but_keeps_their_name(app):
    coach = staff.add("coach")
    with transaction():
        _, token = create_token(operator(), "coach@practice.test", "laptop")
        staff.disable("coach@practice.test")
    with pytest.raises(Unauthenticated):
        enter(staff.PASSWORD)
    assert find_token(token) is None
    assert get_user_names({coach.id}) == {coach.id: coach.name, operator().id: "the practice"}


def test_visible_coaches_are_oneself_and_supervised_coaches(app):
    team = staff.team()

    def seen_by(who):
        return set(db.session.scalars(select_visible_coaches(team[who])))

    assert seen_by("coach") == {team["coach"].id}
    assert seen_by("coach2") == {team["coach2"].id}
    assert seen_by("supervisor") == {team["supervisor"].id, team["coach"].id}


def test_assignable_coaches_exclude_admins_and_disabled_users(app):
    team = staff.team()
    assert {user.id for user in list_assignable_coaches(team["supervisor"])} == {
        team["supervisor"].id,
        team["coach"].id,
    }
    assert list(list_assignable_coaches(team["admin"])) == []
    with transaction():
        staff.disable("coach@practice.test")
    assert list(list_assignable_coaches(team["coach"])) == []


def test_user_changes_are_audited_without_secrets(app):
    add()
    with transaction():
        token_id, text = create_token(operator(), "new@practice.test", "laptop")
        revoke_token(operator(), token_id)
        reset_password(operator(), "new@practice.test", "another good pass phrase")
        disable_member(operator(), lock_member(get_user_by_email("new@practice.test").id), None)
    rows = db.session.execute(
        sa.select(AuditEvent.action, AuditEvent.details).order_by(AuditEvent.id)
    ).all()
    assert [row.details for row in rows] == [
        {"added": "coach"},
        {"created": True, "scopes": [*READING_SCOPES], "days": TOKEN_DAYS},
        {"revoked": True},
        {"password": "reset"},
        {"disabled": True},
    ]
    assert text not in str(rows)
    assert "phrase" not in str(rows)
