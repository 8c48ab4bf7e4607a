"""Tests that no handout contains a no-harm contract, which protects nobody (SAFE-08)."""

from __future__ import annotations

import pytest

from caseapp.domain.authoring.rules import NO_HARM_CONTRACT
from caseapp.domain.handouts.library import library

CONTRACTS = (
    "This is my no-suicide contract.",
    "A no suicide agreement",
    "I promise not to kill myself.",
    "I promise that I will not harm myself until we meet again.",
    "I agree not to end my life.",
    "I agree that I shall not hurt myself in any way",
    "I swear I will not take my own life.",
    "Contract for safety",
    "My safety contract with my coach",
    "I will not kill myself, by accident or on purpose.",
    "I will not try to harm myself or take my life",
    "I contract with my coach to stay alive.",
    "I promise to stay alive",
    "I give my word not to hurt myself.",
    "I, ______, pledge not to attempt suicide.",
    "Contrato de no suicidio",
    "Contrato de vida",
    "Prometo no hacerme daño.",
    "Me comprometo a no quitarme la vida.",
    "Juro que no voy a matarme.",
    "Prometo seguir con vida",
)
# Similar wording that a good handout may use.
ALLOWED = (
    "If you think of harming yourself, ring now.",
    "You do not have to promise anything.",
    "Agree on a time when you will not talk about the house.",
    "I will not answer messages after nine.",
    "Things I agreed to do this week",
    "piensas en morir, en hacerte daño, o en matar o hacer daño a otra persona",
    "Prometo llamar si la noche se hace larga.",
    "A promise is kept by whoever made it; it may hurt to see it broken.",
)


def readable_text(handout):
    """Return all readable text of a handout."""
    return "\n".join(
        (
            handout.title,
            handout.alias or "",
            handout.summary,
            handout.body,
            handout.faith_insert or "",
            *(found.because for found in handout.contraindications),
            *(field.label for field in handout.fields),
            *(one.label for field in handout.fields for one in field.inputs),
        )
    )


@pytest.mark.parametrize("key", [*library()], ids=".".join)
def test_no_library_handout_contains_a_no_harm_contract(key):
    assert NO_HARM_CONTRACT.search(readable_text(library()[key])) is None


@pytest.mark.parametrize("text", CONTRACTS)
def test_no_harm_contract_wording_is_found(text):
    assert NO_HARM_CONTRACT.search(text)


@pytest.mark.parametrize("text", ALLOWED)
def test_similar_wording_is_allowed(text):
    assert NO_HARM_CONTRACT.search(text) is None
