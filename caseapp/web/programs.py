"""Settings of programs: which get tokens of their own, what for, and their end."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from flask import render_template, url_for

from caseapp.core.permissions import Action, list_scopes
from caseapp.domain.auth import programs
from caseapp.domain.auth.schemas import NewProgram, NewProgramSchema, ProgramChoiceSchema
from caseapp.http.forms import Body, Done, FormPage, Forms, Sent, no_lock
from caseapp.http.guard import current_actor
from caseapp.web.account import SCOPE_LABELS
from caseapp.web.settings import blueprint

if TYPE_CHECKING:
    from collections.abc import Sequence

    from caseapp.domain.auth.models import Program

page = FormPage(
    blueprint,
    "/settings/programs",
    Action.PROGRAM_MANAGE,
    lambda: programs.list_programs(current_actor()),
)


@page.show
def programs_page(found: Sequence[tuple[Program, str]], forms: Forms) -> str:
    """Show the programs, and the form for another one."""
    return render_template(
        "settings/programs.html",
        forms=forms,
        programs=found,
        scopes={scope: SCOPE_LABELS[scope] for scope in list_scopes(current_actor().role)},
    )


@page.form(
    Action.PROGRAM_MANAGE,
    Body(NewProgramSchema, NewProgram),
    lock=no_lock,
    refused="The program wasn’t made",
)
def make_program(_locked: None, new: NewProgram, sent: Sent) -> Done:
    """Make a program that acts as oneself, and show its secret once."""
    program, secret = programs.make_program(sent.actor, sent.actor.id, new)
    name, id_ = program.name, program.id.hex
    return Done(
        url_for("settings.programs_page"),
        shown=lambda: render_template("settings/program.html", name=name, id=id_, secret=secret),
    )


@page.form(
    Action.PROGRAM_MANAGE,
    Body(ProgramChoiceSchema, UUID),
    lock=no_lock,
    rule="/settings/programs/end",
)
def end_program(_locked: None, program_id: UUID, sent: Sent) -> Done:
    """End a program and its tokens."""
    programs.end_program(sent.actor, program_id)
    return Done(url_for("settings.programs_page"), "program_ended")
