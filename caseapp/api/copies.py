"""API for the copy of a record for its client."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING

from caseapp.api.blueprint import ApiBlueprint
from caseapp.core.permissions import Action
from caseapp.core.transaction import transaction
from caseapp.domain.cases.queries import lock_case
from caseapp.domain.dashboard.copy_operations import make_copy, record_copy
from caseapp.domain.dashboard.copy_schemas import (
    CopyAnswer,
    CopyResponseSchema,
    NewCopy,
    NewCopySchema,
)
from caseapp.http.guard import current_actor, needs
from caseapp.http.idempotency import run_api_once

if TYPE_CHECKING:
    from uuid import UUID

blueprint = ApiBlueprint(
    "copies",
    "Copies of a record for its client: an encrypted PDF that isn’t stored anywhere. Each copy is recorded in the "
    "disclosure log.",
)


@blueprint.route("/cases/<uuid:case_id>/copies", "POST")
@needs(Action.RECORD_EXPORT)
@blueprint.response_schema(CopyResponseSchema(), 201)
@blueprint.request_schema(NewCopySchema())
def create_copy(case_id: UUID, body: NewCopy) -> CopyAnswer:
    """Make a copy of the record of a case for its client, and record it in the disclosure log.

    Give the client the passphrase by a different route from the copy. A repeated request makes the copy again, with
    another passphrase if it names none, but adds no second entry to the log; it is refused if the record has changed
    since.
    """
    actor = current_actor()
    made = make_copy(actor, case_id, body)
    with transaction():
        disclosure_id = record_copy(
            actor,
            lock_case(actor, case_id),
            body,
            made,
            once=lambda create: run_api_once(create, made.sha256),
        )
    return CopyAnswer(disclosure_id, body.passphrase, b64encode(made.content).decode())
