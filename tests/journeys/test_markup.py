"""Rendered user markup in a real browser without a content security policy: nothing runs or is fetched."""

from __future__ import annotations

import pytest

from caseapp.domain.handouts.rendering import render_markdown

pytestmark = pytest.mark.journey

# Markup that changes its meaning when it is read a second time, and the plain kind; from the public lists of findings
# against sanitisers (DOMPurify, Bleach, nh3, Mozilla's) and against Markdown.
MARKUP = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg onload=alert(1)>",
    "<svg><script>alert(1)</script></svg>",
    "<svg><style><img src=x onerror=alert(1)></style></svg>",
    '<svg></p><style><a id="</style><img src=1 onerror=alert(1)>">',
    '<math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img src=1 onerror=alert(1)&gt;">',
    "<math><mtext><table><mglyph><style><math><img src=1 onerror=alert(1)></style>",
    "<form><math><mtext></form><form><mglyph><style></math><img src onerror=alert(1)>",
    '<math><mi><style><img title="</style><img src=1 onerror=alert(1)>"></style></mi></math>',
    "<math><annotation-xml encoding='text/html'><style><img src=x onerror=alert(1)></style></annotation-xml></math>",
    '<noscript><p title="</noscript><img src=x onerror=alert(1)>">',
    '<noembed><img title="</noembed><img src=x onerror=alert(1)>">',
    '<noframes><img title="</noframes><img src=x onerror=alert(1)>">',
    '<xmp><p title="</xmp><svg/onload=alert(1)>">',
    '<iframe><p title="</iframe><img src=x onerror=alert(1)>">',
    '<title><a title="</title><img src=x onerror=alert(1)>">',
    '<textarea><a title="</textarea><img src=x onerror=alert(1)>">',
    '<style><a title="</style><img src=x onerror=alert(1)>">',
    "<select><template><img src=x onerror=alert(1)></template></select>",
    "<select><style></select><img src=x onerror=alert(1)></style></select>",
    "<template><s><template><s><img src=x onerror=alert(1)>@shafigullin</s></template></s></template>",
    "<table><td background=javascript:alert(1)><img src=x onerror=alert(1)>",
    "<a href='javascript:alert(1)' id=click>x</a>",
    "<a href='java\tscript:alert(1)' id=click>x</a>",
    "<a href='&#x6a;avascript:alert(1)' id=click>x</a>",
    "<a href='data:text/html,<script>alert(1)</script>' id=click>x</a>",
    "<details open ontoggle=alert(1)>",
    "<input autofocus onfocus=alert(1)>",
    "<video><source onerror=alert(1)></video>",
    "<audio src=x onerror=alert(1)>",
    "<body onload=alert(1)>",
    "<object data='javascript:alert(1)'></object>",
    "<embed src='javascript:alert(1)'>",
    "<iframe src='javascript:alert(1)'></iframe>",
    "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
    "<base href='https://elsewhere.example/'><img src=x>",
    "<link rel=stylesheet href=https://elsewhere.example/x.css>",
    "<meta http-equiv=refresh content='0;url=javascript:alert(1)'>",
    "<p style='background:url(https://elsewhere.example/x.png)'>x</p>",
    "<img src=https://elsewhere.example/x.png>",
    "<svg><image href=https://elsewhere.example/x.png></svg>",
    "<svg><a xlink:href='javascript:alert(1)'><text y=20>x</text></a></svg>",
    "<svg><animate onbegin=alert(1) attributeName=x dur=1s></svg>",
    "<svg><use href='data:image/svg+xml,<svg id=x xmlns=x><image href=x onerror=alert(1) /></svg>#x'></svg>",
    "<svg><foreignObject><iframe srcdoc='<script>alert(1)</script>'></iframe></foreignObject></svg>",
    "<!--><img src=x onerror=alert(1)>-->",
    "<!--- --!><img src=x onerror=alert(1)>",
    "<![CDATA[<img src=x onerror=alert(1)>]]>",
    "<?xml ?><img src=x onerror=alert(1)>",
    "<x/><title>&lt;/title&gt;&lt;img src=1 onerror=alert(1)>",
    "<p><svg/onload=alert(1)></p>",
    "<p title='`'><img src=x onerror=alert(1)>",
    "&lt;img src=x onerror=alert(1)&gt;",
    "&amp;lt;img src=x onerror=alert(1)&amp;gt;",
    '"><img src=x onerror=alert(1)>',
    "</textarea><script>alert(1)</script>",
    "</div></article><script>alert(1)</script>",
    "\u003cimg src=x onerror=alert(1)\u003e",
    "<<img src=x onerror=alert(1)>",
    "<img/src='x'onerror=alert(1)//",
    "<im\0g src=x onerror=alert(1)>",
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt:alert(1))",
    "[x](javascript&colon;alert(1))",
    "[x](&#x6A;avascript:alert(1))",
    "[x](vbscript:msgbox(1))",
    "[x](data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==)",
    "[x](<javascript:alert(1)>)",
    "[x]: javascript:alert(1)\n\n[x]",
    "<javascript:alert(1)>",
    "![x](https://elsewhere.example/x.png)",
    '![x](https://elsewhere.example/x.png"onerror="alert(1))',
    '!["onerror="alert(1)](x)',
    '["onmouseover="alert(1)](https://elsewhere.example)',
    'https://elsewhere.example/"onmouseover="alert(1)',
    "`<img src=x onerror=alert(1)>`",
    '```"><img src=x onerror=alert(1)>\nx\n```',
    "    <img src=x onerror=alert(1)>",
    "> <img src=x onerror=alert(1)>",
    "- <svg\n- onload=alert(1)>",
    "**<img src=x onerror=alert(1)>**",
    "*<img src=x* onerror=*alert(1)>*",
    "# <img src=x onerror=alert(1)>",
    "|<img src=x onerror=alert(1)>|\n|-|\n|x|",
    "x\n: <img src=x onerror=alert(1)>",
    "<b onmouseover=alert(1)>x</b>",
)  # fmt: skip
READ_AGAIN = """() => {
    for (const found of document.querySelectorAll("section")) {
        for (let times = 0; times < 2; times++) found.innerHTML = found.innerHTML;
        const apart = new DOMParser().parseFromString(found.innerHTML, "text/html");
        document.body.append(...apart.body.childNodes);
        const inside = document.createElement("template");
        inside.innerHTML = found.innerHTML;
        document.body.append(inside.content.cloneNode(true));
    }
    for (const one of document.querySelectorAll("body *")) {
        for (const kind of ["mouseover", "focus", "click", "toggle", "load", "error"])
            one.dispatchEvent(new Event(kind, {bubbles: true, cancelable: true}));
    }
}"""

LAST = "https://last.example/x.png"
# What was asked for before has been turned away by then, and has run what it runs; a drawing begins with a frame.
ASK_LAST = """address => new Promise((done) => {
    const last = new Image();
    last.onerror = () => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done)));
    last.src = address;
})"""


@pytest.fixture
def read(page):
    """Return a function that loads HTML in the browser twice, interacts with it and returns what ran or was fetched."""
    heard: dict = {"dialogs": 0, "asked": []}

    def dismiss(dialog):
        heard["dialogs"] += 1
        dialog.dismiss()

    def turn_away(route):
        heard["asked"].append(route.request.url)
        route.abort()

    page.on("dialog", dismiss)
    page.route("**/*", turn_away)

    def reading(parts):
        heard["dialogs"], heard["asked"] = 0, []
        page.set_content(
            "<!doctype html><title>x</title>"
            + "".join(f"<section>{part}</section>" for part in parts)
        )
        page.evaluate(READ_AGAIN)
        page.evaluate(ASK_LAST, LAST)
        return heard["dialogs"], [address for address in heard["asked"] if address != LAST]

    return reading


def test_unsafe_markup_runs_in_a_plain_browser(read):
    """Unsanitized, these samples do run and fetch, so the test can fail."""
    dialogs, asked = read(
        [text for text in MARKUP if text.startswith(("<img", "<svg", "<details", "<b "))]
    )
    assert dialogs >= 5
    assert any("elsewhere.example" in address for address in asked)


def test_sanitized_markup_runs_and_fetches_nothing(read):
    """In a browser (VULN-13)."""
    made = [str(render_markdown(text)) for text in MARKUP]
    # In the middle of a line, as a title or label is set, and put together so that one might open what another closes.
    made += [str(render_markdown(f"A walk {text} home")) for text in MARKUP]
    made.append(str(render_markdown("\n\n".join(MARKUP))))
    made.append(str(render_markdown(" ".join(MARKUP))))
    assert read(made) == (0, [])


def test_sanitized_markup_is_stable_when_parsed_again(page):
    """Sanitized markup does not change when it is parsed and serialized again."""
    made = [str(render_markdown(text)) for text in MARKUP]
    twice = """parts => parts.map(part => {
        const first = document.createElement("section"), second = document.createElement("section");
        first.innerHTML = part;
        second.innerHTML = first.innerHTML;
        return [first.innerHTML, second.innerHTML];
    })"""
    page.set_content("<!doctype html><title>x</title>")
    for first, second in page.evaluate(twice, made):
        assert first == second
    assert len({*MARKUP}) >= 80
