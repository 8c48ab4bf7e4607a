"""The floors: the same Flask, SQLAlchemy, engine and server with nothing of ours on top.

One indexed query answered as JSON, one plain insert, committed, and one file, as it is or behind three queries. No
session, no role, no seal, no audit entry.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from uuid import UUID

import sqlalchemy as sa
from flask import Flask, Response, jsonify, request, send_file

from caseapp.core.database import prepare
from caseapp.core.ids import new_id
from caseapp.domain.cases.models import Case
from tests.bench.floor_table import plain_note

COLUMNS = (Case.id, Case.number, Case.status, Case.stage, Case.opened_at)
app = Flask("floor")
engine = sa.create_engine(os.environ["FLOOR_URL"])
if engine.dialect.name == "sqlite":
    # As durable as the app; on PostgreSQL everything stays as SQLAlchemy brings it.
    prepare(engine)


@app.get("/case/<case_id>")
def one(case_id: str):
    """Answer one row that an index finds."""
    with engine.connect() as connection:
        row = _row(connection, case_id)
    return jsonify(row._asdict())


def _row(connection: sa.Connection, case_id: str) -> sa.Row:
    return connection.execute(sa.select(*COLUMNS).where(Case.id == UUID(case_id))).one()


@app.post("/case/<case_id>/notes")
def note(case_id: str):
    """Insert one row as it came, and commit."""
    made = new_id()
    with engine.connect().execution_options(writes=True) as connection, connection.begin():
        connection.execute(
            sa.insert(plain_note).values(
                id=made,
                case_id=UUID(case_id),
                at=datetime.now(UTC).isoformat(),  # noqa: TID251 - a floor has no clock of ours
                body=request.get_json()["sections"]["data"],
            )
        )
    return jsonify(id=str(made)), 201


@app.get("/file")
def file():
    """Answer a file as it lies there."""
    return _file()


@app.get("/case/<case_id>/file")
def file_asked_for(case_id: str):
    """Answer a file after three queries of one row each."""
    with engine.connect() as connection:
        for _ in range(3):
            _row(connection, case_id)
    return _file()


def _file() -> Response:
    return send_file(os.environ["FLOOR_FILE"], mimetype="application/pdf", as_attachment=True)
