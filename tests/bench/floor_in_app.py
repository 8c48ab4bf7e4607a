"""A floor inside the application: one more API address that does a plain insert.

Token, role, schemas and response are those of creating a note; there is no access check, encryption or audit.
"""

from __future__ import annotations

import os

import sqlalchemy as sa

from caseapp.api.blueprint import ApiBlueprint
from caseapp.core.clock import now
from caseapp.core.database import run
from caseapp.core.ids import new_id
from caseapp.core.permissions import Action
from caseapp.core.settings import load_settings
from caseapp.core.transaction import transaction
from caseapp.domain.notes.records import NoteRecord
from caseapp.domain.notes.schemas import NewNoteSchema, NoteResponseSchema
from caseapp.factory import create_app
from caseapp.http.guard import current_actor, needs
from tests.bench.floor_table import plain_note

blueprint = ApiBlueprint("plain", "A plain insert.")
INSERT = sa.insert(plain_note)


@blueprint.route("/cases/<uuid:case_id>/plain", "POST")
@needs(Action.NOTE_WRITE)
@blueprint.response_schema(NoteResponseSchema(), 201)
@blueprint.request_schema(NewNoteSchema())
def create(case_id, body):
    """Insert one row and commit."""
    actor, made = current_actor(), new_id()
    with transaction():
        run(
            INSERT,
            id=made,
            case_id=case_id,
            at=body.session_at.isoformat(),
            body=body.sections["data"],
        )
    return NoteRecord(
        id=made,
        case_id=case_id,
        client_id=case_id,
        author_id=actor.id,
        format=body.format,
        session_at=body.session_at,
        minutes=body.minutes,
        modality=body.modality,
        status="draft",
        sections=body.sections,
        screening_id=None,
        updated_at=now(),
        signed_at=None,
        sha256=None,
        actual_session_at=body.session_at,
        actual_minutes=body.minutes,
        in_error=False,
        version=1,
        author=actor.name,
    )


app = create_app(load_settings(os.environ))
app.register_blueprint(blueprint)
