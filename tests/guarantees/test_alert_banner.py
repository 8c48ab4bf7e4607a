"""An alert that waits stands on every staff page of everybody whom it addresses, until somebody acknowledges it."""

from __future__ import annotations

import pytest

from caseapp.core.permissions import ACTIONS_BY_ROLE
from caseapp.core.transaction import transaction
from caseapp.domain.alerts.operations import acknowledge_alert
from caseapp.domain.alerts.queries import lock_alert
from tests.guarantees import sample_data as w
from tests.guarantees.test_statements import NO_PAGES

pytestmark = pytest.mark.slow

BANNER = 'class="notice notice-alert alert-banner"'


def staff_pages(world, who):
    """Yield the address and source of every staff page that somebody may open."""
    for route in w.routes(world.app):
        may = route.action in ACTIONS_BY_ROLE[world.actors[who].role]
        if route.method != "GET" or route.interface != "staff" or not may:
            continue
        if route.rule.endpoint in NO_PAGES:
            continue
        answer = w.send(world, route, who, world.values_for(who))
        if (answer.status_code, answer.mimetype) == (200, "text/html"):
            text = answer.get_data(as_text=True)
            # A part of a page for a script has no frame.
            if "<main" in text:
                yield route.name, text


def test_alert_stands_on_every_staff_page_of_everybody_addressed(world):
    for who, least in (("coach", 25), ("supervisor", 25)):
        pages = dict(staff_pages(world, who))
        assert len(pages) >= least
        assert [name for name, text in pages.items() if BANNER not in text] == []
    for who in ("supervisor2", "admin"):
        pages = dict(staff_pages(world, who))
        assert pages
        assert [name for name, text in pages.items() if BANNER in text] == []


def test_banner_is_gone_once_it_is_acknowledged_by_whoever_may_end_it(world):
    """The coach acknowledges it for themselves, a supervisor for everybody."""
    for who, without in (("coach", ["coach"]), ("supervisor", ["coach", "supervisor"])):
        with transaction():
            found = lock_alert(world.actors[who], world.own["alert_id"])
            acknowledge_alert(world.actors[who], found)
        for other in ("coach", "supervisor"):
            with_banner = [name for name, text in staff_pages(world, other) if BANNER in text]
            assert bool(with_banner) == (other not in without)


def test_banner_names_no_client(world):
    page = world.browsers["coach"].get("/help/keys").get_data(as_text=True)
    assert BANNER in page
    assert "Ines" not in page
    assert "self-harm" not in page.lower()
