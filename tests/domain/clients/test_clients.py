from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from caseapp.core.actor import operator
from caseapp.core.database import db
from caseapp.core.errors import Forbidden, NotFound, Stale
from caseapp.core.transaction import transaction
from caseapp.core.vault import Tampered
from caseapp.domain.audit.models import AuditEvent
from caseapp.domain.clients.models import CareTeamMember, Client, ClientKey
from caseapp.domain.clients.operations import create_client, join_care_team, update_client
from caseapp.domain.clients.queries import (
    get_client_key,
    get_client_record,
    list_clients,
    require_visible_client,
)
from caseapp.domain.clients.schemas import CHANNELS, ClientSchema, SafeContact
from tests.support import builders
from tests.support.concurrency import run_concurrently

pytestmark = pytest.mark.both

EVERYTHING: dict[str, Any] = {
    "email": "ines@example.test",
    "phone": "07700 900123",
    "partner_name": "Tomas Weber",
    "birth_year": 1984,
    "safe": SafeContact(("call", "email"), "before 17:00", "Bluebell", "He reads the post"),
}


def change(actor, client_id, version=1, **changed):
    with transaction():
        update_client(actor, client_id, builders.details(**{**EVERYTHING, **changed}), version)


def test_a_client_comes_back_as_they_were_written_down(team):
    client_id = builders.client(team["coach"], "Ines Okafor", **EVERYTHING)
    found = get_client_record(team["coach"], client_id)
    for name, value in EVERYTHING.items():
        assert getattr(found, name) == value
    assert (found.name, found.preferred_name, found.version) == ("Ines Okafor", "Ines", 1)


def test_those_on_the_care_team_see_a_client_and_nobody_else(team):
    client_id = builders.client(team["coach"])
    assert get_client_record(team["coach"], client_id)
    assert get_client_record(team["supervisor"], client_id)
    with pytest.raises(NotFound):
        get_client_record(team["coach2"], client_id)
    with pytest.raises(Forbidden):
        get_client_record(team["admin"], client_id)
    with pytest.raises(NotFound):
        require_visible_client(team["admin"], client_id)
    with transaction():
        join_care_team(team["coach2"].id, client_id)
        join_care_team(team["coach2"].id, client_id)
    assert get_client_record(team["coach2"], client_id)
    assert db.session.scalar(sa.select(sa.func.count()).select_from(CareTeamMember)) == 2


def test_a_foreign_client_looks_like_none_at_all(team):
    client_id = builders.client(team["coach"])
    said = []
    for wanted in (client_id, UUID(int=1)):
        for call in (
            lambda one: get_client_record(team["coach2"], one),
            lambda one: require_visible_client(team["coach2"], one),
            lambda one: change(team["coach2"], one),
        ):
            with pytest.raises(NotFound) as refused:
                call(wanted)
            said.append(refused.value.message)
    assert len(set(said)) == 1


def test_lists_hold_only_what_the_person_may_see(team):
    mine, theirs = builders.client(team["coach"]), builders.client(team["coach2"])

    def seen(who):
        return {item.id for item in list_clients(team[who], None, None, 50).items}

    assert seen("coach") == seen("supervisor") == {mine}
    assert seen("coach2") == {theirs}
    with pytest.raises(Forbidden):
        seen("admin")


def test_only_coaches_and_supervisors_add_clients(team):
    for actor in (team["admin"], operator()):
        with pytest.raises(Forbidden), transaction():
            create_client(actor, builders.details(), coach_id=team["coach"].id)


def test_a_change_is_whole_and_recorded_by_field_names_only(team):
    client_id = builders.client(team["coach"], "Ines Okafor", **EVERYTHING)
    change(
        team["coach"],
        client_id,
        phone="07700 900999",
        safe=replace(EVERYTHING["safe"], times="never"),
    )
    found = get_client_record(team["coach"], client_id)
    assert (found.phone, found.safe.times, found.version) == ("07700 900999", "never", 2)
    details = db.session.scalar(
        sa.select(AuditEvent.details).where(AuditEvent.action == "client.edit")
    )
    assert details == {"fields": ["phone", "safe"]}


def test_two_who_save_at_once_do_not_overwrite_each_other(team, app):
    client_id = builders.client(team["coach"])
    answers = run_concurrently(app, 4, lambda n: change(team["coach"], client_id, pronouns=f"writer {n}"))
    assert answers.count(None) == 1
    assert sum(isinstance(answer, Stale) for answer in answers) == 3
    db.session.rollback()
    found = get_client_record(team["coach"], client_id)
    assert found.pronouns == f"writer {answers.index(None)}"
    assert found.version == 2


def test_a_client_without_a_key_is_gone(team):
    client_id = builders.client(team["coach"])
    with transaction() as session:
        session.execute(sa.delete(ClientKey).where(ClientKey.client_id == client_id))
    with pytest.raises(NotFound):
        get_client_record(team["coach"], client_id)
    with pytest.raises(NotFound):
        get_client_key(client_id)


def test_a_sealed_field_copied_between_clients_does_not_open(team):
    first = builders.client(team["coach"], phone="07700 900001")
    second = builders.client(team["coach"], phone="07700 900002")
    with transaction() as session:
        stolen = session.scalar(sa.select(Client.phone).where(Client.id == first))
        session.execute(sa.update(Client).where(Client.id == second).values(phone=stolen))
    with pytest.raises(Tampered):
        get_client_record(team["coach"], second)


def test_a_sealed_field_copied_to_another_column_does_not_open(team):
    client_id = builders.client(team["coach"], phone="07700 900001")
    with transaction() as session:
        session.execute(sa.update(Client).values(partner_name=Client.phone))
    with pytest.raises(Tampered):
        get_client_record(team["coach"], client_id)


def test_anothers_key_does_not_open_a_client(team):
    first, second = builders.client(team["coach"]), builders.client(team["coach"])
    with transaction() as session:
        stolen = session.scalar(sa.select(ClientKey.wrapped).where(ClientKey.client_id == first))
        session.execute(
            sa.update(ClientKey).where(ClientKey.client_id == second).values(wrapped=stolen)
        )
    with pytest.raises(Tampered):
        get_client_record(team["coach"], second)


@pytest.mark.parametrize("channel", sorted(CHANNELS))
def test_a_channel_is_safe_only_when_it_was_named(channel):
    assert SafeContact((channel,)).allows(channel) == (channel != "in_person")
    assert not SafeContact(()).allows(channel)
    assert not SafeContact((channel, "in_person")).allows(channel)
    assert not SafeContact(tuple(set(CHANNELS) - {channel})).allows(channel)


WHOLE = {"name": "Ines Okafor", "safe_channels": ["call"]}


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"name": None}, "name"),
        ({"name": ""}, "name"),
        ({"name": " - 1 "}, "name"),
        ({"name": "x" * 121}, "name"),
        ({"safe_channels": []}, "safe_channels"),
        ({"safe_channels": ["pigeon"]}, "safe_channels"),
        ({"email": "ines"}, "email"),
        ({"email": "ines@example"}, "email"),
        ({"email": "ines@example.test\r\nBcc: all@example.test"}, "email"),
        ({"email": "ines@example.test, all@example.test"}, "email"),
        ({"phone": "none"}, "phone"),
        ({"phone": "1234"}, "phone"),
        ({"birth_year": 1899}, "birth_year"),
        ({"birth_year": "old"}, "birth_year"),
        ({"consent_on": "yesterday"}, "consent_on"),
        ({"consent_method": "guessed"}, "consent_method"),
        ({"safe_times": "x" * 121}, "safe_times"),
        ({"hold": "none"}, "hold"),
        ({"id": str(UUID(int=1))}, "id"),
    ],
)
def test_details_that_make_no_sense_are_refused_by_name(changed, field):
    faults = ClientSchema().validate({**WHOLE, **changed})
    assert list(faults) == [field]


def test_details_are_tidied():
    found = ClientSchema().load(
        {**WHOLE, "name": "  Ines   Okafor ", "email": " Ines@Example.TEST ", "phone": ""}
    )
    assert (found.name, found.preferred_name) == ("Ines Okafor", "Ines")
    assert (found.email, found.phone) == ("ines@example.test", None)
