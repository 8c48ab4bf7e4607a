"""The staff API under /api/v1: the same nouns and operations as the pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from apispec.ext.marshmallow import MarshmallowPlugin

from caseapp.api import (
    alerts,
    amendments,
    assignments,
    audit,
    board,
    bulk_assignments,
    cases,
    clients,
    consent,
    contacts,
    copies,
    cosigning,
    cover,
    denials,
    disclosures,
    docs,
    emergency,
    erasure,
    exports,
    followups,
    handouts,
    intakes,
    left_drafts,
    legal_holds,
    me,
    notes,
    people,
    practice,
    programs,
    retention,
    safety_plans,
    screenings,
    snippets,
    transfers,
)
from caseapp.api.blueprint import PREFIX, StaffApi, schema_name
from caseapp.core.permissions import SCOPES

if TYPE_CHECKING:
    from flask import Flask

RESOURCES = (
    me,
    clients,
    cases,
    intakes,
    notes,
    amendments,
    snippets,
    cosigning,
    left_drafts,
    screenings,
    safety_plans,
    followups,
    consent,
    disclosures,
    copies,
    erasure,
    legal_holds,
    retention,
    contacts,
    alerts,
    board,
    denials,
    emergency,
    cover,
    transfers,
    handouts,
    assignments,
    bulk_assignments,
    exports,
    people,
    practice,
    audit,
)


def init_app(app: Flask) -> None:
    """Register the API and its description."""
    api = StaffApi(
        app,
        spec_kwargs={
            "title": "Case management API",
            "version": "1",
            "openapi_version": "3.1.0",
            "marshmallow_plugin": MarshmallowPlugin(schema_name_resolver=schema_name),
            "info": {"description": docs.INTRODUCTION},
        },
    )
    api.spec.components.security_scheme("token", {"type": "http", "scheme": "bearer"})
    flow = {"tokenUrl": f"{PREFIX}/oauth/token", "scopes": {scope: scope for scope in SCOPES}}
    programs_flow = {"type": "oauth2", "flows": {"clientCredentials": flow}}
    api.spec.components.security_scheme("program", programs_flow)
    for module in RESOURCES:
        api.register(app, module.blueprint)
    app.extensions["api_description"] = docs.description(api.spec)
    app.register_blueprint(docs.blueprint)
    app.register_blueprint(programs.blueprint)
