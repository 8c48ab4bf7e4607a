"""The guard: every view says which action it needs, or why it is public; one that says neither stops the start."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from flask import current_app, g, request

from caseapp.core.actor import require
from caseapp.core.errors import Unauthenticated

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flask import Flask
    from werkzeug.routing import Rule

    from caseapp.core.actor import Actor
    from caseapp.core.permissions import Action

View = TypeVar("View", bound="Callable[..., Any]")

# Views that are not ours and serve nothing about anybody.
FOREIGN = frozenset({"static", "bootstrap.static"})


class UndeclaredView(Exception):
    """Name every view that declares neither an action nor that it is public."""


def needs(action: Action) -> Callable[[View], View]:
    """Declare the action that a view needs; the guard asks for it before the view runs."""

    def declare(view: View) -> View:
        view.action = action  # type: ignore[attr-defined]
        return view

    return declare


def public(why: str) -> Callable[[View], View]:
    """Declare that a view serves anybody, and why that is right."""

    def declare(view: View) -> View:
        view.public = why  # type: ignore[attr-defined]
        return view

    return declare


def rules(app: Flask) -> Iterator[tuple[Rule, str, Callable[..., Any]]]:
    """Walk over every rule and method with the function that answers it."""
    for rule in app.url_map.iter_rules():
        view = app.view_functions[rule.endpoint]
        for method in sorted(rule.methods or ()):
            if method == "OPTIONS":
                continue
            answering: Any = view
            if view_class := getattr(view, "view_class", None):
                answering = getattr(view_class, "get" if method == "HEAD" else method.lower())
            yield rule, method, answering


def check_declared(app: Flask) -> None:
    """Make sure that every view is declared.

    Raises UndeclaredView, which stops the start.
    """
    bare = sorted(
        f"{method} {rule.rule} ({rule.endpoint})"
        for rule, method, view in rules(app)
        if rule.endpoint not in FOREIGN
        and not hasattr(view, "action")
        and not hasattr(view, "public")
    )
    if bare:
        raise UndeclaredView("No action and not public: " + "; ".join(bare))


def answering_view() -> Callable[..., Any] | None:
    """Give the function that will answer the present request."""
    if request.endpoint is None:
        return None
    view: Any = current_app.view_functions.get(request.endpoint)
    if view_class := getattr(view, "view_class", None):
        method = "get" if request.method == "HEAD" else request.method.lower()
        return getattr(view_class, method, None)
    return view  # type: ignore[no-any-return]


def check_action() -> None:
    """Ask for the declared action before a view runs.

    Raises Unauthenticated or Forbidden.
    """
    view = answering_view()
    action: Action | None = getattr(view, "action", None)
    if action is not None:
        require(the_actor(), action)


def the_actor() -> Actor:
    """Give the one who asks; the session layer has put them there.

    Raises Unauthenticated when nobody is signed in.
    """
    actor: Actor | None = g.get("actor")
    if actor is None:
        raise Unauthenticated
    return actor
