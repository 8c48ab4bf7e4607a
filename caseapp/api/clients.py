"""Clients: the people who are coached."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from marshmallow import fields, validate

from caseapp.api.blueprint import Door, ListQuery, Wanted, merged
from caseapp.api.serialization import plain, shows
from caseapp.core.permissions import Action
from caseapp.core.transaction import transaction
from caseapp.domain.audit.operations import record_read
from caseapp.domain.clients.operations import add_client, change_client
from caseapp.domain.clients.queries import ClientInList, ClientRecord, client_record, list_clients
from caseapp.domain.clients.schemas import (
    ClientLine,
    ClientSchema,
    ClientView,
    NewClient,
    NewClientSchema,
)
from caseapp.http.guard import needs, the_actor
from caseapp.http.idempotency import api_once

if TYPE_CHECKING:
    from uuid import UUID

    from caseapp.core.pagination import Page

door = Door("clients", "The people who are coached; another coach's client looks like none at all.")
show = shows(ClientView())


class ClientQuery(ListQuery):
    """Narrow the list of clients."""

    q = fields.String(
        validate=validate.Length(max=120),
        metadata={"description": "A name's first letters, an exact e-mail or an exact phone."},
    )


@door.at("/clients")
@needs(Action.CLIENT_READ)
@door.lists(ClientLine())
@door.asks(ClientQuery())
def client_list(query: Wanted) -> Page[ClientInList]:
    """List your clients, newest first."""
    actor = the_actor()
    page = list_clients(actor, query.filters.get("q"), query.cursor, query.limit)
    record_read(actor, Action.CLIENT_READ, "client", None, None)
    return page


@door.at("/clients", "POST")
@needs(Action.CLIENT_CREATE)
@door.gives(ClientView(), 201, at=lambda client: f"/clients/{client['id']}")
@door.takes(NewClientSchema())
def add(body: NewClient) -> ClientRecord:
    """Add a client with you on the care team."""
    actor = the_actor()
    with transaction():
        client_id = api_once(
            lambda: add_client(actor, body.details, coach_id=actor.id, agreed=body.agreed)
        )
    return client_record(actor, client_id)


@door.at("/clients/<uuid:client_id>")
@needs(Action.CLIENT_READ)
@door.gives(ClientView())
def client(client_id: UUID) -> ClientRecord:
    """Show one client."""
    actor = the_actor()
    found = client_record(actor, client_id)
    record_read(actor, Action.CLIENT_READ, "client", client_id, client_id)
    return found


@door.at("/clients/<uuid:client_id>", "PATCH")
@needs(Action.CLIENT_EDIT)
@door.gives(ClientView())
@door.takes(ClientSchema(partial=True))
@door.changes
def change(client_id: UUID, body: dict[str, Any], version: int) -> ClientRecord:
    """Change the fields that are sent; the whole is checked."""
    actor = the_actor()
    stands = plain(show(client_record(actor, client_id)))
    details = merged(ClientSchema(), stands, body)
    with transaction():
        change_client(actor, client_id, details, version)
    return client_record(actor, client_id)
