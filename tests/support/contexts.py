"""Cases, clients, screenings and holds in memory, for rules that are asked without a database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import strategies as st

from caseapp.core.vault import DataKey, seal_json
from caseapp.domain.cases.models import Case
from caseapp.domain.cases.queries import CaseContext
from caseapp.domain.cases.stages import stages
from caseapp.domain.clients.queries import ClientRecord
from caseapp.domain.clients.schemas import CHANNELS, SafeContact
from caseapp.domain.protocol.file import PROTOCOL
from caseapp.domain.screening.current import SafetyState
from caseapp.domain.screening.events import RecordedEvent, ScreeningRecorded
from caseapp.domain.screening.protocol import FLAG_LABELS, ITEMS, Level
from caseapp.domain.screening.records import Answer, Hold, ScreeningRecord
from caseapp.domain.screening.state import DerivedState, apply

NOW = datetime(2026, 5, 14, 12, tzinfo=UTC)
TODAY = NOW.date()
CLIENT, COACH, SUPERVISOR = UUID(int=1), UUID(int=2), UUID(int=3)
KEY = DataKey(CLIENT, bytes(32))
ALL_NONE = dict.fromkeys((item.key for item in ITEMS), 0)


def screening(*, days_ago=0, by=COACH, asked_alone=True, at_least=None, **levels):
    """Build a screening; every item is at none except those in `levels`, and those that circumstances have raised."""
    return ScreeningRecord(
        id=UUID(int=9),
        client_id=CLIENT,
        recorded_at=NOW - timedelta(days=days_ago),
        recorded_by=by,
        levels=ALL_NONE | levels,
        asked_alone=asked_alone,
        actions_taken=[],
        comment="",
        session_at=NOW - timedelta(days=days_ago),
        seq=1000 - days_ago,
        protocol=PROTOCOL.version,
        circumstances=[],
        at_least=at_least or {},
        below_reason="",
    )


def open_hold(kind="safety", *, days_ago=20, by=COACH):
    """Build an open hold."""
    return Hold(UUID(int=8), CLIENT, kind, NOW - timedelta(days=days_ago), by, [], 1, 1)


def safety(*, holds=(), flags=(), last=None):
    """Build a safety state as of NOW; `holds` are kinds."""
    answers = {
        item: Answer(level, last.session_at, last.asked_alone, last.id, last.session_at)
        for item, level in (last.levels if last else {}).items()
        if level is not None
    }
    opened = tuple(open_hold(kind) for kind in holds)
    return SafetyState(opened, frozenset(flags), NOW, answers)


def answers_after(found):
    """Return the answers that count after screenings, which are in the order of recording, newest first."""
    state = DerivedState()
    for one in reversed(found):
        answers = {key: level for key, level in one.levels.items() if level is not None}
        fact = ScreeningRecorded(
            None, one.session_at, answers, one.asked_alone, protocol=one.protocol
        )
        event = RecordedEvent(one.id, CLIENT, one.seq, one.recorded_at, one.recorded_by, fact)
        state = apply(state, event)
    return state.answers


def client(*, consent_on=TODAY, channels=("call", "portal"), email=None, confirmed_at=None):
    """Build a client; `confirmed_at` is when the safe ways of contact were confirmed."""
    return ClientRecord(
        id=CLIENT,
        name="Ines Okafor",
        preferred_name="Ines",
        pronouns="",
        email=email,
        phone=None,
        partner_name=None,
        birth_year=None,
        safe=SafeContact(tuple(channels)),
        consent_on=consent_on,
        consent_method="written",
        language=None,
        contact_confirmed_at=confirmed_at,
        contact_confirmed_by=COACH if confirmed_at else None,
        created_at=NOW,
        version=1,
    )


def context(*, state=None, person=None, facts=None, kind=CaseContext, **columns):
    """Build a case with its context; `columns` are those of the case."""
    given = {"status": "open", "stage": "steady", "goal": "undecided"} | columns
    row = Case(id=UUID(int=7), client_id=CLIENT, coach_id=COACH, number="C-2026-0001", **given)
    row.facts = seal_json(row, "facts", facts or {}, KEY)
    return kind(row, person or client(), "Marta", state or safety(last=screening()), KEY)


def answers(*, blank=True):
    """Draw the level of each item; with `blank`, items may be left out or not asked."""
    levels = st.sampled_from([*map(int, Level), None] if blank else [*map(int, Level)])
    return st.fixed_dictionaries({item.key: levels for item in ITEMS})


@st.composite
def screenings(draw, *, oldest=40):
    """Draw a screening of one of the last `oldest` days."""
    return screening(
        days_ago=draw(st.integers(0, oldest)),
        by=draw(st.sampled_from([COACH, SUPERVISOR])),
        asked_alone=draw(st.booleans()),
        **draw(answers() | st.just(ALL_NONE)),
    )


def histories(size=4):
    """Draw screenings of different days, newest first."""
    return st.lists(screenings(), max_size=size, unique_by=lambda one: one.seq).map(
        lambda found: sorted(found, key=lambda one: one.seq, reverse=True)
    )


flag_sets = st.frozensets(st.sampled_from([*FLAG_LABELS]))
hold_sets = st.sampled_from([(), ("care",), ("safety",), ("care", "safety")])


@st.composite
def states(draw, last=st.none() | screenings()):  # noqa: B008 - a strategy never changes
    """Draw a safety state."""
    return safety(holds=draw(hold_sets), flags=draw(flag_sets), last=draw(last))


facts_sets = st.fixed_dictionaries(
    {},
    optional={
        "spouse_willingness": st.sampled_from(["none_seen", "few", "several", "agreed"]),
        "spouse_contact_wish": st.sampled_from(["open", "space", "asked_for_none", "unknown"]),
        "living_arrangement": st.sampled_from(["same_home", "nearby", "long_distance"]),
        "affair_disclosed": st.sampled_from(["no", "spouse", "client", "both", "not_said"]),
        "order": st.sampled_from(["none", "protects_client", "protects_spouse", "both"]),
    },
)
days = st.none() | st.integers(-30, 30).map(lambda number: NOW.date() + timedelta(days=number))
clients = st.builds(
    client,
    consent_on=st.none() | st.just(TODAY),
    channels=st.lists(st.sampled_from([*CHANNELS]), unique=True),
    confirmed_at=st.sampled_from([None, NOW]),
)


@st.composite
def contexts(draw, /, kind=CaseContext, **fixed):
    """Draw a case with its context; `fixed` are strategies for columns of the case, or its `state`."""
    drawn = {
        "state": states(),
        "person": clients,
        "facts": facts_sets,
        "status": st.sampled_from(["open", "closed"]),
        "stage": st.sampled_from([stage.id for stage in stages()]),
        "goal": st.sampled_from(["undecided", "together"]),
        "goal_chosen_on": days,
        "review_date": days,
    } | fixed
    return context(kind=kind, **{name: draw(strategy) for name, strategy in drawn.items()})


def complete(reasons):
    """Tell whether every reason has a code, a message and, in a sentence, a way out."""
    return all(
        reason.code.isidentifier() and reason.message and reason.way_out.endswith((".", "”", "?"))
        for reason in reasons
    )
