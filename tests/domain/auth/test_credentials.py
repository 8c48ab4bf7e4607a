from __future__ import annotations

import importlib.util
import time

import pytest
from argon2 import PasswordHasher, extract_parameters
from argon2.low_level import Type

from caseapp.domain.auth import credentials


class Counting(PasswordHasher):
    """A hasher that records each run of the slow hash."""

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
    monkeypatch.setattr(credentials, "_hasher", found)
    return found


def test_hash_parameters_are_those_of_the_owasp_cheat_sheet():
    """Read the module afresh: the other tests run on a cheaper hasher."""
    spec = importlib.util.spec_from_file_location("fresh_credentials", credentials.__file__)
    fresh = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(fresh)
    used = extract_parameters(fresh.hash_secret("correct horse battery staple"))
    assert used.type is Type.ID
    assert used.memory_cost >= 19 * 1024
    assert used.time_cost >= 2
    assert used.parallelism == 1
    assert used.hash_len >= 32
    assert fresh.needs_rehash(credentials.hash_secret("made with the cheap one"))


def test_verify_secret_accepts_only_the_hashed_secret():
    stored = credentials.hash_secret("correct horse battery staple")
    assert credentials.verify_secret(stored, "correct horse battery staple")
    assert not credentials.verify_secret(stored, "Correct horse battery staple")
    assert not credentials.verify_secret(stored, "")
    assert not credentials.verify_secret("no hash at all", "correct horse battery staple")
    assert not credentials.verify_secret(None, "nobody")


def test_password_is_the_same_however_a_keyboard_composes_it():
    composed, apart = "Ein schöner Tag am ﬂuss", "Ein scho\u0308ner Tag am fluss"
    assert credentials.verify_secret(credentials.hash_secret(composed), apart)
    assert credentials.verify_secret(credentials.hash_secret(apart), composed)
    stored_as_typed = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(composed)
    assert credentials.verify_secret(stored_as_typed, composed)
    assert not credentials.verify_secret(None, composed)


def test_verify_secret_without_a_hash_takes_the_time_of_one(counting):
    stored = counting.hash("correct horse battery staple")
    counting.lengths.clear()
    credentials.verify_secret(stored, "wrong")
    credentials.verify_secret(None, "wrong")
    assert counting.lengths == [5, 5]


@pytest.mark.parametrize(
    ("password", "good"),
    [
        ("", False),
        ("abcdefghijklmn", False),
        ("abcdefghijklmno", False),
        ("mailcreated5240", False),
        ("123456789987654321", False),
        ("1qaz2wsx3edc4rfv", False),
        ("passwordpassword1", False),
        ("P@ssw0rdP@ssw0rd!", False),
        ("qwertyuiopasdfgh", False),
        ("14 characters!", False),
        ("sixteen letters and", True),
        ("correct horse battery staple", True),
        ("παροιμία λόγο", False),
        ("παροιμία λόγου ὀλίγη", True),
        ("🐎🔋📎🐴🌊🌋🌍🌎🌏🌐🌑🌒🌓🌔🌕", True),
        ("               ", False),
        ("aaaaaaaaaaaaaaaaaaaaaaaa", False),
        ("abababababababababababab", False),
        ("abcdabcdabcdabcd", False),
        ("abcdeabcdeabcde", False),
        ("my name is lindqvist", False),
        ("MARTALINDQVIST and more", False),
        ("marta.l@practice and more", False),
        ("Harbour-Lane, 2026!", False),
        ("Märta likes her garden", False),
        ("marta-l likes her garden", False),
        ("monkey dragon monkey dragon", False),
        ("summer 2026 summer 2026", False),
        ("passw0rd passw0rd!", False),
        ("January2026January", False),
        ("heron heron heron heron", False),
        ("11/29/2026 11/29/2026", False),
        ("!QAZ@WSX#EDC$RFV", False),
        ("qwer1234asdf5678", False),
        ("azertyuiopqsdfgh", False),
        ("Li1985Li1985!!!!", False),
        ("hope 2026 hope 2026", False),
        ("Hope1234567890!!", False),
        ("let me in please", False),
        ("I love you very much", False),
        ("Good morning everyone", False),
        ("To be, or not to be: that is the question", False),
        ("the quick brown fox jumps over the lazy dog", False),
        ("Happy birthday to you! Happy birthday to you!", False),
        ("may the force be with you 2026", False),
        ("it was the best of times", False),
        ("thisisaverylongpassword", False),
        ("casemanagement password", False),
        ("practice coaching password 2026", False),
        ("en un lugar de la Mancha", False),
        ("once upon a time a heron sold windows", True),
        ("she hopes for better weather", True),
        ("with open windows all night", True),
        ("मेरी बिल्ली खिड़की पर सोती है", True),
        ("我的猫喜欢在窗台上睡觉每天下午", True),
        ("my harbour and our lane", True),
        ("x" * 60 + "abcdefgh" + "y" * 60, False),
        (("four grey herons stand in a line " * 4)[:128], True),
        (("four grey herons stand in a line " * 4)[:129], False),
    ],
)
def test_find_password_error_applies_the_password_rules(password, good):
    error = credentials.find_password_error(
        password,
        personal_words=("Marta", "Lindqvist", "Li", "marta.l"),
        names=("Harbour Lane", "Hope", "A B"),
    )
    assert (error is None) == good, error


def test_find_password_error_ignores_short_names():
    assert (
        credentials.find_password_error(
            "correct horse battery staple", personal_words=("Al", "Li", "", "a")
        )
        is None
    )


@pytest.mark.parametrize("letters", ["a@4(8&3e6g9i1!|lo0$5s+7t%2zxb", "0o1l!i|4@a$s5", "a"])
def test_longest_password_is_estimated_in_a_moment(letters):
    """What makes the estimate slow is a long text in which every letter may stand for another."""
    longest = (letters * 128)[:128]
    started = time.process_time()
    credentials.find_password_error(longest)
    assert time.process_time() - started < 5


def test_verify_secret_cuts_and_refuses_too_long_passwords(counting):
    longest = ("abcdefgh" * 16)[:128]
    stored = credentials.hash_secret(longest)
    assert credentials.verify_secret(stored, longest)
    counting.lengths.clear()
    assert not credentials.verify_secret(stored, longest + "x")
    assert not credentials.verify_secret(stored, longest + "x" * 1_000_000)
    assert counting.lengths == [129, 129]
