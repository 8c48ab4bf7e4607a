"""Races of two connections that change one client's record, by operation; MORE are second ones of an operation."""

from __future__ import annotations

from tests.guarantees.races.alerts import ALERTS
from tests.guarantees.races.amendments import AMENDMENTS
from tests.guarantees.races.cases import CASES
from tests.guarantees.races.consent import CONSENT
from tests.guarantees.races.contacts import CONTACTS
from tests.guarantees.races.devices import DEVICES
from tests.guarantees.races.erasure import ERASURE
from tests.guarantees.races.form_drafts import MORE_DRAFTS
from tests.guarantees.races.handouts import HANDOUTS
from tests.guarantees.races.intakes import INTAKES, MORE_INTAKES
from tests.guarantees.races.legal_holds import LEGAL_HOLDS, MORE_LEGAL_HOLDS
from tests.guarantees.races.merges import MERGES, MORE_MERGES
from tests.guarantees.races.notes import MORE_NOTES, NOTES
from tests.guarantees.races.safety_plans import SAFETY_PLANS
from tests.guarantees.races.staffing import MORE as MORE_STAFFING
from tests.guarantees.races.staffing import STAFFING
from tests.guarantees.races.worksheets import WORKSHEETS

RACES = (
    ALERTS
    | AMENDMENTS
    | CASES
    | CONSENT
    | CONTACTS
    | DEVICES
    | ERASURE
    | HANDOUTS
    | INTAKES
    | LEGAL_HOLDS
    | MERGES
    | NOTES
    | SAFETY_PLANS
    | STAFFING
    | WORKSHEETS
)
MORE = MORE_DRAFTS | MORE_INTAKES | MORE_LEGAL_HOLDS | MORE_MERGES | MORE_NOTES | MORE_STAFFING

__all__ = ["MORE", "RACES"]
