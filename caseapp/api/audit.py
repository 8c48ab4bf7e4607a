"""The audit log, for admins."""

from __future__ import annotations

from typing import TYPE_CHECKING

from marshmallow import fields, validate

from caseapp.api.blueprint import Door, ListQuery, Wanted
from caseapp.core.permissions import Action
from caseapp.domain.audit.queries import Entry, LogFilter, entries
from caseapp.domain.audit.schemas import EntryView
from caseapp.http.guard import needs, the_actor

if TYPE_CHECKING:
    from caseapp.core.pagination import Page

door = Door("audit", "Who did what to what; nothing here can be changed.")


class LogQuery(ListQuery):
    """Narrow the log."""

    action = fields.String(validate=validate.OneOf([str(action) for action in Action]))
    outcome = fields.String(validate=validate.OneOf(["done", "refused"]))
    actor = fields.UUID(attribute="actor_id")
    client = fields.UUID(attribute="client_id")


@door.at("/audit")
@needs(Action.AUDIT_READ)
@door.lists(EntryView())
@door.asks(LogQuery())
def log(query: Wanted) -> Page[Entry]:
    """List the log, newest first."""
    return entries(the_actor(), LogFilter(**query.filters), query.cursor, query.limit)
