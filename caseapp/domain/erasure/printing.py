"""The certificate of an erasure on paper: ids, codes, times and the staff who decided, and no name of a client."""

from __future__ import annotations

import html as markup
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from caseapp.core import pdf
from caseapp.core.clock import now
from caseapp.core.errors import Reason, refuse_for
from caseapp.core.fonts import find_missing_glyphs
from caseapp.core.i18n import format_date
from caseapp.core.templating import render_text
from caseapp.core.vault import vault_key_ids
from caseapp.domain.erasure.codes import DONE, GROUNDS
from caseapp.domain.erasure.queries import get_erasure
from caseapp.domain.erasure.treatments import AREAS
from caseapp.domain.practice.queries import get_practice

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from caseapp.core.actor import Actor
    from caseapp.domain.erasure.schemas import ErasureRecord

NOT_ERASED = Reason(
    "not_erased", "The record was not erased, so there is no certificate.", "Open the request."
)
NOT_KNOWN = "Not known"
CAME_BACK = "the record came back when an older database was restored"
HOW = (
    "The key that encrypted everything about the client (AES-256) was destroyed. Names, contact details, access to the "
    "portal, drafts and files were deleted. Records that the practice must keep unchanged are still stored, but nobody "
    "can read them."
)
COPIES_DIE = "Names in such copies are not encrypted, so the operator also has to delete the copies themselves."


def get_certificate(actor: Actor, erasure_id: UUID) -> ErasureRecord:
    """Load an erasure that was done and that the actor may read.

    Raises NotFound, and RuleBroken for a request.
    """
    found = get_erasure(actor, erasure_id)
    refuse_for([] if found.state == DONE else [NOT_ERASED])
    return found


def certificate_pdf(found: ErasureRecord) -> bytes:
    """Lay out a certificate; it is made anew each time and never stored.

    A character of somebody's name that no font of ours has stands as a question mark. Raises what `core.pdf` raises.
    """
    practice = get_practice()
    values = {
        "practice": practice,
        "facts": describe(found),
        "areas": [(words, found.counts.get(area, 0)) for area, words in AREAS.items()],
        "how": HOW,
        "copies": describe_copies(found),
    }
    html = render_text("pdf/erasure.html", values)
    missing = find_missing_glyphs(markup.unescape(html))
    return pdf.render(html.translate({ord(char): "?" for char in missing}), style="report.css")


def describe(found: ErasureRecord) -> list[tuple[str, str]]:
    """List what a certificate says, as names and values for people, in the practice's time."""
    asked = _describe_moment(found.requested_at)
    facts = [
        ("Certificate", str(found.id)),
        ("Record", str(found.client_id)),
        ("Cases", ", ".join(found.numbers) or "None"),
        ("Why", GROUNDS[found.ground] if found.ground else NOT_KNOWN),
        ("Requested on", asked if found.ground else f"{asked}, or before"),
        ("Requested by", found.requested_by_name or NOT_KNOWN),
    ]
    if found.decided_at:
        facts += [
            ("Erased on", _describe_moment(found.decided_at)),
            ("Decided by", found.decided_by_name or NOT_KNOWN),
        ]
    if found.repeated_at:
        facts += [
            ("Erased again on", f"{_describe_moment(found.repeated_at)}; {CAME_BACK}"),
            ("Erased again by", found.repeated_by_name or "The operator"),
        ]
    return [*facts, ("SHA-256", found.sha256 or ""), ("As of", _describe_moment(now()))]


def describe_copies(found: ErasureRecord) -> str:
    """Say whether copies of the database from before an erasure can be opened with a vault key that is in use."""
    if opened_by := sorted({*vault_key_ids()} & {*found.vault_keys}):
        return (
            f"Copies of the database from before the erasure can still be read with vault key {', '.join(opened_by)}. "
            f"The operator replaces that key with caseapp keys rotate, then removes it everywhere. {COPIES_DIE}"
        )
    used = "None of the vault keys that were in use when the record was erased is still in use."
    if found.keys_gone_at:
        used = (
            f"Since {_describe_moment(found.keys_gone_at)}, none of the vault keys that were in use when the record "
            "was erased has been in use."
        )
    return (
        f"{used} Copies of the database from before the erasure can be opened with a retired key for as long as the "
        f"operator keeps that key. {COPIES_DIE}"
    )


def _describe_moment(moment: datetime) -> str:
    local = moment.astimezone(ZoneInfo(get_practice().zone))
    return f"{format_date(local.date())}, {local:%H:%M}"
