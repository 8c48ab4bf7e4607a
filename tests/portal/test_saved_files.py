"""Files that a client saves from the portal say neither where they come from nor whose they are (SAFE-09)."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass

import pikepdf
import pytest
import sqlalchemy as sa
from PIL import Image

from caseapp.core import pdf
from caseapp.core.actor import operator
from caseapp.core.i18n import in_language
from caseapp.core.transaction import transaction
from caseapp.domain.assignments.operations import assign_handout
from caseapp.domain.cases.queries import lock_case
from caseapp.domain.cases.stages import stages
from caseapp.domain.handouts.library import library
from caseapp.domain.handouts.packets import PacketItem, render_packet_html
from caseapp.domain.handouts.printing import NOT_PERSONALIZED, render_print_html
from caseapp.domain.handouts.provenance import sources
from caseapp.domain.practice.models import Practice
from caseapp.domain.practice.operations import set_logo
from caseapp.domain.practice.queries import get_practice_info
from caseapp.domain.users.models import User
from tests.domain.worksheets import sample_files
from tests.portal.crawler import pdf_texts, portal_addresses
from tests.support import builders
from tests.support.pdf_checks import list_handout_problems, read_qr_codes
from tests.support.portal_client import BANNED, sign_in_client

LANGUAGES = ("en-GB", "en-US", "es")
PRACTICE = {"name": "Quetzalcoatl House", "tagline": "Tlaloc coaching", "contact": "Xipe Street 5"}
PEOPLE = ("Xochitl", "Okafor", "Mictlan", "Lindqvist")
MESSAGE = "Tonatiuh, read this first."
NAMES = ("Quetzalcoatl", "Tlaloc", "Xipe", "Tonatiuh", "Coyolxauhqui", *PEOPLE)
PLAIN = (
    (sample_files.PAUSE, "en"),
    ("keep-the-day-running", "en"),
    (sample_files.LIMITS, "en"),
    ("better-nights", "es"),
)
ALIAS = ("help-right-now", "en")
TITLES = {"en": "Your reading", "es": "Tus lecturas"}


def source_names():
    """Return the titles and authors of the articles."""
    return {name for source in sources().values() for name in (source.title, source.author) if name}


def stage_names():
    """Return how documents name the stages, in every language."""
    names = set()
    for language in LANGUAGES:
        with in_language(language):
            names |= {str(stage.client_title) for stage in stages()}
    return names


def list_names(text):
    """List the names of practice, people, stages and articles in a text."""
    found = [name for name in (*NAMES, *stage_names(), *source_names()) if name in text]
    return found + re.findall(r"\b(?:[Ss]tage|[Ee]tapa) \d", text)


@dataclass(frozen=True)
class SavedFile:
    """A file that the portal gave: its title, its name, its content and the languages of its handouts."""

    path: str
    name: str
    content: bytes


@pytest.fixture
def practice(app, coach):
    """Give the practice, its logo and the coach names that occur nowhere else."""
    drawn = io.BytesIO()
    Image.new("RGB", (90, 24), "#1d5b55").save(drawn, "PNG")
    with transaction() as session:
        session.execute(sa.update(Practice).values(**PRACTICE, paper_code=True))
        session.execute(sa.update(User).where(User.id == coach.id).values(name="Mictlan Lindqvist"))
        set_logo(operator(), drawn.getvalue(), "Coyolxauhqui")


def saved_files(app, coach, handouts):
    """Save every file of the portal as a client who has some handouts."""
    visitor, found = sign_in_client(app, coach, "Xochitl Okafor")
    builders.screen(coach, found.client_id)
    for slug, language in handouts:
        with transaction():
            assign_handout(
                coach,
                lock_case(coach, found.case_id),
                slug,
                message=MESSAGE,
                channel="portal",
                confirmed=True,
                language=language,
            )
    for path in portal_addresses(app, [*range(1, len(handouts) + 1)]):
        answer = visitor.get(path)
        if answer.headers.get("Content-Disposition"):
            name = answer.headers["Content-Disposition"].partition("filename=")[2]
            yield SavedFile(path, name, answer.data)


@pytest.mark.pdf
@pytest.mark.parametrize("handouts", [PLAIN, (*PLAIN, ALIAS)], ids=["plain", "with an alias"])
def test_every_file_saved_from_the_portal_is_discreet(app, coach, practice, handouts):
    files = [*saved_files(app, coach, handouts)]
    # Each handout, the first one in large print too, and the packet.
    assert len(files) == len(handouts) + 2
    for file in files:
        texts = [*pdf_texts(file.content)]
        assert list_names("\n".join(texts)) == [], file.path
        assert re.fullmatch(r'"reading-(\d\d|all)(-large)?\.pdf"', file.name)
        assert not BANNED.search(" ".join(texts[2:4])), file.path
        with pikepdf.open(io.BytesIO(file.content)) as document:
            title, language = str(document.docinfo["/Title"]), str(document.Root.Lang)
            told = {str(key) for key in document.docinfo}
            pictures = [one for one in document.objects if is_picture(one)]
        assert title == TITLES[language[:2]], file.path
        assert told <= {"/Title", "/Producer"}
        assert pictures == []
        assert read_qr_codes(file.content) == []


def is_picture(found):
    return isinstance(found, pikepdf.Stream) and found.get("/Subtype") == "/Image"


@pytest.mark.pdf
def test_every_file_saved_from_the_portal_is_accessible(app, coach, practice):
    for file in saved_files(app, coach, PLAIN):
        with pikepdf.open(io.BytesIO(file.content)) as document:
            language = str(document.Root.Lang)
        title = TITLES[language[:2]]
        assert list_handout_problems(file.content, language=language, title=title) == [], file.path


def every_discreet_document():
    """Render the HTML of the discreet copy of every handout, alone and in a packet."""
    practice = get_practice_info()
    letterhead = practice.letterhead.discreet()
    for key, handout in library().items():
        yield key, render_print_html(handout, letterhead, practice.help_lines, faith=True)
        yield (
            (*key, "packet"),
            render_packet_html(
                [PacketItem(handout, 1)],
                letterhead,
                practice.help_lines,
                faith=True,
                personalization=NOT_PERSONALIZED,
            ),
        )


@pytest.mark.slow
def test_discreet_copy_of_every_handout_has_no_names(practice):
    assert pdf.LOGO_URL not in "".join(html for _key, html in every_discreet_document())
    found = {key: list_names(html) for key, html in every_discreet_document()}
    assert len(found) == 2 * len(library())
    assert {key: names for key, names in found.items() if names} == {}
