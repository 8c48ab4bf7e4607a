"""API for clients: list, create, read, update."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from flask import abort, redirect, url_for
from marshmallow import fields, validate

from caseapp.api.blueprint import ApiBlueprint, ListQuerySchema, ListRequest, merge_changes
from caseapp.api.serialization import build_serializer, to_json_types
from caseapp.core.errors import NotFound
from caseapp.core.pagination import page_in_memory
from caseapp.core.permissions import Action
from caseapp.core.transaction import transaction
from caseapp.domain.auth.portal_codes import Invitation, invite_client, make_card
from caseapp.domain.auth.remembered_devices import forget_devices_of
from caseapp.domain.auth.schemas import (
    ClientCardResponseSchema,
    ClientCodesResponseSchema,
    ForgottenDevicesResponseSchema,
    NewCodesSchema,
    NewCodesWish,
    RememberedDeviceResponseSchema,
)
from caseapp.domain.clients import operations, search
from caseapp.domain.clients.care_team import MembershipResponseSchema, list_care_team
from caseapp.domain.clients.queries import get_client_record, lock_client
from caseapp.domain.clients.remembered_devices import list_devices
from caseapp.domain.clients.rules import list_usable_channels
from caseapp.domain.clients.schemas import (
    ClientListItemResponseSchema,
    ClientResponseSchema,
    ContactConfirmationSchema,
    EnteredClient,
    EnteredClientSchema,
)
from caseapp.domain.merges.operations import merge_clients
from caseapp.domain.merges.queries import find_survivor, list_earlier_records, lock_merge
from caseapp.domain.merges.schemas import (
    EarlierRecordResponseSchema,
    MergeIntoSchema,
    NewMergeInto,
)
from caseapp.domain.screening.current import get_safety_state
from caseapp.http.guard import current_actor, needs
from caseapp.http.idempotency import run_api_once

if TYPE_CHECKING:
    from uuid import UUID

    from caseapp.core.actor import Actor
    from caseapp.core.pagination import Page
    from caseapp.domain.clients.care_team import Membership
    from caseapp.domain.clients.models import RememberedDevice
    from caseapp.domain.clients.search import ClientListItem
    from caseapp.domain.merges.queries import EarlierRecord

blueprint = ApiBlueprint(
    "clients",
    "The people who are coached. Another coach’s client returns 404, as if it didn’t exist.",
)
serialize = build_serializer(ClientResponseSchema())
RECORDED_FIELDS = ClientResponseSchema().fields.keys() - {"usable_channels"}


def _show_client(actor: Actor, client_id: UUID) -> dict[str, Any]:
    """Load a client with the channels through which they may be contacted now."""
    found = get_client_record(actor, client_id)
    flags = get_safety_state(client_id).flags
    shown = {name: getattr(found, name) for name in RECORDED_FIELDS}
    return shown | {"usable_channels": list_usable_channels(found, flags)}


class ClientQuery(ListQuerySchema):
    """Filters of the list of clients."""

    q = fields.String(
        validate=validate.Length(max=120),
        metadata={
            "description": "The first letters of a name, or an exact email address or phone number."
        },
    )


@blueprint.route("/clients")
@needs(Action.CLIENT_READ)
@blueprint.list_response_schema(ClientListItemResponseSchema())
@blueprint.query_params(ClientQuery())
def list_clients(query: ListRequest) -> Page[ClientListItem]:
    """List your clients, newest first."""
    actor = current_actor()
    return search.list_clients(actor, query.filters.get("q"), query.cursor, query.limit)


@blueprint.route("/clients", "POST")
@needs(Action.CLIENT_CREATE)
@blueprint.response_schema(
    ClientResponseSchema(), 201, location=lambda client: f"/clients/{client['id']}"
)
@blueprint.request_schema(EnteredClientSchema())
def create_client(body: EnteredClient) -> dict[str, Any]:
    """Create a client with you on the care team."""
    actor = current_actor()
    with transaction():
        client_id = run_api_once(
            lambda: operations.create_client(
                actor, body.details, coach_id=actor.id, agreed=body.agreed
            )
        )
    return _show_client(actor, client_id)


@blueprint.route("/clients/<uuid:client_id>")
@needs(Action.CLIENT_READ)
@blueprint.response_schema(ClientResponseSchema())
def get_client(client_id: UUID) -> dict[str, Any]:
    """Get one client; the address of a record that was merged redirects to the record that was kept (301)."""
    actor = current_actor()
    try:
        return _show_client(actor, client_id)
    except NotFound:
        if (stays := find_survivor(actor, client_id)) is None:
            raise
    return abort(redirect(url_for(".get_client", client_id=stays), HTTPStatus.MOVED_PERMANENTLY))


@blueprint.route("/clients/<uuid:client_id>/merge", "POST", error_statuses=(409,))
@needs(Action.CLIENT_MERGE)
@blueprint.response_schema(ClientResponseSchema())
@blueprint.request_schema(MergeIntoSchema())
@blueprint.requires_if_match
def merge_client(client_id: UUID, body: NewMergeInto, version: int) -> dict[str, Any]:
    """Merge the record of a client who was entered twice into another one, which is returned. It can't be undone.

    Where the two records differ about safety, contact or access, make them the same first: each reason says where.
    """
    actor = current_actor()
    with transaction():
        merge = lock_merge(actor, client_id, body.into_id)
        stays = merge_clients(actor, merge, body.merge, version)
    return _show_client(actor, stays)


@blueprint.route("/clients/<uuid:client_id>/earlier-records")
@needs(Action.SCREENING_READ)
@blueprint.list_response_schema(EarlierRecordResponseSchema())
@blueprint.query_params(ListQuerySchema())
def list_earlier(client_id: UUID, query: ListRequest) -> Page[EarlierRecord]:
    """List the records that were merged into a client’s, the oldest merge first, each with what was not merged.

    This includes the client’s details in that record, and its screenings, holds, flags, circumstances and safety plans.
    None of it counts any longer.
    """
    return page_in_memory(
        list_earlier_records(current_actor(), client_id),
        lambda one: (one.merged_at.isoformat(timespec="microseconds"), one.client.id.hex),
        query.cursor,
        query.limit,
    )


@blueprint.route("/clients/<uuid:client_id>", "PATCH")
@needs(Action.CLIENT_EDIT)
@blueprint.response_schema(ClientResponseSchema())
@blueprint.request_schema(EnteredClientSchema(partial=True))
@blueprint.requires_if_match
def update_client(client_id: UUID, body: dict[str, Any], version: int) -> dict[str, Any]:
    """Change the fields that are sent; the whole record is validated."""
    actor = current_actor()
    current = to_json_types(serialize(_show_client(actor, client_id))) | {"agreed": False}
    entered = merge_changes(EnteredClientSchema(), current, body)
    with transaction():
        operations.update_client(
            actor, lock_client(actor, client_id), entered.details, version, agreed=entered.agreed
        )
    return _show_client(actor, client_id)


@blueprint.route("/clients/<uuid:client_id>/contact-confirmation", "POST")
@needs(Action.CONTACT_CONFIRM)
@blueprint.response_schema(ClientResponseSchema())
@blueprint.request_schema(ContactConfirmationSchema())
@blueprint.requires_if_match
def confirm_contact(client_id: UUID, body: dict[str, bool], version: int) -> dict[str, Any]:  # noqa: ARG001 - it is validated
    """Record that the client confirmed in person which ways of contact are safe, so that they may be used again."""
    actor = current_actor()
    with transaction():
        operations.confirm_contact(actor, lock_client(actor, client_id), version)
    return _show_client(actor, client_id)


@blueprint.route("/clients/<uuid:client_id>/portal-codes", "POST", error_statuses=(409,))
@needs(Action.PORTAL_INVITE)
@blueprint.response_schema(ClientCodesResponseSchema(), 201)
@blueprint.request_schema(NewCodesSchema())
def make_codes(client_id: UUID, body: NewCodesWish) -> dict[str, Any]:
    """Make the codes that a client uses to sign in to the portal; if the client had codes before, give a reason.

    Codes are not stored, so they can’t be shown again, not even when the request is repeated with its
    `Idempotency-Key`. If nothing is mailed and a client who had a PIN gets new codes, somebody else has to make the
    card.
    """
    actor, made = current_actor(), list[Invitation]()

    def create() -> UUID:
        made.append(invite_client(actor, lock_client(actor, client_id), body.reason))
        return made[0].id

    with transaction():
        codes_id = run_api_once(create)
    if not made:
        return {"id": codes_id, "start_code": None, "card_code": None, "mailed": False}
    return vars(made[0])


@blueprint.route("/clients/<uuid:client_id>/portal-card", "POST", error_statuses=(409,))
@needs(Action.PORTAL_INVITE)
@blueprint.response_schema(ClientCardResponseSchema())
def make_client_card(client_id: UUID) -> dict[str, str]:
    """Make the card that goes with a start code that somebody else made; its code is not shown again."""
    actor = current_actor()
    with transaction():
        code = make_card(actor, lock_client(actor, client_id))
    return {"card_code": code}


@blueprint.route("/clients/<uuid:client_id>/portal-devices")
@needs(Action.CLIENT_READ)
@blueprint.list_response_schema(RememberedDeviceResponseSchema())
@blueprint.query_params(ListQuerySchema())
def read_devices(client_id: UUID, query: ListRequest) -> Page[RememberedDevice]:
    """List the devices on which a client can open the portal with their PIN alone, oldest first."""
    client = get_client_record(current_actor(), client_id)
    return page_in_memory(
        list_devices(client.id),
        lambda one: (one.created_at.isoformat(timespec="microseconds"), one.id.hex),
        query.cursor,
        query.limit,
    )


@blueprint.route("/clients/<uuid:client_id>/portal-devices/forget", "POST")
@needs(Action.DEVICE_FORGET)
@blueprint.response_schema(ForgottenDevicesResponseSchema())
def forget_client_devices(client_id: UUID) -> dict[str, int]:
    """Forget all remembered devices of a client and sign the client out; they then need a link or a card."""
    actor = current_actor()
    with transaction():
        forgotten = forget_devices_of(actor, lock_client(actor, client_id))
    return {"forgotten": forgotten}


@blueprint.route("/clients/<uuid:client_id>/care-team")
@needs(Action.CLIENT_READ)
@blueprint.list_response_schema(MembershipResponseSchema())
@blueprint.query_params(ListQuerySchema())
def list_members(client_id: UUID, query: ListRequest) -> Page[Membership]:
    """List who has had which role in a client’s care team, from when until when, oldest first."""
    return page_in_memory(
        list_care_team(current_actor(), client_id),
        lambda one: (one.starts_at.isoformat(timespec="microseconds"), one.user_id.hex, one.role),
        query.cursor,
        query.limit,
    )
