"""The content of a draft, written as a handout source like the library's and read back from one.

A draft is stored as a source so that history, comparison, preview and publication all use the same form.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import frontmatter
import yaml

from caseapp.domain.handouts.blocks import convert_earlier
from caseapp.domain.handouts.library import (
    CLAIMS_MARKER,
    CONTENTS,
    PRACTICE_PREFIX,
    ClinicianDecision,
    Contraindication,
    Handout,
)
from caseapp.domain.handouts.provenance import claims, sources
from caseapp.domain.handouts.rendering import CLINICAL

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from caseapp.domain.handouts.variants import Pair

FIRST_CHANGE = {"en": "First version.", "es": "Primera versión."}
STARTER_BODY = {
    "en": """Say in two or three sentences who this handout is for and what it can do.

## A first heading

Write here.

## Stop and get help now if

- you are thinking about dying, or about killing or harming yourself or someone else
- you are frightened of someone, or of what you might do.

{{crisis_block}}

*One honest closing line.*""",
    "es": """Di en dos o tres frases para quién es esta hoja y qué puede hacer.

## Un primer título

Escribe aquí.

## Para y pide ayuda ahora si

- piensas en morir, en hacerte daño, o en matar o hacer daño a otra persona
- tienes miedo de alguien, o de lo que podrías hacer.

{{crisis_block}}

*Una última línea sincera.*""",
}


@dataclass(frozen=True)
class HandoutKey:
    """The slug and language of a handout, and the slug of the library handout that it was copied from."""

    slug: str
    language: str
    based_on: str | None

    @property
    def code(self) -> str:
        """Return the code on staff pages: P07 for own-07."""
        return f"P{self.slug.removeprefix(PRACTICE_PREFIX)}"


@dataclass(frozen=True)
class DraftContent:
    """Everything that the editor's form holds; any of it may still be missing or wrong."""

    title: str = ""
    alias: str | None = None
    stage: str = ""
    also_fits: tuple[str, ...] = ()
    kind: str = ""
    summary: str = ""
    minutes: int | None = None
    hold_ok: str = "none"
    involves: Mapping[str, bool] = field(default_factory=dict)
    channels: tuple[str, ...] = ("in_person", "print", "portal")
    warnings: tuple[Contraindication, ...] = ()
    faith_insert: str | None = None
    review_date: date | None = None
    change: str = ""
    body: str = ""
    two_minutes: tuple[str, ...] = ()
    us: tuple[Pair, ...] = ()


def build_source(
    content: DraftContent,
    key: HandoutKey,
    day: date,
    previous: Handout | None,
    clinician: ClinicianDecision | None = None,
) -> str:
    """Write content as the source of the version after `previous`, dated `day`, with a clinician's decision if any.

    Claims and sources follow from the markers in the body. The front matter's keys are those of the library's files.
    """
    number = previous.version + 1 if previous else 1
    named = {c for marker in CLAIMS_MARKER.findall(content.body) for c in marker.split()} - {
        CLINICAL
    }
    prefixes = {source.prefix: source.id for source in sources().values()}
    source_ids = {prefixes.get(claim.partition("-")[0]) for claim in named & claims().keys()}
    history = previous.history if previous else ()
    matter = {
        "id": key.slug,
        "code": key.code,
        "based_on": key.based_on,
        "title": content.title,
        "alias": content.alias,
        "stage": content.stage,
        "also_fits": [*content.also_fits],
        "kind": content.kind,
        "version": number,
        "status": "awaiting-clinical-review",
        "language": key.language,
        "summary": content.summary,
        "minutes": content.minutes,
        **({"two_minutes": [*content.two_minutes]} if content.two_minutes else {}),
        **(
            {"us": [{"en": phrase, "us": other} for phrase, other in content.us]}
            if content.us
            else {}
        ),
        "sources": [source for source in sources() if source in source_ids],
        "claims": sorted(named),
        "hold_ok": content.hold_ok,
        "involves": {name: content.involves.get(name) for name in CONTENTS},
        "contraindications": [asdict(warning) for warning in content.warnings],
        "delivery": {"channels": [*content.channels], "unsafe_delivery": "in_person_only"},
        "faith_insert": content.faith_insert,
        "review_date": content.review_date,
        **(
            {"clinician": asdict(clinician) | {"accepted": [*clinician.accepted]}}
            if clinician
            else {}
        ),
        "history": [
            *({"version": n, "date": on, "change": change} for n, on, change in history),
            {"version": number, "date": day, "change": content.change},
        ],
    }
    head = yaml.safe_dump(matter, allow_unicode=True, sort_keys=False, width=10**6)
    return f"---\n{head}---\n{content.body}\n"


def read_content(source: str) -> DraftContent:
    """Read a source, finished or not, back into the content of a draft; works for library files, too."""
    parsed: tuple[dict[str, Any], str] = frontmatter.parse(source)
    matter, body = parsed
    return DraftContent(
        title=matter["title"],
        alias=matter["alias"],
        stage=matter["stage"],
        also_fits=tuple(matter["also_fits"]),
        kind=matter["kind"],
        summary=matter["summary"],
        minutes=matter["minutes"],
        hold_ok=matter["hold_ok"],
        involves={
            name: answer
            for name, answer in (matter.get("involves") or {}).items()
            if answer is not None
        },
        channels=tuple(matter["delivery"]["channels"]),
        warnings=tuple(
            Contraindication(**({"use_instead": None} | warning))
            for warning in matter["contraindications"]
        ),
        faith_insert=matter["faith_insert"],
        review_date=matter["review_date"],
        change=matter["history"][-1]["change"],
        body=convert_earlier(matter.get("fields") or (), body),
        two_minutes=tuple(matter.get("two_minutes") or ()),
        us=tuple((pair["en"], pair["us"]) for pair in matter.get("us") or ()),
    )


def read_decision(source: str) -> ClinicianDecision | None:
    """Read the clinician's decision that a source carries; None if nothing had to be accepted."""
    matter: dict[str, Any] = frontmatter.parse(source)[0]
    found: dict[str, Any] | None = matter.get("clinician")
    return ClinicianDecision(**found | {"accepted": tuple(found["accepted"])}) if found else None


def copy_content(handout: Handout, change: str) -> DraftContent:
    """Copy the content of a published version for a new draft, with `change` as its change note."""
    return replace(read_content(handout.source), change=change)
