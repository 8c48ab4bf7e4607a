"""An API client: requests with a member of staff's bearer token."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from caseapp.core.actor import operator
from caseapp.core.permissions import SCOPES
from caseapp.core.transaction import transaction
from caseapp.domain.auth.operations import create_token
from tests.support import staff

if TYPE_CHECKING:
    from flask.testing import FlaskClient

    from caseapp.core.actor import Actor

BASE = "/api/v1"


@dataclass(frozen=True)
class ApiClient:
    """A client that sends requests with one person's token."""

    client: FlaskClient
    token: str
    actor: Actor

    def send(self, method, path, body=None, *, version=None, idempotency_key=None, **more: Any):
        """Send a request; `version` is a version, an ETag or a record that was read."""
        headers = {"Authorization": f"Bearer {self.token}"} | more.pop("headers", {})
        if version is not None:
            headers["If-Match"] = version if isinstance(version, str) else etag(version)
        if idempotency_key is not None:
            headers["Idempotency-Key"] = idempotency_key
        if body is not None:
            more["json"] = body
        return self.client.open(BASE + path, method=method, headers=headers, **more)

    def get(self, path, **more):
        """Read."""
        return self.send("GET", path, **more)

    def post(self, path, body=None, **more):
        """Make or do."""
        return self.send("POST", path, body, **more)

    def patch(self, path, body=None, **more):
        """Change."""
        return self.send("PATCH", path, body, **more)


def staffed(app, team):
    """Give each of the sample staff an API client."""
    return {who: program(app, actor) for who, actor in team.items()}


def etag(record):
    """Return the ETag of a record that was read."""
    return f'"{record["version"]}"'


def program(app, actor):
    """Create a token for a person and return their API client."""
    with transaction():
        _, token = create_token(operator(), staff.email_of(actor), "test", SCOPES)
    return ApiClient(app.test_client(), token, actor)


def assert_error(answer, status, code=None):
    """Check the shape of an error and return its body."""
    assert answer.status_code == status, answer.get_data(as_text=True)
    assert answer.mimetype == "application/json"
    found = answer.get_json()["error"]
    assert found.keys() - {"reasons"} == {"code", "message", "fields"}
    if code:
        assert found["code"] == code
    return found


def assert_refused(answer):
    """Return the codes of a broken rule's reasons."""
    return [reason["code"] for reason in assert_error(answer, 409, "rule_broken")["reasons"]]


NOBODYS = "01890000-0000-7000-8000-000000000000"


def assert_hidden(stranger, method, path, record_id, body=None, **more):
    """Check that a foreign record answers byte for byte like a missing one."""
    foreign = stranger.send(method, path.format(record_id), body, **more)
    missing = stranger.send(method, path.format(NOBODYS), body, **more)
    assert_error(foreign, 404, "not_found")
    assert foreign.data == missing.data
    assert dict(foreign.headers).keys() == dict(missing.headers).keys()


def assert_refuses(client, method, path, bodies, **more):
    """Check that each body is refused with 422 naming the invalid field."""
    for field, body in bodies:
        found = assert_error(client.send(method, path, body, **more), 422, "invalid")
        assert field in found["fields"], (body, found)


def assert_refuses_what_is_no_json(client, method, path, **more):
    """Check the four errors of a body before any field is read."""
    assert_error(client.send(method, path, data="{", content_type="application/json", **more), 400)
    assert_error(client.send(method, path, data="x=1", content_type="text/plain", **more), 415)
    assert_error(client.send(method, path, data="", content_type="application/json", **more), 400)
    for wrong in ("[]", '"text"', "7", "null"):
        found = assert_error(
            client.send(method, path, data=wrong, content_type="application/json", **more), 422
        )
        assert found["fields"].keys() == {"body"}


def assert_needs_a_version(client, method, path, body, record):
    """Check 428 without If-Match, 422 for an invalid ETag and 412 for a stale one."""
    assert_error(client.send(method, path, body), 428, "version_missing")
    for strange in ("*", "1", 'W/"1"', '""', '"one"', '"99999999999"'):
        found = assert_error(client.send(method, path, body, version=strange), 422)
        assert found["fields"].keys() == {"If-Match"}
    assert_error(
        client.send(method, path, body, version={"version": record["version"] + 1}), 412, "stale"
    )


def assert_only_answers(client, path, *methods):
    """Check that other methods are refused and Allow lists the valid ones."""
    answer = client.send("DELETE", path)
    assert_error(answer, 405, "method_not_allowed")
    allowed = set(answer.headers["Allow"].split(", ")) - {"HEAD", "OPTIONS"}
    assert allowed == set(methods)


def assert_needs_a_role(outsider, *requests):
    """Check 403 for a person without the action, and 401 without a token."""
    for method, path in requests:
        assert_error(outsider.send(method, path, {} if method != "GET" else None), 403, "forbidden")
        answer = outsider.client.open(BASE + path, method=method)
        assert_error(answer, 401, "unauthenticated")
        assert answer.headers["WWW-Authenticate"] == "Bearer"
