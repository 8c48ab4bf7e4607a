"""After an erasure everything goes on, and nothing names the person."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from caseapp.core import pdf, pdf_cache
from caseapp.core.database import db
from caseapp.core.permissions import ACTIONS_BY_ROLE
from caseapp.core.transaction import transaction
from caseapp.domain.clients.models import Client
from caseapp.domain.clients.queries import take_client_lock
from caseapp.domain.erasure.treatments import TREATMENTS, erase_rows, is_about
from caseapp.domain.models import METADATA
from tests.guarantees import sample_data as w


@pytest.mark.slow
@pytest.mark.both
def test_every_page_goes_on_after_an_erasure_and_names_the_person_nowhere(world, app, monkeypatch):
    monkeypatch.setattr(pdf, "render", lambda *_given, **_more: b"%PDF-1.7")
    monkeypatch.setattr(pdf_cache, "get_or_render", lambda *_given, **_more: b"%PDF-1.7")
    client_id, name = world.own["client_id"], "Quetzalcoatl"
    with transaction():
        take_client_lock(client_id)
        db.session.execute(sa.update(Client).where(Client.id == client_id).values(name=name))
        erase_rows(client_id)
    for table, found in TREATMENTS.items():
        if found.how == "deleted":
            about = is_about(METADATA.tables[table], client_id)
            rows = sa.select(sa.func.count()).select_from(METADATA.tables[table]).where(about)
            assert db.session.scalar(rows) == 0, table
    db.session.rollback()
    failing, naming = [], []
    for route in w.routes(app):
        if route.method != "GET" or route.interface == "portal" or route.action is None:
            continue
        for who in ("coach", "supervisor", "admin"):
            if route.action in ACTIONS_BY_ROLE[world.actors[who].role]:
                answer = w.send(world, route, who, world.values_for(who))
                if answer.status_code >= 500:
                    failing.append((who, route.name, answer.status_code))
                if name in answer.get_data(as_text=True):
                    naming.append((who, route.name))
    assert failing == []
    assert naming == []
