from __future__ import annotations

import pytest
import sqlalchemy as sa
from argon2 import PasswordHasher

from caseapp.core.actor import operator
from caseapp.core.database import db
from caseapp.core.errors import Forbidden, Invalid, NotFound, Unauthenticated
from caseapp.core.transaction import transaction
from caseapp.domain.audit.models import AuditEntry
from caseapp.domain.auth import credentials
from caseapp.domain.users.models import User
from caseapp.domain.users.operations import (
    add_user,
    disable_user,
    make_token,
    reset_password,
    revoke_token,
    sign_in,
)
from caseapp.domain.users.queries import (
    bearer,
    coached_by,
    coaches_for,
    names_of,
    signed_in,
    supervisor_of,
    user_by_email,
)
from caseapp.domain.users.schemas import SignIn
from tests.support import staff

pytestmark = pytest.mark.both

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
        ({"password": "short"}, "password"),
        ({"password": "x" * 129}, "password"),
        ({"password": "my name is Person and so on"}, "password"),
    ],
)
def test_a_person_is_added_whole_or_not_at_all(app, changed, field):
    staff.add("coach")
    with pytest.raises(Invalid) as refused:
        add(**changed)
    assert list(refused.value.fields) == [field]
    assert db.session.scalar(sa.select(sa.func.count()).select_from(User)) == 1


def test_every_fault_is_named_at_once(app):
    with pytest.raises(Invalid) as refused:
        add(email="", role="", name="", password="")
    assert set(refused.value.fields) == {"email", "role", "name", "password"}


def test_an_unknown_supervisor_stops_it(app):
    with pytest.raises(NotFound):
        add(supervisor="nobody@practice.test")
    assert db.session.scalar(sa.select(sa.func.count()).select_from(User)) == 0


@pytest.mark.parametrize("who", ["coach", "supervisor"])
def test_only_an_admin_manages_people(app, who):
    actor = staff.add(who)
    calls = (
        lambda: add_user(actor, **GOOD),
        lambda: disable_user(actor, f"{who}@practice.test"),
        lambda: reset_password(actor, f"{who}@practice.test", "another good pass phrase"),
        lambda: make_token(actor, f"{who}@practice.test", "mine"),
        lambda: revoke_token(actor, actor.id),
    )
    for call in calls:
        with pytest.raises(Forbidden), transaction():
            call()


def test_addresses_are_kept_small_and_found_in_any_case(app):
    add(email="  New@Practice.Test ")
    assert user_by_email("NEW@practice.test ").email == "new@practice.test"
    with pytest.raises(NotFound):
        user_by_email("nobody@practice.test")


def test_signing_in_gives_a_session_of_ones_own(app):
    coach = staff.add("coach")
    reference = sign_in(SignIn("coach@practice.test", staff.PASSWORD), "192.0.2.1")
    found = signed_in(reference).actor
    assert (found.id, found.role, found.via) == (coach.id, coach.role, "web")


def test_a_hash_with_old_parameters_is_made_anew_at_the_next_sign_in(app):
    staff.add("coach")
    old = PasswordHasher(time_cost=2, memory_cost=16, parallelism=1).hash(staff.PASSWORD)
    with transaction():
        db.session.execute(sa.update(User).values(password_hash=old))
    sign_in(SignIn("coach@practice.test", staff.PASSWORD), "192.0.2.1")
    kept = db.session.scalar(sa.select(User.password_hash))
    assert kept != old
    assert not credentials.outdated(kept)
    assert credentials.matches(kept, staff.PASSWORD)


def test_a_reset_password_is_the_only_one_that_works(app):
    staff.add("coach")
    with pytest.raises(Invalid), transaction():
        reset_password(operator(), "coach@practice.test", "too short")
    with transaction():
        reset_password(operator(), "coach@practice.test", "another good pass phrase")
    with pytest.raises(Unauthenticated):
        sign_in(SignIn("coach@practice.test", staff.PASSWORD), "192.0.2.1")
    assert sign_in(SignIn("coach@practice.test", "another good pass phrase"), "192.0.2.1")


def test_a_disabled_person_does_not_get_in_but_their_name_stays(app):
    coach = staff.add("coach")
    with transaction():
        _, token = make_token(operator(), "coach@practice.test", "laptop")
        disable_user(operator(), "coach@practice.test")
    with pytest.raises(Unauthenticated):
        sign_in(SignIn("coach@practice.test", staff.PASSWORD), "192.0.2.1")
    assert bearer(token) is None
    assert names_of({coach.id}) == {coach.id: coach.name, operator().id: "the practice"}


def test_whose_clients_are_whose(app):
    team = staff.team()

    def seen_by(who):
        return set(db.session.scalars(coached_by(team[who])))

    assert seen_by("coach") == {team["coach"].id}
    assert seen_by("coach2") == {team["coach2"].id}
    assert seen_by("supervisor") == {team["supervisor"].id, team["coach"].id}
    assert supervisor_of(team["coach"].id) == team["supervisor"].id
    assert supervisor_of(team["coach2"].id) is None
    assert supervisor_of(team["supervisor"].id) == team["supervisor"].id
    assert supervisor_of(operator().id) is None


def test_neither_admins_nor_the_disabled_can_be_a_clients_coach(app):
    team = staff.team()
    assert {user.id for user in coaches_for(team["supervisor"])} == {
        team["supervisor"].id,
        team["coach"].id,
    }
    assert list(coaches_for(team["admin"])) == []
    with transaction():
        disable_user(operator(), "coach@practice.test")
    assert list(coaches_for(team["coach"])) == []


def test_what_is_done_to_people_is_recorded_without_secrets(app):
    add()
    with transaction():
        token_id, text = make_token(operator(), "new@practice.test", "laptop")
        revoke_token(operator(), token_id)
        reset_password(operator(), "new@practice.test", "another good pass phrase")
        disable_user(operator(), "new@practice.test")
    rows = db.session.execute(
        sa.select(AuditEntry.action, AuditEntry.details).order_by(AuditEntry.id)
    ).all()
    assert [row.details for row in rows] == [
        {"added": "coach"},
        {"made": True},
        {"revoked": True},
        {"password": "reset"},
        {"disabled": True},
    ]
    assert text not in str(rows)
    assert "phrase" not in str(rows)
