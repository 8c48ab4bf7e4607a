"""The staff's door: pages for coaches, supervisors and admins."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caseapp.web import (
    assignments,
    cases,
    demo_mail,
    entry,
    followups,
    givings,
    guide,
    handouts,
    hiding,
    holds,
    intake,
    invitations,
    log,
    notes,
    own_editor,
    own_handouts,
    people,
    reports,
    screenings,
    settings,
    stages,
    today,
    worksheets,
)

if TYPE_CHECKING:
    from flask import Flask


def init_app(app: Flask) -> None:
    """Open every page of the staff's door.

    Intake and stages belong to the blueprint of cases, the own handouts' editor to that of own handouts.
    """
    modules = (
        entry,
        today,
        cases,
        intake,
        stages,
        screenings,
        holds,
        invitations,
        guide,
        notes,
        followups,
        handouts,
        own_handouts,
        own_editor,
        hiding,
        assignments,
        givings,
        worksheets,
        reports,
        people,
        settings,
        log,
        demo_mail,
    )
    for blueprint in dict.fromkeys(module.blueprint for module in modules):
        app.register_blueprint(blueprint)
