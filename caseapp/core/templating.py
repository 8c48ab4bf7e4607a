"""Texts made outside a page: mail bodies and the HTML that becomes a PDF."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from caseapp.core.settings import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping

TEMPLATES = ROOT / "templates"


@cache
def environment() -> Environment:
    """Make the one Jinja environment for documents; a missing value is a fault, never a gap."""
    return Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def text_of(template: str, values: Mapping[str, object]) -> str:
    """Fill a template of `templates/pdf` or `templates/emails`.

    Raises jinja2.UndefinedError when a value is missing.
    """
    return environment().get_template(template).render(**values)
