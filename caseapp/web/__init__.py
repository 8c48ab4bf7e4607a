"""The staff interface: pages for coaches, supervisors and admins."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caseapp.web import (
    account,
    addenda,
    alert_settings,
    alerts,
    assignments,
    audit,
    authoring,
    authoring_editor,
    board,
    briefs,
    bulk_assignments,
    cases,
    consent,
    contacts,
    cosigning,
    cover,
    demo_mail,
    denials,
    disclosures,
    emergency,
    followups,
    handouts,
    help_pages,
    hidden_handouts,
    holds,
    intake,
    invitations,
    note_moves,
    note_search,
    notes,
    password_links,
    people,
    process_notes,
    programs,
    protocol,
    reports,
    safety_plans,
    screenings,
    second_factor,
    settings,
    sign_in,
    single_sign_on,
    staffing,
    stages,
    timeline,
    today,
    transfers,
    worksheets,
)

if TYPE_CHECKING:
    from flask import Flask


def init_app(app: Flask) -> None:
    """Register the blueprints of all staff pages.

    Intake and stages share the blueprint of cases, the authoring editor that of authoring, the settings of alerts that
    of settings, and the second factor that of the account.
    """
    modules = (
        sign_in,
        password_links,
        single_sign_on,
        account,
        second_factor,
        today,
        board,
        staffing,
        denials,
        emergency,
        cover,
        transfers,
        briefs,
        cases,
        timeline,
        intake,
        stages,
        screenings,
        holds,
        safety_plans,
        invitations,
        help_pages,
        protocol,
        notes,
        note_moves,
        note_search,
        addenda,
        cosigning,
        process_notes,
        followups,
        consent,
        disclosures,
        contacts,
        alerts,
        handouts,
        authoring,
        authoring_editor,
        hidden_handouts,
        assignments,
        bulk_assignments,
        worksheets,
        reports,
        people,
        settings,
        programs,
        alert_settings,
        audit,
        demo_mail,
    )
    for blueprint in dict.fromkeys(module.blueprint for module in modules):
        app.register_blueprint(blueprint)
