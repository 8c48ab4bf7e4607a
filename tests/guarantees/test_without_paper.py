"""When no PDF can be rendered, everything else works, and requests for one are told so (REL-22).

tests/cli/test_serve.py kills and stops the renderers of a running server; here every interface is asked, and
tests/core/test_wait_budget.py asks who may wait for a slow one.
"""

from __future__ import annotations

from contextlib import contextmanager
from html import unescape

import pytest
import sqlalchemy as sa

from caseapp.core import pdf
from caseapp.core.database import db
from caseapp.core.sandbox import limit_hits, pool
from caseapp.domain.assignments.models import Assignment
from tests.core.sandboxes import make_pool, occupied
from tests.guarantees import sample_data as w
from tests.support import builders, staff
from tests.support.pdf_checks import forget_pdfs
from tests.support.staff_pages import StaffBrowser
from tests.web.test_authoring import BODY, create_draft, save

# What the renderers do has nothing to do with the kind of database.
pytestmark = [
    pytest.mark.parametrize("database_url", ["sqlite"], indirect=True),
    pytest.mark.usefixtures("on_release_day"),
]


@pytest.fixture
def world(app):
    found = w.make(app, staff.team())
    builders.screen(found.actors["coach"], found.own["client_id"])
    forget_pdfs()
    for path in limit_hits.hit_dir().glob("*"):
        path.unlink()
    return found


@contextmanager
def failing_server(fault):
    """Make every server of workers fail at its start, as when Pango or a package is missing."""
    before = pdf._pool  # noqa: SLF001 - there is no public way
    pdf._pool = make_pool(fault)  # noqa: SLF001
    try:
        yield
    finally:
        pdf._pool = before  # noqa: SLF001


@contextmanager
def busy_hands(_fault):
    """Keep every worker busy for longer than any wait budget."""
    before, patience = pdf._pool, pool.MAX_WAIT_SECONDS  # noqa: SLF001
    pdf._pool = slow = make_pool(workers=1)  # noqa: SLF001
    with occupied(slow):
        pool.MAX_WAIT_SECONDS = 0.2
        try:
            yield
        finally:
            pool.MAX_WAIT_SECONDS = patience
            pdf._pool = before  # noqa: SLF001
    slow.close()


WAYS = {
    "missing": (failing_server, "ImportError"),
    "slow": (busy_hands, ""),
    "no Pango": (failing_server, "OSError"),
}


def ask(world, who, path):
    key = {"Authorization": f"Bearer {world.tokens[who]}"} if path.startswith("/api") else {}
    return world.browsers[who].get(path, headers=key)


def papers(world):
    """Return every address that renders a PDF, and who requests it."""
    own = world.own
    case = f"/case/{own['number']}/handouts"
    return [
        ("coach", f"{case}/{own['assignment_id']}/pdf"),
        ("coach", f"{case}/reading-all.pdf?assignment={own['assignment_id']}"),
        ("coach", "/handouts/my-limits/pdf"),
        ("coach", "/api/v1/handouts/my-limits/pdf"),
        ("coach", f"/api/v1/assignments/{own['assignment_id']}/pdf"),
        ("client", f"/portal/h/{own['position']}/reading-02.pdf"),
        ("client", "/portal/reading-all.pdf"),
    ]


def opened(world):
    """Return the handouts that this client has opened."""
    db.session.rollback()
    query = sa.select(Assignment.id).where(
        Assignment.opened_at.is_not(None), Assignment.client_id == world.own["client_id"]
    )
    return db.session.scalars(query).all()


@pytest.mark.process
@pytest.mark.parametrize("way", WAYS)
def test_pages_work_and_report_when_pdfs_fail(world, way):
    meet, fault = WAYS[way]
    coach, own = world.browsers["coach"], world.own
    before = w.digest()
    with meet(fault):
        for who, path in papers(world):
            answer = ask(world, who, path)
            said = unescape(answer.get_data(as_text=True))
            if way == "no Pango":
                assert answer.status_code == 409, path
                wanted = "PDFs cannot be created on this machine"
                if who == "client":
                    wanted = "This can’t be saved as a PDF right now. You can read it here"
                assert wanted in said, path
                assert ("libpango" in said) == (who == "coach"), path
            else:
                assert answer.status_code == 503, path
                assert answer.headers["Retry-After"] == "60", path
                assert "Nothing was changed" in said, path
                assert "Try again in a minute" in said, path
            assert "Content-Disposition" not in answer.headers, path
        assert opened(world) == []
        assert w.digest() == before
        for path in (
            "/today",
            "/cases",
            f"/case/{own['number']}",
            f"/case/{own['number']}/notes",
            "/handouts",
        ):
            assert coach.get(path).status_code == 200, path
        assert world.browsers["client"].get("/portal").status_code == 200
        assert world.browsers["client"].get(f"/portal/h/{own['position']}").status_code == 200
        builders.note(world.actors["coach"], own["case_id"])
    # Nobody's document is blamed for it: each is made as soon as it can be.
    assert limit_hits.list_quarantined() == []
    for who, path in papers(world):
        assert ask(world, who, path).data.startswith(b"%PDF"), path


@pytest.mark.pdf
def test_stored_pdf_is_served_when_rendering_fails(world):
    who, path = papers(world)[0]
    made = ask(world, who, path).data
    with failing_server("ImportError"):
        assert ask(world, who, path).data == made


@pytest.mark.pdf
def test_unrenderable_text_is_retried_and_others_are_rendered(world):
    """A real text, through the form: a thousand headings take more pages than a handout may have."""
    desk = StaffBrowser(world.app, world.actors["supervisor"])
    draft = create_draft(desk)
    body = BODY.replace("MARK", "\n\n" + "### a\n\n" * 1000)
    assert save(desk, draft, body=body).status_code == 303
    answers = [desk.send(draft, f"{draft}/pdf") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [503, 503, 503, 409]
    assert "Nothing was changed" in answers[0].get_data(as_text=True)
    said = unescape(answers[3].get_data(as_text=True))
    assert "3 times and won’t be tried again" in said
    assert "Change its content" in said
    assert len(limit_hits.list_quarantined()) == 1
    assert ask(world, "coach", "/handouts/my-limits/pdf").data.startswith(b"%PDF")
    assert desk.get(draft).status_code == 200
    assert save(desk, draft, body=BODY.replace("MARK", "### a")).status_code == 303
    assert desk.send(draft, f"{draft}/pdf").data.startswith(b"%PDF")
