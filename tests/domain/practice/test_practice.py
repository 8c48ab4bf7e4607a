from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import pytest
import sqlalchemy as sa
from marshmallow import ValidationError

from caseapp.core.actor import operator
from caseapp.core.clock import at
from caseapp.core.database import db
from caseapp.core.errors import Forbidden, NotFound, Stale
from caseapp.core.settings import active as active_settings
from caseapp.core.settings import use as use_settings
from caseapp.core.transaction import transaction
from caseapp.domain.audit.models import AuditEvent
from caseapp.domain.practice.help_lines import KINDS, STALE_AFTER_DAYS, countries
from caseapp.domain.practice.models import Practice
from caseapp.domain.practice.operations import (
    add_help_line,
    confirm_help_lines,
    remove_help_line,
    set_up_practice,
    update_practice,
)
from caseapp.domain.practice.queries import (
    get_practice,
    get_practice_info,
)
from caseapp.domain.practice.schemas import (
    HelpLineSchema,
    NewHelpLine,
    PracticeChange,
    PracticeSchema,
)
from tests.support import staff

pytestmark = pytest.mark.both

NOON = datetime(2026, 5, 14, 12, tzinfo=UTC)
SETTINGS = {
    "name": "Harbour",
    "country": "GB",
    "zone": "Europe/London",
    "exit_url": "https://www.bbc.co.uk/weather",
}
LINE = NewHelpLine("dv", "Harbour refuge", "01632 960123", "any time")


def current_settings(**changed):
    practice = get_practice()
    current = PracticeChange(
        practice.name,
        practice.tagline,
        practice.contact,
        practice.country,
        practice.region,
        practice.zone,
        practice.paper,
        practice.paper_code,
        practice.exit_url,
    )
    return replace(current, **changed)


def test_set_up_practice_twice_creates_one_practice(app):
    with transaction():
        set_up_practice("Another", "US", "America/New_York")
    assert db.session.scalar(sa.select(sa.func.count()).select_from(Practice)) == 1
    assert get_practice().country == "GB"


@pytest.mark.parametrize("who", ["coach", "supervisor"])
def test_practice_operations_by_coach_or_supervisor_are_forbidden(app, who):
    actor = staff.add(who)
    for call in (
        lambda: update_practice(actor, current_settings(name="x"), 1),
        lambda: confirm_help_lines(actor),
        lambda: add_help_line(actor, LINE),
        lambda: remove_help_line(actor, UUID(int=1)),
    ):
        with pytest.raises(Forbidden), transaction():
            call()


def test_update_practice_saves_changes_and_audits_field_names_only(app):
    with transaction():
        update_practice(operator(), current_settings(name="Harbour", contact="01632 960000"), 1)
    row = get_practice()
    assert (row.name, row.contact, row.version) == ("Harbour", "01632 960000", 2)
    assert db.session.scalar(sa.select(AuditEvent.details)) == {"fields": ["name", "contact"]}


def test_update_practice_from_old_version_raises_stale(app):
    with transaction():
        update_practice(operator(), current_settings(name="First"), 1)
    with pytest.raises(Stale), transaction():
        update_practice(operator(), current_settings(name="Second"), 1)
    db.session.rollback()
    assert get_practice().name == "First"
    assert db.session.scalar(sa.select(sa.func.count()).select_from(AuditEvent)) == 1


@pytest.mark.parametrize(
    ("changed", "confirmed"),
    [({"name": "x"}, True), ({"country": "US"}, False), ({"region": "x"}, False)],
)
def test_update_practice_with_new_country_or_region_resets_confirmation(app, changed, confirmed):
    admin = staff.add("admin")
    with transaction():
        confirm_help_lines(admin)
    with transaction():
        update_practice(operator(), current_settings(**changed), get_practice().version)
    assert (get_practice().help_lines_confirmed_on is not None) == confirmed


def test_help_lines_become_stale_after_ninety_days(app):
    assert get_practice_info().help_lines.stale
    admin = staff.add("admin")
    with at(NOON), transaction():
        confirm_help_lines(admin)
    with at(NOON + timedelta(days=STALE_AFTER_DAYS)):
        assert not get_practice_info().help_lines.stale
    with at(NOON + timedelta(days=STALE_AFTER_DAYS + 1)):
        assert get_practice_info().help_lines.stale


def test_local_help_lines_come_before_national_ones(app):
    admin = staff.add("admin")
    with transaction():
        line_id = add_help_line(admin, LINE)
    found = get_practice_info().help_lines
    assert found.of_kinds("dv")[0].name == "Harbour refuge"
    assert len(found.of_kinds("dv")) > 1
    assert found.emergency.phone == "999"
    with transaction():
        remove_help_line(admin, line_id)
    assert get_practice_info().own_help_lines == []
    with pytest.raises(NotFound), transaction():
        remove_help_line(admin, line_id)


def test_help_lines_of_other_regions_are_left_out(app):
    for code, country in countries().items():
        regions = {line.region for line in country.lines if line.region}
        for region in regions:
            with transaction():
                chosen = current_settings(country=code, region=region)
                update_practice(operator(), chosen, get_practice().version)
            shown = {line.region for line in get_practice_info().help_lines.lines}
            assert shown <= {None, region}
            assert region in shown


@pytest.mark.parametrize("code", sorted(countries()))
def test_every_country_has_emergency_crisis_and_domestic_violence_lines(code):
    country = countries()[code]
    assert country.lines[0].kind == "emergency"
    kinds = {line.kind for line in country.lines}
    assert kinds <= set(KINDS)
    assert {"emergency", "crisis", "dv"} <= kinds
    for line in country.lines:
        assert line.phone or line.text_to or line.web, line.name
        assert line.last_checked is None or isinstance(line.last_checked, date)


@pytest.mark.slow
@pytest.mark.usefixtures("session_app")
@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "x" * 81}, "name"),
        ({"country": "XX"}, "country"),
        ({"zone": "Mars/Base"}, "zone"),
        ({"zone": "../../etc/passwd"}, "zone"),
        ({"paper": "A5"}, "paper"),
        ({"exit_url": "http://example.org"}, "exit_url"),
        ({"exit_url": "javascript:alert(1)"}, "exit_url"),
        ({"exit_url": "https://"}, "exit_url"),
        ({"exit_url": "https://example.org/?from=coach"}, "exit_url"),
        ({"exit_url": "https://me:pw@example.org/"}, "exit_url"),
        ({"owner": "x"}, "owner"),
    ],
)
def test_practice_schema_with_invalid_setting_names_the_field(changed, field):
    with pytest.raises(ValidationError) as refused:
        PracticeSchema().load({**SETTINGS, **changed})
    assert list(refused.value.messages_dict) == [field]
    assert PracticeSchema().load(SETTINGS).paper == "A4"


@pytest.mark.parametrize(
    ("changed", "valid"),
    [
        ({}, True),
        ({"phone": "+44 (0)1632 960-123"}, True),
        ({"phone": "ring me"}, False),
        ({"phone": "12"}, False),
        ({"kind": "emergency"}, False),
        ({"kind": "other"}, False),
        ({"name": ""}, False),
    ],
)
def test_help_line_schema_accepts_only_diallable_numbers(changed, valid):
    raw = {"kind": "dv", "name": "Refuge", "phone": "01632 960123", **changed}
    assert (not HelpLineSchema().validate(raw)) == valid


@pytest.mark.parametrize(
    ("env", "roles"),
    [("production", ["admin", "supervisor"]), ("demo", []), ("test", [])],
)
def test_new_practice_requires_a_second_factor_of_supervisors_and_admins(app, env, roles):
    """A demo requires it of nobody."""
    with transaction():
        db.session.execute(sa.delete(Practice))
    before = active_settings()
    use_settings(replace(before, env=env))
    try:
        with transaction():
            set_up_practice()
    finally:
        use_settings(before)
    assert get_practice().second_factor_roles == roles
