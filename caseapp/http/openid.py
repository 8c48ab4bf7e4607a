"""Sign-ins at the practice's OpenID provider, with Authlib: the code flow with PKCE, state and nonce.

What the provider says about a person is checked here and handed to `domain.auth.identities`; its tokens are dropped at
the end of the request.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hmac import compare_digest
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

import structlog
from authlib.common.errors import AuthlibBaseError
from authlib.common.urls import add_params_to_uri
from authlib.integrations.flask_client import FlaskIntegration, FlaskOAuth2App, OAuth, OAuthError
from authlib.integrations.requests_client import OAuth2Session
from authlib.oidc.core import CodeIDToken
from flask import current_app, redirect, request, session
from joserfc.errors import BadSignatureError, ClaimError, InvalidKeyIdError, JoseError
from requests import RequestException

from caseapp.core import settings
from caseapp.core.clock import now
from caseapp.core.errors import NotFound
from caseapp.core.i18n import lazy_gettext
from caseapp.domain.auth.identities import Vouched
from caseapp.http.errors import type_name

if TYPE_CHECKING:
    from uuid import UUID

    from werkzeug.wrappers import Response

    from caseapp.core.settings import Provider

log = structlog.get_logger()

Purpose = Literal["sign_in", "confirm", "link", "accept"]

RETURN_PATH = "/sign-in/provider/return"
SIGNED_OUT_PATH = "/sign-in"
PENDING_KEY = "provider"
VISITED_KEY = "provider_visited"
"""In the browser's cookie: somebody has signed in at the provider in it, for whatever reason."""
SIGNED_OUT_KEY = "signed_out"
"""In the browser's cookie, for the next sign-in page: whoever has just signed out may be signed in at the provider."""
PENDING_LIFETIME = timedelta(minutes=10)
TIMEOUT_SECONDS = 5
RETRY_AFTER = timedelta(seconds=15)
"""After a failure the provider is asked again only then, so that one that is down holds up no thread."""
KEYS_AFTER = timedelta(seconds=30)
"""For a key that isn't known the provider's keys are loaded again at most this often."""
METADATA_LIFETIME = timedelta(days=1)
CLOCK_LEEWAY = timedelta(seconds=60)
LONGEST_SUBJECT = 255
# With a key that only the provider has: neither unsigned nor signed with our own secret.
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512")
SIGN_OUT_ADDRESS = "end_session_endpoint"
METADATA_ADDRESSES = ("authorization_endpoint", "token_endpoint", "jwks_uri")
FAILURES = (
    AuthlibBaseError,
    JoseError,
    RuntimeError,
    TypeError,
    ValueError,
    KeyError,
    OverflowError,
)


class ProviderFailed(Exception):
    """A sign-in at the provider that came to nothing: a message for people, and the status of the answer."""

    def __init__(self, message: str, status: HTTPStatus) -> None:
        """Take the message and the status."""
        super().__init__(message)
        self.message, self.status = message, status


def unreachable() -> ProviderFailed:
    """Say that the provider can't be reached or doesn't answer as it should."""
    return ProviderFailed(
        lazy_gettext(
            "%(provider)s can’t be reached right now. Try again in a minute, or use your password if the practice "
            "allows it.",
            provider=get_provider().name,
        ),
        HTTPStatus.SERVICE_UNAVAILABLE,
    )


def refused() -> ProviderFailed:
    """Say that the answer of the provider can't be accepted."""
    return ProviderFailed(
        lazy_gettext(
            "The sign-in at %(provider)s didn’t work, or took longer than ten minutes. Start again.",
            provider=get_provider().name,
        ),
        HTTPStatus.BAD_REQUEST,
    )


def cancelled() -> ProviderFailed:
    """Say that the person didn't complete the sign-in at the provider."""
    return ProviderFailed(
        lazy_gettext(
            "You didn’t complete the sign-in at %(provider)s. Nothing was changed.",
            provider=get_provider().name,
        ),
        HTTPStatus.BAD_REQUEST,
    )


@dataclass(frozen=True)
class Pending:
    """A sign-in at the provider that a browser has begun: what for, in which session, and where to go on."""

    purpose: Purpose
    session_id: str
    next: str
    began_at: datetime
    invitation: str
    """The link's token or the code, to accept one."""


class BrowserState(FlaskIntegration):  # type: ignore[misc]
    """What Authlib remembers of a sign-in, in the browser's signed cookie: only the last one, for ten minutes."""

    @staticmethod
    def get_state_data(browser: Any, state: str | None) -> dict[str, Any] | None:  # noqa: ANN401 - Flask's session
        """Return what was remembered under a state; None for another one, or one of long ago."""
        found: dict[str, Any] = browser.get(PENDING_KEY) or {}
        if not found or not compare_digest(found["state"].encode(), (state or "").encode()):
            return None
        age = now() - datetime.fromisoformat(found["began_at"])
        return found if timedelta(0) <= age <= PENDING_LIFETIME else None

    @staticmethod
    def set_state_data(browser: Any, state: str, data: dict[str, Any]) -> None:  # noqa: ANN401
        """Remember a sign-in in place of one before."""
        browser[PENDING_KEY] = {**data, "state": state, "began_at": now().isoformat()}

    @classmethod
    def clear_state_data(cls, browser: Any, state: str | None) -> None:  # noqa: ANN401
        """Forget a sign-in, so that its answer is accepted once; one under another state stays."""
        if cls.get_state_data(browser, state):
            browser.pop(PENDING_KEY)


class ProviderSession(OAuth2Session):  # type: ignore[misc]
    """The connection to the provider; it follows no redirect, since that could take our secret elsewhere."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - Authlib's own arguments
        """Begin as Authlib does."""
        super().__init__(*args, **kwargs)
        self.max_redirects = 0


class IdentityToken(CodeIDToken):  # type: ignore[misc]
    """An ID token, whose times are judged by the one clock."""

    def validate(self, _now: int | None = None, leeway: int = 0) -> None:
        """Check all claims.

        Raises JoseError.
        """
        super().validate(int(now().timestamp()), leeway)


class ProviderClient(FlaskOAuth2App):  # type: ignore[misc]
    """Authlib's client of one provider, which also checks what the provider says about itself.

    Only the keys of `server_metadata` that are needed are kept: the others could switch off what Authlib checks.
    """

    client_cls = ProviderSession
    OAUTH_APP_CONFIG = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - Authlib's own arguments
        """Begin without metadata."""
        super().__init__(*args, **kwargs)
        self.lock = threading.RLock()
        self.loaded_at: datetime | None = None
        self.keys_loaded_at: datetime | None = None
        self.failed_at: datetime | None = None

    def load_server_metadata(self) -> dict[str, Any]:
        """Return what the provider says about itself, loaded once a day.

        Raises RequestException or ValueError, and right away within 15 seconds of the last failure.
        """
        with self.lock:
            if self.loaded_at is None or now() - self.loaded_at > METADATA_LIFETIME:
                if self.failed_at is not None and now() - self.failed_at < RETRY_AFTER:
                    raise ValueError("The provider failed a moment ago")
                self.server_metadata, self.loaded_at, self.failed_at = {}, None, now()
                self.server_metadata = self._check(dict(super().load_server_metadata()))
                self.loaded_at, self.keys_loaded_at, self.failed_at = now(), None, None
            return self.server_metadata

    def check(self) -> None:
        """Load the metadata and the keys.

        Raises ProviderFailed with the fault as its cause.
        """
        try:
            self.load_server_metadata()
            self.fetch_jwk_set()
        except (RequestException, *FAILURES) as error:
            raise unreachable() from error

    def _check(self, found: dict[str, Any]) -> dict[str, Any]:
        """Check the metadata and return what is needed of it.

        Its issuer has to be the one that was asked (OpenID Connect Discovery 4.3). Raises ValueError.
        """
        provider = get_provider()
        if found.get("issuer") != provider.issuer:
            raise ValueError("The provider names a different issuer from CASEAPP_OPENID_ISSUER")
        schemes = {"https", urlsplit(provider.issuer).scheme}
        for name in METADATA_ADDRESSES:
            if urlsplit(str(found.get(name))).scheme not in schemes:
                raise ValueError(f"The provider’s {name} is missing or has no TLS")
        known = [
            one
            for one in ALGORITHMS
            if one in found.get("id_token_signing_alg_values_supported", ())
        ]
        if not known:
            raise ValueError("The provider doesn’t offer an accepted signing algorithm")
        if "S256" not in found.get("code_challenge_methods_supported", ("S256",)):
            raise ValueError("The provider doesn’t support PKCE with S256")
        by_body = "client_secret_basic" not in found.get(
            "token_endpoint_auth_methods_supported", ("client_secret_basic",)
        )
        self.client_kwargs["token_endpoint_auth_method"] = (
            "client_secret_post" if by_body else "client_secret_basic"
        )
        kept = {name: found[name] for name in ("issuer", *METADATA_ADDRESSES)}
        # Nobody needs it to sign in, so one that won't do is as good as none.
        if urlsplit(str(found.get(SIGN_OUT_ADDRESS))).scheme in schemes:
            kept[SIGN_OUT_ADDRESS] = found[SIGN_OUT_ADDRESS]
        return kept | {"id_token_signing_alg_values_supported": known}

    def fetch_jwk_set(self, force: bool = False) -> dict[str, Any]:  # noqa: FBT001, FBT002 - Authlib's own
        """Return the provider's keys; `force` loads them again, but not more than twice a minute."""
        with self.lock:
            recent = self.keys_loaded_at and now() - self.keys_loaded_at < KEYS_AFTER
            if not (force and recent):
                found = super().fetch_jwk_set(force=force)
                if force or self.keys_loaded_at is None:
                    self.keys_loaded_at = now()
                return found  # type: ignore[no-any-return]
            return self.server_metadata["jwks"]  # type: ignore[no-any-return]

    def parse_id_token(self, token: dict[str, Any], nonce: str, **options: Any) -> Any:  # noqa: ANN401
        """Check an ID token; when its signature fits no known key, load the keys again.

        Authlib does so only for a key of another name. Raises JoseError.
        """
        try:
            return super().parse_id_token(token, nonce, **options)
        except (BadSignatureError, InvalidKeyIdError):
            self.fetch_jwk_set(force=True)
            return super().parse_id_token(token, nonce, **options)


class ProviderRegistry(OAuth):  # type: ignore[misc]
    """Authlib's registry, with our way to remember a sign-in."""

    framework_integration_cls = BrowserState


def get_provider() -> Provider:
    """Return the provider of the settings.

    Raises NotFound without one.
    """
    provider = settings.active().provider
    if provider is None:
        raise NotFound
    return provider


def get_client() -> ProviderClient:
    """Return the client of the provider, made once for each application and provider.

    Raises NotFound when the settings name no provider.
    """
    provider = get_provider()
    kept: tuple[Provider, ProviderClient] | None = current_app.extensions.get("provider_client")
    if kept is None or kept[0] != provider:
        client = ProviderRegistry(current_app).register(
            "provider",
            client_cls=ProviderClient,
            client_id=provider.client_id,
            client_secret=provider.client_secret,
            server_metadata_url=f"{provider.issuer.rstrip('/')}/.well-known/openid-configuration",
            client_kwargs={
                "scope": "openid",
                "code_challenge_method": "S256",
                "default_timeout": TIMEOUT_SECONDS,
            },
        )
        kept = current_app.extensions["provider_client"] = (provider, client)
    return kept[1]


def return_address() -> str:
    """Return the address to which the provider leads back; it has to be told to the provider."""
    return settings.active().base_url + RETURN_PATH


def begin(
    purpose: Purpose, *, session_id: UUID | None = None, back: str = "", invitation: str = ""
) -> Response:
    """Lead the browser to the provider; `back` is a page of ours to go on to, and was checked to be one.

    To link an account, to accept an invitation or to confirm, the provider has to ask the person again. Raises
    ProviderFailed, and NotFound without a provider.
    """
    client = get_client()
    asked_again = {} if purpose == "sign_in" else {"prompt": "login", "max_age": 0}
    address = return_address()
    try:
        made = client.create_authorization_url(address, **asked_again)
    except (RequestException, *FAILURES) as error:
        _note(error)
        raise unreachable() from error
    client.save_authorize_data(
        redirect_uri=address,
        state=made["state"],
        nonce=made["nonce"],
        code_verifier=made["code_verifier"],
        purpose=purpose,
        session_id=str(session_id or ""),
        next=back,
        invitation=invitation,
    )
    return redirect(made["url"])


def find_sign_out_address() -> str | None:
    """Return the address at which a browser signs out at the provider, which then leads back to our sign-in page.

    No token of the provider is kept, so none goes along as `id_token_hint`: `client_id` says who asks, and the provider
    may ask the person first (OpenID Connect RP-Initiated Logout 1.0, 2). None without a provider, for one that offers
    no such address, and for one that is out of reach.
    """
    if settings.active().provider is None:
        return None
    try:
        found = get_client().load_server_metadata().get(SIGN_OUT_ADDRESS)
    except (RequestException, *FAILURES) as error:
        _note(error)
        return None
    if found is None:
        return None
    back = settings.active().base_url + SIGNED_OUT_PATH
    asked = [("client_id", get_provider().client_id), ("post_logout_redirect_uri", back)]
    return str(add_params_to_uri(found, asked))


def note_sign_out(method: str | None) -> None:
    """Note for the next sign-in page whether somebody who has signed out here may be signed in at the provider.

    `method` is how their session had begun; in one that began otherwise they may have confirmed or linked there.
    """
    has_visited = session.pop(VISITED_KEY, False)
    session.pop(SIGNED_OUT_KEY, None)
    if (has_visited or method == "provider") and find_sign_out_address():
        session[SIGNED_OUT_KEY] = True


def find_pending() -> Pending | None:
    """Return the sign-in that the browser comes back from; None when it has begun none, or too long ago."""
    data = BrowserState.get_state_data(session, request.args.get("state"))
    if data is None:
        return None
    began_at = datetime.fromisoformat(data["began_at"])
    # A release before this one kept no invitation in it.
    invitation = data.get("invitation", "")
    return Pending(data["purpose"], data["session_id"], data["next"], began_at, invitation)


def finish() -> Vouched:
    """Redeem the code that the browser brings from the provider, and return what the provider vouches for.

    Raises ProviderFailed, and NotFound without a provider.
    """
    client, provider = get_client(), get_provider()
    pending = find_pending()
    try:
        if request.args.get("iss", provider.issuer) != provider.issuer:
            raise ValueError("The answer comes from another issuer")
        token = client.authorize_access_token(
            claims_options={
                "iss": {"essential": True, "value": provider.issuer},
                "aud": {"essential": True, "value": provider.client_id},
            },
            claims_cls=IdentityToken,
            leeway=int(CLOCK_LEEWAY.total_seconds()),
        )
        session[VISITED_KEY] = True
        return read_claims(token["userinfo"], provider, pending)
    except RequestException as error:
        _note(error)
        raise unreachable() from error
    except FAILURES as error:
        _note(error)
        is_cancelled = isinstance(error, OAuthError) and error.error == "access_denied"
        raise (cancelled() if is_cancelled else refused()) from error


def read_claims(claims: dict[str, Any], provider: Provider, pending: Pending | None) -> Vouched:
    """Return what checked claims say about a person.

    Raises ValueError for a subject or a time that can't be right, and for somebody who was to be asked again and, as
    far as the provider says, was not.
    """
    subject, moment = claims["sub"], now()
    if not isinstance(subject, str) or not 0 < len(subject) <= LONGEST_SUBJECT:
        raise ValueError("The subject is not a text of up to 255 characters")
    authenticated_at = None
    if (seconds := claims.get("auth_time")) is not None:
        authenticated_at = datetime.fromtimestamp(int(seconds), UTC)
        if authenticated_at > moment + CLOCK_LEEWAY:
            raise ValueError("The time of signing in is in the future")
    if pending is None or (
        pending.purpose != "sign_in"
        and (authenticated_at is None or authenticated_at < pending.began_at - CLOCK_LEEWAY)
    ):
        raise ValueError("The provider hasn’t asked the person again")
    shown = {claims.get("acr"), *(claims.get("amr") or ())}
    return Vouched(
        provider.issuer, subject, authenticated_at, has_factor=bool(shown & provider.factor_values)
    )


def _note(error: Exception) -> None:
    """Log a failure by its kind and the claim it is about; its text may hold what somebody sent."""
    claim = error.claim if isinstance(error, ClaimError) else None
    log.warning("provider.failed", error=type_name(error), claim=claim)
