"""The style sheet, scripts and icon, under an address that changes with their content so that browsers keep them."""

from __future__ import annotations

import hashlib
import re
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import tinycss2
from flask import Blueprint, Response, abort, request, send_from_directory, url_for

from caseapp.core.settings import ROOT
from caseapp.http.guard import public

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from werkzeug.wrappers import Response as BaseResponse

STATIC = Path(__file__).parents[1] / "static"
# Later files override earlier ones.
STYLES = (
    "tokens",
    "base",
    "bootstrap-theme",
    "shell",
    "components",
    "case-header",
    "filters",
    "timeline",
    "screening",
    "save-state",
    "session",
    "pages",
    "portal",
    "responsive",
    "print",
    "forms",
    "practice",
    "portal-handouts",
    "cases",
    "notes",
    "handouts",
    "api-docs",
    "recommendations",
    "authoring",
)
STYLE_SHEET = "app.css"
CLASS_ATTRIBUTE = re.compile(r'class="((?:\{[{%].*?[%}]\}|[^"])*)"', re.DOTALL)
JINJA_STRING = re.compile(r"""\{[{%].*?[%}]\}""", re.DOTALL)
STRING = re.compile(r"""["']([^"'\n]*)["']""")
CLASS_NAME = re.compile(r"[A-Za-z][\w-]*")
CLASS_SELECTOR = re.compile(r"\.(-?[A-Za-z_][\w-]*)")
NEGATION = re.compile(r":not\([^()]*\)")

blueprint = Blueprint("assets", __name__)


@blueprint.get("/assets/<string:stamp>/<path:name>")
@public("style sheet and scripts are the same for everybody")
def file(stamp: str, name: str) -> BaseResponse:  # noqa: ARG001 - read by `http.security`, which chooses the lifetime
    """Serve one file; an old stamp gets today's file, which is then kept for a short time only."""
    if name == STYLE_SHEET:
        response = Response(style_sheet(), mimetype="text/css")
        response.add_etag()
        return response.make_conditional(request)
    if not name.endswith((".js", ".svg")):
        abort(404)
    return send_from_directory(STATIC, name)


@blueprint.get("/robots.txt")
@public("tells every search engine to stay away, and nothing else")
def robots() -> BaseResponse:
    """Tell every search engine to stay away."""
    return Response("User-agent: *\nDisallow: /\n", mimetype="text/plain")


def asset(name: str) -> str:
    """Return the address of a file; it changes whenever any file does, so that a page never mixes old and new ones."""
    return url_for("assets.file", stamp=content_stamp(), name=name)


@cache
def content_stamp() -> str:
    """Return a short hash of everything that is served here."""
    content = hashlib.sha256(style_sheet().encode())
    for path in sorted((*STATIC.glob("js/*.js"), *STATIC.glob("*.svg"))):
        content.update(path.read_bytes())
    return content.hexdigest()[:10]


@cache
def style_sheet() -> str:
    """Return the used part of Bootstrap followed by our own styles, as one file."""
    ours = (STATIC / "css" / f"{name}.css" for name in STYLES)
    return "\n".join((bootstrap_subset(), *(path.read_text(encoding="utf-8") for path in ours)))


@cache
def bootstrap_subset() -> str:
    """Return the rules of the installed Bootstrap whose classes all occur in our templates."""
    source = resources.files("flask_bootstrap") / "static/bootstrap5/css/bootstrap.min.css"
    rules = tinycss2.parse_stylesheet(source.read_text(encoding="utf-8"), skip_comments=True)
    return "\n".join(_used_rules(rules, used_class_names()))


@cache
def used_class_names() -> frozenset[str]:
    """Return every word that may be a class name in a template, a script or HTML made in Python."""
    names: set[str] = set()
    for path in (ROOT / "templates").rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        found = (match[1] for match in CLASS_ATTRIBUTE.finditer(text))
        strings = (
            literal[1]
            for expression in JINJA_STRING.finditer(text)
            for literal in STRING.finditer(expression[0])
        )
        names.update(CLASS_NAME.findall(" ".join((*found, *strings))))
    for path in (*ROOT.glob("caseapp/**/*.py"), *STATIC.glob("js/*.js")):
        text = path.read_text(encoding="utf-8")
        names.update(
            name
            for match in CLASS_ATTRIBUTE.finditer(text)
            for name in CLASS_NAME.findall(match[1])
        )
    return frozenset(names)


def _used_rules(rules: Sequence[tinycss2.ast.Node], used: frozenset[str]) -> Iterator[str]:
    for rule in rules:
        if rule.type == "qualified-rule":
            selectors = [
                selector
                for selector in tinycss2.serialize(rule.prelude).split(",")
                if _is_used(selector, used)
            ]
            if selectors:
                yield f"{','.join(selectors)}{{{tinycss2.serialize(rule.content)}}}"
        elif rule.type == "at-rule" and rule.lower_at_keyword == "media":
            inner = tinycss2.parse_rule_list(rule.content, skip_comments=True, skip_whitespace=True)
            kept = "\n".join(_used_rules(inner, used))
            if kept:
                yield f"@media{tinycss2.serialize(rule.prelude)}{{{kept}}}"


def _is_used(selector: str, used: frozenset[str]) -> bool:
    """Tell whether a selector can match in our pages; keyframes and the themes we don't use never do."""
    if "[data-bs-theme=dark]" in selector:
        return False
    return used.issuperset(CLASS_SELECTOR.findall(NEGATION.sub("", selector)))
