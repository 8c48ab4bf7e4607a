"""The floors: the same Flask, SQLAlchemy, engine and server without our code.

One indexed query returned as JSON, one committed insert, and one file with and without three queries before it. There
are no sessions, roles, encryption or audit events.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from uuid import UUID

import sqlalchemy as sa
from flask import Flask, Response, jsonify, request, send_file

from caseapp.core.database import configure_engine
from caseapp.core.ids import new_id
from caseapp.domain.cases.models import Case
from tests.bench.floor_table import plain_note

COLUMNS = (Case.id, Case.number, Case.status, Case.stage, Case.opened_at)
app = Flask("floor")
engine = sa.create_engine(os.environ["FLOOR_URL"])
if engine.dialect.name == "sqlite":
    # As durable as the application; PostgreSQL keeps SQLAlchemy's defaults.
    configure_engine(engine)


@app.get("/case/<case_id>")
def get_case(case_id: str):
    """Return one row found by an index."""
    with engine.connect() as connection:
        row = _row(connection, case_id)
    return jsonify(row._asdict())


def _row(connection: sa.Connection, case_id: str) -> sa.Row:
    return connection.execute(sa.select(*COLUMNS).where(Case.id == UUID(case_id))).one()


@app.post("/case/<case_id>/notes")
def create_note(case_id: str):
    """Insert one row and commit."""
    made = new_id()
    with engine.connect().execution_options(writes=True) as connection, connection.begin():
        connection.execute(
            sa.insert(plain_note).values(
                id=made,
                case_id=UUID(case_id),
                at=datetime.now(UTC).isoformat(),  # noqa: TID251 - a floor does not use our clock
                body=request.get_json()["sections"]["data"],
            )
        )
    return jsonify(id=str(made)), 201


@app.get("/file")
def get_file():
    """Send a file."""
    return _file()


@app.get("/case/<case_id>/file")
def get_file_after_queries(case_id: str):
    """Send a file after three queries of one row each."""
    with engine.connect() as connection:
        for _ in range(3):
            _row(connection, case_id)
    return _file()


def _file() -> Response:
    return send_file(os.environ["FLOOR_FILE"], mimetype="application/pdf", as_attachment=True)
