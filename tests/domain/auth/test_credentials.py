from __future__ import annotations

import importlib.util

import pytest
from argon2 import PasswordHasher, extract_parameters
from argon2.low_level import Type

from caseapp.domain.auth import credentials as secrets


class Counting(PasswordHasher):
    """Count how often the slow hash really runs."""

    def __init__(self):
        super().__init__(time_cost=1, memory_cost=8, parallelism=1)
        self.lengths = []

    def hash(self, password, **kwargs):
        self.lengths.append(len(password))
        return super().hash(password, **kwargs)

    def verify(self, stored, password):
        self.lengths.append(len(password))
        return super().verify(stored, password)


@pytest.fixture
def counting(monkeypatch):
    found = Counting()
    monkeypatch.setattr(secrets, "_hasher", found)
    return found


def test_the_real_parameters_are_those_of_the_cheat_sheet():
    """Read the module afresh: the other tests run on a cheaper hasher."""
    spec = importlib.util.spec_from_file_location("fresh_secrets", secrets.__file__)
    fresh = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(fresh)
    used = extract_parameters(fresh.hash_secret("correct horse battery staple"))
    assert used.type is Type.ID
    assert used.memory_cost >= 19 * 1024
    assert used.time_cost >= 2
    assert used.parallelism == 1
    assert used.hash_len >= 32
    assert fresh.outdated(secrets.hash_secret("made with the cheap one"))


def test_a_hash_fits_its_secret_and_nothing_else():
    stored = secrets.hash_secret("correct horse battery staple")
    assert secrets.matches(stored, "correct horse battery staple")
    assert not secrets.matches(stored, "Correct horse battery staple")
    assert not secrets.matches(stored, "")
    assert not secrets.matches("no hash at all", "correct horse battery staple")
    assert not secrets.matches(None, "nobody")


def test_nobodys_password_costs_one_hash_too(counting):
    stored = counting.hash("correct horse battery staple")
    counting.lengths.clear()
    secrets.matches(stored, "wrong")
    secrets.matches(None, "wrong")
    assert counting.lengths == [5, 5]


@pytest.mark.parametrize(
    ("password", "good"),
    [
        ("", False),
        ("abcdefghijklmn", False),
        ("abcdefghijklmno", True),
        ("correct horse battery staple", True),
        ("παροιμία λόγο", False),
        ("παροιμία λόγου ὀλίγη", True),
        ("🐎🔋📎🐴🌊🌋🌍🌎🌏🌐🌑🌒🌓🌔🌕", True),
        ("               ", False),
        ("aaaaaaaaaaaaaaaaaaaaaaaa", False),
        ("abababababababababababab", False),
        ("abcdabcdabcdabcd", False),
        ("abcdeabcdeabcde", True),
        ("my name is lindqvist", False),
        ("MARTALINDQVIST and more", False),
        ("marta.l@practice and more", False),
        ("x" * 60 + "abcdefgh" + "y" * 60, True),
        (("abcdefgh" * 16)[:128], True),
        (("abcdefgh" * 17)[:129], False),
    ],
)
def test_the_rules_for_a_new_password(password, good):
    fault = secrets.password_fault(password, known=("Marta", "Lindqvist", "marta.l"))
    assert (fault is None) == good, fault


def test_short_names_rule_nothing_out():
    assert (
        secrets.password_fault("correct horse battery staple", known=("Al", "Li", "", "a")) is None
    )


def test_a_longer_password_than_allowed_never_fits_and_is_cut_before_hashing(counting):
    longest = ("abcdefgh" * 16)[:128]
    stored = secrets.hash_secret(longest)
    assert secrets.matches(stored, longest)
    counting.lengths.clear()
    assert not secrets.matches(stored, longest + "x")
    assert not secrets.matches(stored, longest + "x" * 1_000_000)
    assert counting.lengths == [129, 129]


def test_references_and_codes_are_random_and_can_be_read_aloud():
    references = {secrets.new_reference() for _ in range(200)}
    assert len(references) == 200
    assert {len(reference) for reference in references} == {43}
    codes = {secrets.new_code(2) for _ in range(200)}
    assert len(codes) == 200
    for code in codes:
        assert len(code) == 9
        assert code[4] == "-"
        assert not set(code) & set("01ILO")


@pytest.mark.parametrize("typed", ["7KQ2-M9XD", "7kq2m9xd", " 7kq2 - m9xd ", "7K Q2M9XD\n"])
def test_a_typed_code_is_forgiven_its_form(typed):
    assert secrets.tidy_code(typed) == "7KQ2M9XD"
