"""The checks of a page find what they are there for."""

from __future__ import annotations

import pytest

from tests.support.page_checks import Look

GOOD = """<!doctype html><html lang="en"><head><title>A page</title>
<meta name="viewport" content="width=device-width, initial-scale=1"></head>
<body><main><h1>A page</h1><p>Some text.</p>{}</main></body></html>"""
FAULTS = {
    "a picture without a text": (
        '<img src="data:image/gif;base64,R0lGODlhAQABAAAAACw=">',
        "image-alt",
    ),
    "a field without a name": ('<form><input name="a"></form>', "label"),
    "a link without a name": ('<a href="/"></a>', "link-name"),
    "pale text": ('<p style="color: #bbb; background: #fff">Pale</p>', "color-contrast"),
    "pale text in the dark only": (
        (
            "<style>@media (prefers-color-scheme: dark) { .d { color: #222; background: #000 } }</style>"
            '<p class="d">Dark</p>'
        ),
        "color-contrast",
    ),
    "pale text on a phone only": (
        (
            "<style>@media (max-width: 400px) { .n { color: #bbb; background: #fff } }</style>"
            '<p class="n">Narrow</p>'
        ),
        "color-contrast",
    ),
    "an ARIA attribute that does not exist": ('<p aria-foo="1">x</p>', "aria-valid-attr"),
    "a second heading of the first level": ("<h1>Again</h1>", "2 h1"),
    "a page that is too wide": ('<div style="width: 900px">Wide</div>', "sideways"),
}


def test_a_page_without_faults_passes(page):
    page.set_content(GOOD.format(""))
    look = Look(page)
    look.at("good")
    look.at("good again")
    assert look.seen == {"good", "good again"}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found(page, fault):
    planted, named = FAULTS[fault]
    page.set_content(GOOD.format(planted))
    with pytest.raises(AssertionError, match=named):
        Look(page).at("planted")


def test_a_fault_in_the_next_document_is_found(page):
    look = Look(page)
    page.set_content(GOOD.format(""))
    look.at("first")
    page.goto("about:blank")
    page.set_content(GOOD.format(FAULTS["a field without a name"][0]))
    with pytest.raises(AssertionError, match="label"):
        look.at("second")


def test_a_fault_that_appears_later_in_the_same_document_is_found(page):
    look = Look(page)
    page.set_content(GOOD.format('<div id="later"></div>'))
    look.at("before")
    page.evaluate("document.getElementById('later').innerHTML = '<a href=\"/\"></a>'")
    with pytest.raises(AssertionError, match="link-name"):
        look.at("after")
