"""A small practice with one of everything, twice."""

from __future__ import annotations

import pytest

from tests.guarantees import sample_data


@pytest.fixture
def world(app):
    return sample_data.make(app)
