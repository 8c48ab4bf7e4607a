"""Races of two connections that change one client's record, by operation; MORE are second ones of an operation."""

from __future__ import annotations

from tests.guarantees.races.alerts import ALERTS
from tests.guarantees.races.cases import CASES
from tests.guarantees.races.handouts import HANDOUTS
from tests.guarantees.races.notes import NOTES
from tests.guarantees.races.safety_plans import SAFETY_PLANS
from tests.guarantees.races.staffing import MORE, STAFFING
from tests.guarantees.races.worksheets import WORKSHEETS

RACES = ALERTS | CASES | NOTES | HANDOUTS | SAFETY_PLANS | STAFFING | WORKSHEETS

__all__ = ["MORE", "RACES"]
