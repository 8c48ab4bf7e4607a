"""The application factory: the only module that knows every part."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Flask, appcontext_pushed, appcontext_tearing_down, g

from caseapp import api, jobs, portal, web
from caseapp.core import data_folder, i18n, logging, queue, runtime
from caseapp.core.database import configure_engine, db
from caseapp.core.settings import ROOT
from caseapp.domain import models
from caseapp.domain.handouts.library import library
from caseapp.domain.keys.operations import open_ring
from caseapp.http import (
    assets,
    errors,
    fonts,
    form_drafts,
    guard,
    health,
    languages,
    reads,
    request_log,
    security,
    session_time,
    sessions,
    template_helpers,
)

if TYPE_CHECKING:
    from caseapp.core.runtime import Runtime
    from caseapp.core.settings import Settings


def create_app(chosen: Settings) -> Flask:
    """Create the application from checked settings.

    Raises what the parts raise (an undeclared view, a broken library file, a missing pragma, a vault key that doesn't
    open the database), so nothing starts half configured.
    """
    with runtime.running(runtime.install(chosen)) as installed:
        return _create(chosen, installed)


def _create(chosen: Settings, installed: Runtime) -> Flask:
    logging.configure_logging(chosen)
    app = Flask("caseapp", template_folder=str(ROOT / "templates"), static_folder=None)
    # A redirect from a double slash would name whichever host the request named.
    app.url_map.merge_slashes = False
    app.config.update(
        TESTING=chosen.env == "test",
        SQLALCHEMY_DATABASE_URI=chosen.database_url,
        TEMPLATES_AUTO_RELOAD=False,
    )
    _activate_in_contexts(app, installed)
    assert models.METADATA is db.metadata  # noqa: S101 - every model is known from here on
    data_folder.secure(chosen.data_dir)
    db.init_app(app)
    with app.app_context():
        configure_engine(db.engine)
        open_ring()
    request_log.init_app(app)
    languages.init_app(app)
    sessions.init_app(app)
    security.init_app(app, chosen)
    app.before_request(guard.check_action)
    errors.init_app(app)
    template_helpers.init_app(app)
    session_time.init_app(app)
    form_drafts.init_app(app)
    app.register_blueprint(health.blueprint)
    app.register_blueprint(assets.blueprint)
    app.register_blueprint(fonts.blueprint)
    web.init_app(app)
    portal.init_app(app)
    api.init_app(app)
    reads.init_app(app)
    jobs.register_handlers()
    app.extensions["queue"] = queue.open_queue(app.app_context, jobs.delete_expired)
    library()
    i18n.catalogues()
    guard.check_declared(app)
    return app


def _activate_in_contexts(app: Flask, installed: Runtime) -> None:
    """Make the application's runtime the current one inside each of its contexts."""

    def push(_app: Flask) -> None:
        if "runtime_before" not in g:
            g.runtime_before = runtime.activate(installed)

    def tear_down(_app: Flask, **_details: object) -> None:
        runtime.activate(g.pop("runtime_before", None))

    appcontext_pushed.connect(push, app, weak=False)
    appcontext_tearing_down.connect(tear_down, app, weak=False)
