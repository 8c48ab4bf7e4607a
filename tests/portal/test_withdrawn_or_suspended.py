"""What is recorded about a client changes nothing in the portal but that handouts leave, as when they are withdrawn."""

from __future__ import annotations

import pytest

from caseapp.core.transaction import transaction
from caseapp.domain.assignments.operations import withdraw
from caseapp.domain.assignments.queries import lock_assignment
from caseapp.domain.assignments.reading import get_own_assignment
from caseapp.domain.clients.queries import lock_client
from caseapp.domain.screening.operations import set_manual_flag
from caseapp.domain.screening.protocol import MANUAL_FLAGS
from tests.domain.assignments.steps import reader as client_actor
from tests.domain.worksheets import sample_files
from tests.portal.crawler import crawl, readable_response
from tests.portal.portal_handout import assign, form, upload, write
from tests.support import builders
from tests.support.depth import sample
from tests.support.portal_client import sign_in_client
from tests.support.staff_pages import lasting, read_forms

HANDOUTS = (
    sample_files.PAUSE,
    "better-nights",
    sample_files.LIMITS,
    "keep-the-day-running",
    "help-right-now",
)
POSITIONS = tuple(range(1, len(HANDOUTS) + 1))
# What hides all handouts, some of them, or none.
LEVELS = [
    {"fear_at_home": "urgent"},
    {"fear_at_home": "concern"},
    {"fear_at_home": "watch"},
    {"self_harm": "urgent"},
    {"harm_to_others": "concern"},
    {"following": "concern"},
    {"sleep": "concern"},
]


def visit(app, coach):
    """Sign a client in who has read, written, shared and uploaded something."""
    visitor, found = sign_in_client(app, coach, "Ines Okafor", agreed=True)
    builders.screen(coach, found.client_id)
    for slug in HANDOUTS:
        assign(coach, found, slug)
    page = visitor.get("/portal/h/4")
    visitor.post("/portal/h/4/read", data=form(page, "/portal/h/4/read"))
    assert write(visitor, "share", what_happened="He read my phone.").status_code == 303
    assert upload(visitor, sample_files.scan()).status_code == 303
    # What was done is said once, on the next page.
    visitor.get("/portal")
    return visitor, found


def list_left(found):
    """List the positions of what the client can't read now, with the assignment."""
    records = [get_own_assignment(client_actor(found), position) for position in POSITIONS]
    return [record for record in records if record.blockers]


def record_fact(coach, found, fact):
    if isinstance(fact, dict):
        builders.screen(coach, found.client_id, **fact)
    else:
        with transaction():
            set_manual_flag(coach, lock_client(coach, found.client_id), fact)


def open_forms(visitor):
    """Return the forms of every handout's page, as a window that is open holds them."""
    found = []
    for position in POSITIONS:
        path = f"/portal/h/{position}"
        forms = read_forms(visitor.get(path).get_data(as_text=True), path)
        found += [form for form in forms if form.action.startswith(path)]
    return found


def send(visitor, forms):
    """Send forms as they are, and return each answer by the form's address."""
    return [
        (lasting(form.action), readable_response(visitor.post(form.action, data=form.fields)))
        for form in forms
    ]


@pytest.mark.pdf
@pytest.mark.soak
@pytest.mark.usefixtures("moment")
@pytest.mark.parametrize("fact", sample([*LEVELS, *MANUAL_FLAGS], 4), ids=str)
def test_portal_after_a_recorded_fact_is_the_same_as_after_withdrawals(app, coach, fact):
    """Of two clients alike, one has something recorded, the other has withdrawn what the first can't read any more."""
    (one, recorded), (other, ordinary) = visit(app, coach), visit(app, coach)
    before = crawl(app, one, POSITIONS)
    assert crawl(app, other, POSITIONS) == before
    forms, others_forms = open_forms(one), open_forms(other)
    record_fact(coach, recorded, fact)
    left = list_left(recorded)
    with transaction():
        for record in left:
            theirs = get_own_assignment(client_actor(ordinary), record.position)
            withdraw(coach, lock_assignment(coach, theirs.id), theirs.version)
    after = crawl(app, one, POSITIONS)
    assert crawl(app, other, POSITIONS) == after
    gone = {f"/portal/h/{record.position}" for record in left}
    changed = {path for path in after if after[path] != before[path]}
    lists = {"/portal", "/portal/reading-all.pdf"} if left else set()
    assert changed - lists <= {path for path in after if path[: len("/portal/h/1")] in gone}
    assert send(one, forms) == send(other, others_forms)
