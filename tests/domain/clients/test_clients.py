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
from caseapp.core.vault import SealBroken
from caseapp.domain.audit.models import AuditEvent
from caseapp.domain.clients.memberships import join_care_team
from caseapp.domain.clients.models import CareTeamMember, Client
from caseapp.domain.clients.operations import create_client, update_client
from caseapp.domain.clients.queries import (
    get_client_record,
    lock_client,
)
from caseapp.domain.clients.schemas import CHANNELS, ClientSchema, SafeContact
from caseapp.domain.clients.search import list_clients
from caseapp.domain.keys.models import ClientKey
from caseapp.domain.keys.queries import get_client_key
from tests.support import builders
from tests.support.concurrency import run_concurrently

pytestmark = pytest.mark.both

ALL_DETAILS: dict[str, Any] = {
    "email": "ines@example.test",
    "phone": "07700 900123",
    "partner_name": "Tomas Weber",
    "birth_year": 1984,
    "safe": SafeContact(("call", "email"), "before 17:00", "Bluebell", "He reads the post"),
}


def update(actor, client_id, version=1, **changed):
    with transaction():
        update_client(
            actor,
            lock_client(actor, client_id),
            builders.details(**{**ALL_DETAILS, **changed}),
            version,
        )


def test_client_record_after_create_has_all_details(team):
    client_id = builders.client(team["coach"], "Ines Okafor", **ALL_DETAILS)
    found = get_client_record(team["coach"], client_id)
    for name, value in ALL_DETAILS.items():
        assert getattr(found, name) == value
    assert (found.name, found.preferred_name, found.version) == ("Ines Okafor", "Ines", 1)


def test_client_outside_the_care_team_is_not_found(team):
    client_id = builders.client(team["coach"])
    assert get_client_record(team["coach"], client_id)
    assert get_client_record(team["supervisor"], client_id)
    with pytest.raises(NotFound):
        get_client_record(team["coach2"], client_id)
    with pytest.raises(Forbidden):
        get_client_record(team["admin"], client_id)
    with transaction():
        client = lock_client(team["coach"], client_id)
        for _ in range(2):
            join_care_team(team["coach"], client, team["coach2"].id)
    assert get_client_record(team["coach2"], client_id)
    assert db.session.scalar(sa.select(sa.func.count()).select_from(CareTeamMember)) == 2


def test_foreign_client_looks_like_a_missing_one(team):
    client_id = builders.client(team["coach"])
    messages = []
    for client_id_or_missing in (client_id, UUID(int=1)):
        for call in (
            lambda one: get_client_record(team["coach2"], one),
            lambda one: update(team["coach2"], one),
        ):
            with pytest.raises(NotFound) as refused:
                call(client_id_or_missing)
            messages.append(refused.value.message)
    assert len(set(messages)) == 1


def test_client_list_shows_only_visible_clients(team):
    mine, theirs = builders.client(team["coach"]), builders.client(team["coach2"])

    def seen(who):
        return {item.id for item in list_clients(team[who], None, None, 50).items}

    assert seen("coach") == seen("supervisor") == {mine}
    assert seen("coach2") == {theirs}
    with pytest.raises(Forbidden):
        seen("admin")


def test_create_client_as_admin_or_operator_is_forbidden(team):
    for actor in (team["admin"], operator()):
        with pytest.raises(Forbidden), transaction():
            create_client(actor, builders.details(), coach_id=team["coach"].id)


def test_update_client_records_only_field_names(team):
    client_id = builders.client(team["coach"], "Ines Okafor", **ALL_DETAILS)
    update(
        team["coach"],
        client_id,
        phone="07700 900999",
        safe=replace(ALL_DETAILS["safe"], times="never"),
    )
    found = get_client_record(team["coach"], client_id)
    assert (found.phone, found.safe.times, found.version) == ("07700 900999", "never", 2)
    details = db.session.scalar(
        sa.select(AuditEvent.details).where(AuditEvent.action == "client.edit")
    )
    assert details == {"fields": ["phone", "safe"]}


def test_concurrent_updates_of_a_client_let_one_win(team, app):
    client_id = builders.client(team["coach"])
    answers = run_concurrently(
        app, 4, lambda n: update(team["coach"], client_id, pronouns=f"writer {n}")
    )
    assert answers.count(None) == 1
    assert sum(isinstance(answer, Stale) for answer in answers) == 3
    db.session.rollback()
    found = get_client_record(team["coach"], client_id)
    assert found.pronouns == f"writer {answers.index(None)}"
    assert found.version == 2


def test_client_without_a_key_is_not_found(team):
    client_id = builders.client(team["coach"])
    with transaction() as session:
        session.execute(sa.delete(ClientKey).where(ClientKey.client_id == client_id))
    with pytest.raises(NotFound):
        get_client_record(team["coach"], client_id)
    with pytest.raises(NotFound):
        get_client_key(client_id)


def test_sealed_value_of_another_client_is_tampered(team):
    first = builders.client(team["coach"], phone="07700 900001")
    second = builders.client(team["coach"], phone="07700 900002")
    with transaction() as session:
        stolen = session.scalar(sa.select(Client.phone).where(Client.id == first))
        session.execute(sa.update(Client).where(Client.id == second).values(phone=stolen))
    with pytest.raises(SealBroken):
        get_client_record(team["coach"], second)


def test_sealed_value_of_another_column_is_tampered(team):
    client_id = builders.client(team["coach"], phone="07700 900001")
    with transaction() as session:
        session.execute(sa.update(Client).values(partner_name=Client.phone))
    with pytest.raises(SealBroken):
        get_client_record(team["coach"], client_id)


def test_key_of_another_client_is_tampered(team):
    first, second = builders.client(team["coach"]), builders.client(team["coach"])
    with transaction() as session:
        stolen = session.scalar(sa.select(ClientKey.wrapped).where(ClientKey.client_id == first))
        session.execute(
            sa.update(ClientKey).where(ClientKey.client_id == second).values(wrapped=stolen)
        )
    with pytest.raises(SealBroken):
        get_client_record(team["coach"], second)


@pytest.mark.parametrize("channel", sorted(CHANNELS))
def test_channel_not_listed_is_not_allowed(channel):
    assert SafeContact((channel,)).allows(channel) == (channel != "in_person")
    assert not SafeContact(()).allows(channel)
    assert not SafeContact((channel, "in_person")).allows(channel)
    assert not SafeContact(tuple(set(CHANNELS) - {channel})).allows(channel)


VALID = {"name": "Ines Okafor", "safe_channels": ["call"]}


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
def test_invalid_client_detail_names_its_field(changed, field):
    errors = ClientSchema().validate({**VALID, **changed})
    assert list(errors) == [field]


def test_client_details_are_normalised():
    found = ClientSchema().load(
        {**VALID, "name": "  Ines   Okafor ", "email": " Ines@Example.TEST ", "phone": ""}
    )
    assert (found.name, found.preferred_name) == ("Ines Okafor", "Ines")
    assert (found.email, found.phone) == ("ines@example.test", None)


@pytest.mark.parametrize(
    ("name", "preferred_name", "errors"),
    [
        ("N" * 61, "", ["preferred_name"]),
        ("N" * 61, "Ines", []),
        ("N" * 60 + " Okafor", "", []),
        ("N" * 121, "", ["name"]),
        ("Ines", "N" * 61, ["preferred_name"]),
    ],
)
def test_names_fit_their_columns_also_when_one_is_derived(name, preferred_name, errors):
    data = {"name": name, "preferred_name": preferred_name, "safe_channels": ["call"]}
    assert sorted(ClientSchema().validate(data)) == errors
