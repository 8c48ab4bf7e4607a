"""Words are found in notes as names are in a search: whatever the case and the accents. No database."""

from dataclasses import dataclass

import pytest

from caseapp.core.text import fold_for_search
from caseapp.domain.notes.formats import Section
from caseapp.domain.notes.matching import (
    MAX_EXCERPTS,
    SHOWN_AROUND,
    Excerpt,
    has_words,
    list_excerpts,
    split_words,
)

PART = Section("Data", "")


@dataclass
class Addendum:
    text: str
    reason: str
    kind: str = "correction"


@dataclass
class _Note:
    """What matching reads of a note."""

    text: str
    addenda: tuple[Addendum, ...] = ()

    @property
    def texts(self):
        return [(PART, self.text)]


def make(text, *addenda):
    return _Note(text, addenda)


@pytest.mark.parametrize(
    ("text", "sought", "found"),
    [
        ("She spoke of Élodie’s flat.", "elodie FLAT", ["Élodie", "flat"]),
        ("An der Straße nach Łódź", "strasse lodz", ["Straße", "Łódź"]),
        ("Ольга rang.", "olga", None),
        ("Ольга rang.", "Ольга", ["Ольга"]),
        ("No sleeping tablets.", "sleep tablet", ["sleep", "tablet"]),
        ("No sleeping tablets.", "sleep pills", None),
    ],
)
def test_every_word_has_to_be_in_the_note(text, sought, found):
    words, note = split_words(sought), make(text)
    assert has_words(note, words) == (found is not None)
    if found:
        assert [each.found for each in list_excerpts(note, words)] == found


def test_addenda_are_looked_through_and_named():
    note = make("Slept.", Addendum("Awake at four.", "Wrong client."))
    assert has_words(note, ["four", "slept", "client"])
    assert list_excerpts(note, ["four"]) == (Excerpt("Correction", "Awake at ", "four", "."),)


def test_excerpts_are_short_and_few():
    note = make(f"{'before ' * 50}Kastanienallee{' after' * 50} one two three four")
    first = list_excerpts(note, ["kastanienallee"])[0]
    assert first.found == "Kastanienallee"
    assert first.before.startswith("… before")
    assert first.after.endswith("after …")
    assert max(len(first.before), len(first.after)) <= SHOWN_AROUND + 2
    assert len(list_excerpts(note, ["one", "two", "three", "four"])) == MAX_EXCERPTS


def test_words_are_folded_as_names_are():
    text = "“Élodie” … Straße ΣΑΣ ﬁn İ 北京"
    assert split_words(text) == fold_for_search(text).split()
