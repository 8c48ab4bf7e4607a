"""A worksheet in the portal as a client's browser uses it: read, fill in and submit its form, upload a file."""

from __future__ import annotations

import io
from html import unescape

import sqlalchemy as sa
from werkzeug.datastructures import FileStorage
from werkzeug.test import encode_multipart

from caseapp.core.database import db
from caseapp.core.transaction import transaction
from caseapp.domain.assignments.operations import assign_handout
from caseapp.domain.cases.queries import lock_case
from tests.support.staff_pages import read_forms

PAGE = "/portal/h/1"
CANARY = "Quetzalcoatl"


def assign(coach, found, slug, language="en"):
    with transaction():
        return assign_handout(
            coach,
            lock_case(coach, found.case_id),
            slug,
            message="",
            channel="portal",
            confirmed=True,
            language=language,
        )


def text(answer):
    return unescape(answer.get_data(as_text=True))


def form(page, action):
    """Return the fields of a form as the page would submit them unchanged."""
    forms = read_forms(page.get_data(as_text=True), PAGE)
    [found] = [one for one in forms if one.action == action]
    return found.fields


def write(visitor, action="save", *, start=None, **answers):
    """Submit the worksheet's form with some answers changed."""
    page = visitor.get(PAGE)
    fields = form(page, f"{PAGE}/save") | {f"answer_{k}": v for k, v in answers.items()}
    if start is not None:
        fields["version"] = str(start)
    return visitor.post(f"{PAGE}/{action}", data=fields)


def upload(visitor, data, *, path=PAGE, page=None, **more):
    fields = form(page or visitor.get(path), f"{path}/upload")
    fields = {name: values[0] for name, values in fields.items()} | more
    fields["file"] = FileStorage(io.BytesIO(data), "../../etc/passwd.pdf")
    # Encoded here, since the test client would leave a temporary file open.
    boundary, body = encode_multipart(fields)
    kind = f"multipart/form-data; boundary={boundary}"
    return visitor.post(f"{path}/upload", data=body, content_type=kind)


def assignment_id_at(position=1):
    db.session.rollback()
    query = sa.text("SELECT id FROM assignment WHERE position = :position")
    found = db.session.execute(query.columns(id=sa.Uuid()), {"position": position}).scalar_one()
    db.session.rollback()
    return found


def case_number(found):
    db.session.rollback()
    number = db.session.execute(
        sa.text("SELECT number FROM coaching_case WHERE id = :id").bindparams(
            sa.bindparam("id", found.case_id, type_=sa.Uuid())
        )
    ).scalar_one()
    db.session.rollback()
    return number


def upload_ids(coach, *, sent):
    db.session.rollback()
    query = sa.text("SELECT id FROM worksheet_upload WHERE (sent_at IS NOT NULL) = :sent")
    rows = db.session.scalars(query.columns(id=sa.Uuid()), {"sent": sent}).all()
    db.session.rollback()
    return rows
