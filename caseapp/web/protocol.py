"""The page The protocol: every rule of the screening protocol, where it comes from and who has signed it; to print."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import Blueprint, render_template

from caseapp.core.permissions import Action
from caseapp.domain.handouts.provenance import claims
from caseapp.domain.protocol.file import PROTOCOL
from caseapp.http.guard import needs

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

blueprint = Blueprint("protocol", __name__)

GROUPS = {"all": "any item", "safety": "a safety item", "other": "any other item"}
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


@blueprint.get("/protocol")
@needs(Action.SELF_READ)
def protocol_page() -> ResponseReturnValue:
    """Show the protocol that is in force, with the claims that its rules cite."""
    cited = sorted({claim for rule in PROTOCOL.rules for claim in rule.claims})
    return render_template(
        "help/protocol.html",
        groups=GROUPS,
        cited=[claims()[claim] for claim in cited],
        actions={action.key: action.label for action in PROTOCOL.actions},
        holds={hold.key: hold.label for hold in PROTOCOL.holds},
        items_by_key={item.key: item for item in PROTOCOL.items},
        working_days=[WEEKDAYS[number - 1] for number in PROTOCOL.working_days.weekdays],
    )


@blueprint.app_context_processor
def protocol_in_force() -> dict[str, Any]:
    """Make the protocol available to every template: pages with questions name its version."""
    return {"protocol": PROTOCOL}
