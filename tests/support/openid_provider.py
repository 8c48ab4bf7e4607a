"""An OpenID provider on the loopback interface, from Authlib's server parts, that can be told to say what is false."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import count
from urllib.parse import parse_qs, urlsplit

from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.oauth2.rfc6749 import ClientMixin, grants, scope_to_list
from authlib.oauth2.rfc7636 import CodeChallenge
from authlib.oidc.core import AuthorizationCodeMixin
from authlib.oidc.core.grants import OpenIDCode
from flask import Flask, jsonify, redirect, request
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, OctKey
from joserfc.jws import JWSRegistry
from werkzeug.serving import make_server

from caseapp.core.clock import now
from caseapp.core.settings import Provider
from caseapp.core.settings import active as active_settings
from caseapp.core.settings import use as use_settings
from caseapp.core.transaction import transaction
from caseapp.domain.auth.identities import Vouched, link_identity
from tests.support.loopback import served

CLIENT_ID, CLIENT_SECRET, NAME = "caseapp", "provider-secret-of-the-tests", "Example ID"
SUBJECT = "248289761001"
START = "/sign-in/provider"


class Client(ClientMixin):  # type: ignore[misc]
    """The one client that the provider knows."""

    def __init__(self, redirect_uri):
        """Know where it may be sent back to."""
        self.redirect_uri = redirect_uri

    def get_client_id(self):
        return CLIENT_ID

    def get_default_redirect_uri(self):
        return self.redirect_uri

    def get_allowed_scope(self, scope):
        return scope

    def check_redirect_uri(self, redirect_uri):
        return redirect_uri == self.redirect_uri

    def check_client_secret(self, client_secret):
        return client_secret == CLIENT_SECRET

    def check_endpoint_auth_method(self, method, _endpoint):
        return method == "client_secret_basic"

    def check_response_type(self, response_type):
        return response_type == "code"

    def check_grant_type(self, grant_type):
        return grant_type == "authorization_code"


@dataclass
class Code(AuthorizationCodeMixin):  # type: ignore[misc]
    """A code that was issued and can be redeemed once."""

    code: str
    redirect_uri: str
    scope: str
    nonce: str
    subject: str
    auth_time: int
    code_challenge: str
    code_challenge_method: str

    def get_redirect_uri(self):
        return self.redirect_uri

    def get_scope(self):
        return self.scope

    def get_nonce(self):
        return self.nonce

    def get_auth_time(self):
        return self.auth_time

    def get_acr(self):
        return None

    def get_amr(self):
        return None


class SampleProvider:
    """The provider: whose account is signed in there, what it claims, and how it signs."""

    def __init__(self, redirect_uri):
        """Begin with one key and one person; nothing is served yet."""
        self.client, self.codes, self.asked, self.loads = Client(redirect_uri), {}, [], []
        self.subject, self.signed_in_at = SUBJECT, None
        self.metadata, self.claims, self.header = {}, {}, {}
        self.algorithm, self.sign_with = "ES256", None
        self.is_down, self.numbers = False, count(1)
        self.rotate()
        self.app = Flask("provider")
        self.app.secret_key = "provider"
        self.server = AuthorizationServer(
            self.app,
            query_client=lambda id_: self.client if id_ == CLIENT_ID else None,
            save_token=lambda _token, _request: None,
        )
        self.server.register_grant(
            _grant_of(self), [_SaysClaims(self), CodeChallenge(required=True)]
        )
        self._add_routes()

    def rotate(self, kid=None):
        """Replace the key, under a new name or the same one."""
        self.key = ECKey.generate_key("P-256", {"kid": kid or f"key-{next(self.numbers)}"})

    def _add_routes(self):
        @self.app.before_request
        def note():
            self.loads.append(request.path)
            return ("down", 502) if self.is_down else None

        @self.app.get("/.well-known/openid-configuration")
        def metadata():
            found = {
                "issuer": self.issuer,
                "authorization_endpoint": f"{self.issuer}/authorize",
                "token_endpoint": f"{self.issuer}/token",
                "jwks_uri": f"{self.issuer}/jwks",
                "id_token_signing_alg_values_supported": ["ES256", "HS256", "none"],
                "code_challenge_methods_supported": ["S256"],
            }
            return jsonify(found | self.metadata)

        @self.app.get("/jwks")
        def jwks():
            return jsonify(KeySet([self.key]).as_dict(private=False))

        @self.app.get("/authorize")
        def authorize():
            self.asked.append(request.args.to_dict())
            grant = self.server.get_consent_grant(end_user=self.subject)
            return self.server.create_authorization_response(grant_user=self.subject, grant=grant)

        @self.app.get("/sign-out")
        def sign_out():
            self.asked.append(request.args.to_dict())
            assert request.args["client_id"] == CLIENT_ID
            return redirect(request.args["post_logout_redirect_uri"])

        @self.app.post("/token")
        def token():
            return self.server.create_token_response()

    def authorize(self, address):
        """Sign in at the provider as a browser would; return the address to which it leads back, without our host."""
        self.moment = now()
        with self.app.test_client() as browser:
            parts = urlsplit(address)
            answer = browser.get(
                f"{parts.path}?{parts.query}", base_url=f"{parts.scheme}://{parts.netloc}"
            )
        assert answer.status_code == 302, answer.get_data(as_text=True)
        back = urlsplit(answer.location)
        return f"{back.path}?{back.query}"

    @contextmanager
    def running(self):
        """Serve on a port of its own within the block."""
        with served(make_server("127.0.0.1", 0, self.app, threaded=True)) as server:
            self.issuer = f"http://127.0.0.1:{server.server_port}"
            yield self

    def use(self, **changes):
        """Name the provider in the settings of the application."""
        provider = Provider(self.issuer, CLIENT_ID, CLIENT_SECRET, NAME, frozenset({"mfa"}))
        use_settings(replace(active_settings(), provider=replace(provider, **changes)))


def link(actor, provider, subject=SUBJECT):
    """Link an account at the provider to a member of staff."""
    with transaction():
        link_identity(actor, Vouched(provider.issuer, subject, now(), has_factor=False))


def go(browser, provider, address=START):
    """Follow the way to the provider and back; return the answer of our page."""
    answer = browser.get(address)
    assert answer.status_code == 302, answer.get_data(as_text=True)
    return browser.get(provider.authorize(answer.location))


def _grant_of(provider):
    class Grant(grants.AuthorizationCodeGrant):  # type: ignore[misc]
        TOKEN_ENDPOINT_AUTH_METHODS = ("client_secret_basic",)

        def save_authorization_code(self, code, request):
            sent = request.payload.data
            provider.codes[code] = Code(
                code,
                request.payload.redirect_uri,
                request.payload.scope,
                sent.get("nonce"),
                provider.subject,
                int((provider.signed_in_at or provider.moment).timestamp()),
                sent.get("code_challenge"),
                sent.get("code_challenge_method"),
            )

        def query_authorization_code(self, code, _client):
            return provider.codes.get(code)

        def delete_authorization_code(self, authorization_code):
            del provider.codes[authorization_code.code]

        def authenticate_user(self, authorization_code):
            return authorization_code.subject

    return Grant


class _SaysClaims(OpenIDCode):  # type: ignore[misc]
    """ID tokens that say what the provider was told to say."""

    def __init__(self, provider):
        super().__init__(require_nonce=True)
        self.provider = provider

    def exists_nonce(self, _nonce, _request):
        return False

    def generate_user_info(self, user, _scope):
        return {"sub": user}

    def process_token(self, grant, response):
        token = response[1]
        provider, code = self.provider, grant.request.authorization_code
        if "openid" not in scope_to_list(token["scope"]):
            return token
        moment = int(provider.moment.timestamp())
        claims = {
            "iss": provider.issuer,
            "sub": code.subject,
            "aud": CLIENT_ID,
            "iat": moment,
            "exp": moment + 300,
            "nonce": code.nonce,
            "auth_time": code.auth_time,
        } | provider.claims
        claims = {name: value for name, value in claims.items() if value is not None}
        header = {"alg": provider.algorithm, "kid": provider.key.kid} | provider.header
        header = {name: value for name, value in header.items() if value is not None}
        if provider.algorithm == "none":
            token["id_token"] = f"{_encode(header)}.{_encode(claims)}."
            return token
        token["id_token"] = jwt.encode(
            header,
            claims,
            provider.sign_with or provider.key,
            registry=JWSRegistry(algorithms=[provider.algorithm]),
        )
        return token


def _encode(part):
    return urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")


def shared_secret():
    """Return the client's secret as a key, with which no ID token may be signed."""
    return OctKey.import_key(CLIENT_SECRET)


def query_of(address):
    """Return the arguments of an address, each once."""
    return {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
