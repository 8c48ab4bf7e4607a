"""Templates outside a request: mail bodies and the HTML that becomes a PDF."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from caseapp.core.i18n import install_in
from caseapp.core.render_guard import rendering
from caseapp.core.settings import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping

TEMPLATES = ROOT / "templates"


@cache
def get_environment() -> Environment:
    """Return the Jinja environment for documents; a missing value raises an error instead of leaving a gap."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    install_in(environment)
    return environment


def render_text(template: str, values: Mapping[str, object]) -> str:
    """Render a template of `templates/pdf` or `templates/emails`.

    Raises jinja2.UndefinedError when a value is missing.
    """
    with rendering():
        return get_environment().get_template(template).render(**values)
