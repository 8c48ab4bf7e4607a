from __future__ import annotations

import string
from itertools import permutations

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st

from caseapp.domain.clients.comparison import (
    MAX_WORD_LENGTH,
    PARTICLES,
    fold_word,
    make_comparable,
    phone_numbers,
    search_words,
    searched_words,
    similar_names,
)

LETTERS = st.characters(codec="utf-8", categories=("L", "Mn", "Nd"))
WORDS = st.text("abdefghilmnoprstuvyzłđøæþ\u0131éüß", min_size=4, max_size=9)
PLAIN = st.text(string.ascii_lowercase, min_size=4, max_size=9).filter(
    lambda word: fold_word(word) == word and word not in PARTICLES
)


def are_same(one, other):
    return not make_comparable(one).whole.isdisjoint(make_comparable(other).whole)


def are_alike(one, other):
    """Tell whether two names are the same or similar, as `find_possible_matches` does with their hashes."""
    first, second = make_comparable(one), make_comparable(other)
    wanted = first.whole | first.parts | similar_names(first)
    return not (wanted.isdisjoint(second.whole) and first.whole.isdisjoint(second.parts))


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("Łukasz", "lukasz"),
        ("Đorđe", "dorde"),
        ("BJØRN", "bjorn"),
        ("Þóra", "thora"),
        ("Straße", "strasse"),
        ("Müller", "muller"),
        ("Mueller", "muller"),
        ("Håkon", "hakon"),
        ("Haakon", "hakon"),
        ("Y\u0131ld\u0131z", "yildiz"),
        ("O’Brien", "obrien"),
        ("Ольга", "olga"),
        ("李", "li"),
        ("ﬁne", "fine"),
        ("\u202e", ""),
        ("x" * 100, "x" * MAX_WORD_LENGTH),
    ],
)
def test_words_are_folded_to_ascii(text, folded):
    assert fold_word(text) == folded


@pytest.mark.slow
@given(st.text(LETTERS, max_size=30))
def test_folding_again_keeps_ascii_letters_and_digits_only(text):
    folded = fold_word(text)
    assert folded.isascii()
    assert folded == "" or folded.isalnum()


@given(st.text(string.ascii_lowercase, max_size=30), st.integers(0, 30))
def test_beginning_of_a_word_begins_it_folded_too(word, length):
    assert fold_word(word).startswith(fold_word(word[:length]))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Łukasz Nowak", "Lukasz Nowak"),
        ("Seán O’Brien", "sean obrien"),
        ("Jörg Müller", "Joerg Mueller"),
        ("Ines Okafor", "okafor ínes"),
        ("Ines Maria Okafor", "Ines Okafor"),
        ("Jan van der Berg", "Jan Vanderberg"),
        ("Jan van der Berg", "Jan Berg"),
        ("Maria de la Cruz", "Maria Delacruz"),
        ("Omar al-Sayed", "Omar Alsayed"),
        ("Ольга Петрова", "Olga Petrova"),
    ],
)
def test_names_written_differently_are_the_same(one, other):
    assert are_same(one, other)
    assert are_same(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Jean-Luc Picard", "Jeanluc Picard"),
        ("Jean Luc Picard", "Jeanluc Picard"),
        ("Sean O Brien", "Sean O'Brien"),
        ("María García López", "Maria Garcia"),
        ("García López, María", "Maria Lopez"),
        ("Anna Weber-Okafor", "Anna Weber"),
        ("Bob Okafor", "Robert Okafor"),
        ("Bob Okafor", "Okafor Rob"),
        ("Katherine Weber", "Kate Weber"),
        ("Ines Okafor", "Ines Okafro"),
        ("Anna Weber", "Ann Weber"),
        ("李小龙", "李 小龙"),
    ],
)
def test_similar_names_are_alike_but_not_the_same(one, other):
    assert not are_same(one, other)
    assert are_alike(one, other)
    assert are_alike(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Ines Okafor", "Okafor"),
        ("Ines Maria Okafor", "Maria Ines Weber"),
        ("John Michael Smith", "Peter Michael Jones"),
        ("Tim Weber", "Tom Weber"),
        ("Client Number1", "Client Number12"),
        ("Ben Okafor", "Al Okafor"),
        ("", "Ines Okafor"),
        ("", ""),
        ("…", "!"),
    ],
)
def test_other_names_are_not_alike(one, other):
    assert not are_alike(one, other)
    assert not are_alike(other, one)


def test_preferred_name_is_a_part_of_the_name():
    called = make_comparable("Katarzyna Nowak", "Kasia")
    assert make_comparable("Kasia Nowak").whole <= called.parts


@given(st.lists(WORDS, min_size=2, max_size=4))
def test_first_and_last_word_are_the_same_in_either_order(words):
    turned = [words[-1], *words[1:-1], words[0]]
    assert are_same(" ".join(words), " ".join(turned).upper().replace("SS", "ß"))


@pytest.mark.slow
@given(PLAIN, PLAIN, st.integers(0, 8), st.sampled_from(string.ascii_lowercase), st.booleans())
def test_one_edit_in_either_word_is_alike(first, second, at, letter, swapped):
    at = min(at, len(first) - 1)
    head, tail = first[:at], first[at:]
    for edited in (
        head + letter + tail,
        head + tail[1:],
        head + letter + tail[1:],
        head + tail[1::-1] + tail[2:],
    ):
        if fold_word(edited) != edited or edited in PARTICLES:
            continue
        one, other = f"{first} {second}", f"{edited} {second}"
        assert are_alike(*((other, one) if swapped else (one, other)))


@pytest.mark.slow
@given(st.lists(WORDS, min_size=1, max_size=4), st.integers(1, 9))
def test_search_by_beginnings_finds_the_name_in_any_order(words, length):
    stored = searched_words(" ".join(words))
    for order in permutations(word[:length] for word in words):
        wanted = [search_words(word) for word in order]
        for beginnings in wanted:
            for beginning in beginnings:
                assert any(word.startswith(beginning) for word in stored)


@pytest.mark.parametrize(
    ("q", "name"),
    [
        ("obrien", "Bjørn O'Brien"),
        ("brien", "Bjørn O'Brien"),
        ("o'bri", "Bjørn OBrien"),
        ("van der b", "Jan Vanderberg"),
        ("vanderb", "Jan van der Berg"),
        ("berg", "Jan van der Berg"),
        ("müll", "Zoë Mueller-Stepanek"),
        ("ben ok", "Ben Okafor"),
    ],
)
def test_search_finds_joined_and_split_words(q, name):
    for beginning in search_words(q):
        assert any(word.startswith(beginning) for word in searched_words(name))


@pytest.mark.parametrize(
    ("text", "country", "numbers"),
    [
        ("07700 900123", "GB", {"+447700900123"}),
        ("(0)7700-900-123", "GB", {"+447700900123"}),
        ("+44 (0)7700 900123 ext. 12", "GB", {"+447700900123"}),
        ("0044 7700 900123", "US", {"+447700900123"}),
        (
            "\u0660\u0667\u0667\u0660\u0660 \u0669\u0660\u0660\u0661\u0662\u0663",
            "GB",
            {"+447700900123"},
        ),
        (
            "\uff10\uff17\uff17\uff10\uff10\uff19\uff10\uff10\uff11\uff12\uff13",
            "GB",
            {"+447700900123"},
        ),
        ("\uff0b44 7700 900123", "ES", {"+447700900123"}),
        ("22 33 44 55", "DK", {"+4522334455"}),
        ("089/123456", "DE", {"+4989123456"}),
        ("07700 900123 / 020 7946 0000", "GB", {"+447700900123", "+442079460000"}),
        ("07700 900123 or +447700900124", "GB", {"+447700900123", "+447700900124"}),
        ("07700 900123 07700 900124", "GB", {"+447700900123", "+447700900124"}),
        ("07700 900123 ask for Jo", "GB", {"+447700900123"}),
        ("1234567890123456789", "GB", {"1234567890123456789"}),
        ("1 2 3", "GB", set()),
        ("none", "GB", set()),
        ("", "GB", set()),
    ],
)
def test_phone_numbers_are_international(text, country, numbers):
    assert phone_numbers(text, country) == numbers


NUMBERS = st.builds(
    lambda region, offset: phonenumbers.format_number(
        phonenumbers.PhoneNumber(
            country_code=phonenumbers.country_code_for_region(region),
            national_number=phonenumbers.example_number(region).national_number + offset,
        ),
        phonenumbers.PhoneNumberFormat.INTERNATIONAL,
    ),
    st.sampled_from(["GB", "DE", "DK", "ES", "US", "PL"]),
    st.integers(0, 9),
)


@pytest.mark.slow
@given(NUMBERS, NUMBERS, st.sampled_from([" / ", "/", ", ", "; ", " or ", "\n", " "]))
def test_each_number_is_compared_by_itself(one, other, between):
    alone = phone_numbers(one, "GB") | phone_numbers(other, "GB")
    assert phone_numbers(one + between + other, "GB") == alone


@given(st.text(max_size=30))
def test_any_text_has_numbers_or_none(text):
    assert all(number.lstrip("+").isdigit() for number in phone_numbers(text, "GB"))
