"""API for alerts."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from caseapp.api.blueprint import ApiBlueprint, ListQuerySchema, ListRequest
from caseapp.core.pagination import Page
from caseapp.core.permissions import Action
from caseapp.core.transaction import transaction
from caseapp.domain.alerts import operations, queries
from caseapp.domain.alerts.schemas import AlertRecord, AlertResponseSchema
from caseapp.domain.dashboard.queries import get_case_numbers
from caseapp.http.guard import current_actor, needs

if TYPE_CHECKING:
    from collections.abc import Iterable
    from uuid import UUID

blueprint = ApiBlueprint("alerts", "Alerts about holds that were opened or renewed.")


def _with_numbers(alerts: Iterable[AlertRecord]) -> list[dict[str, Any]]:
    found = [*alerts]
    numbers = get_case_numbers(alert.client_id for alert in found if alert.client_id)
    return [
        asdict(alert) | {"case_number": numbers.get(alert.client_id) if alert.client_id else None}
        for alert in found
    ]


@blueprint.route("/alerts")
@needs(Action.ALERT_READ)
@blueprint.list_response_schema(AlertResponseSchema())
@blueprint.query_params(ListQuerySchema())
def list_alerts(query: ListRequest) -> Page[dict[str, Any]]:
    """List the alerts that were sent to you, newest first."""
    page = queries.list_alerts(current_actor(), cursor=query.cursor, limit=query.limit)
    return Page(_with_numbers(page.items), page.next)


@blueprint.route("/alerts/<uuid:alert_id>/acknowledge", "POST")
@needs(Action.ALERT_ACKNOWLEDGE)
@blueprint.response_schema(AlertResponseSchema())
def acknowledge_alert(alert_id: UUID) -> dict[str, Any]:
    """Acknowledge an alert that was sent to you, so that it is no longer passed on. You can repeat this."""
    actor = current_actor()
    with transaction():
        operations.acknowledge_alert(actor, queries.lock_alert(actor, alert_id))
    return _with_numbers([queries.get_alert(actor, alert_id)])[0]
