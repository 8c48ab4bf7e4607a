"""A look at a page in a real browser: axe, headings, sideways scroll and console, at two widths, light and dark."""

from __future__ import annotations

from axe_playwright_python.base import AXE_SCRIPT, AxeResults

from tests.support.depth import ROUNDS

WIDE, PHONE, NARROW = (1440, 900), (390, 844), (320, 640)
EACH_ONCE = ((WIDE, "light"), (PHONE, "dark"))
"""Each width and each theme once; `make soak` looks at a page in each theme at each width."""
LOOKS = EACH_ONCE if ROUNDS == 1 else (*EACH_ONCE, (WIDE, "dark"), (PHONE, "light"))
# Where one is has to be seen without pushing a strip sideways first.
OUT_OF_SIGHT = """[...document.querySelectorAll("nav [aria-current]")].filter((one) => {
  const box = one.getBoundingClientRect();
  return box.left < 0 || box.right > innerWidth || !box.width;
}).map((one) => one.textContent.trim())"""
RULES = {
    # Only violations are read; axe need not describe every element that passes.
    "resultTypes": ["violations"],
    # No page has sound or film, for which alone axe would load every style sheet first.
    "preload": False,
    "runOnly": {
        "type": "tag",
        "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
    },
}
RUN_AXE = """async (rules) => {
  const { violations } = await axe.run(rules);
  return { violations };
}"""


def violations(page):
    """Run axe on the page; return its violations.

    The script is put into each document once: it stays there through other widths and colours.
    """
    if not page.evaluate("typeof axe === 'object'"):
        page.evaluate(AXE_SCRIPT)
    return AxeResults(page.evaluate(RUN_AXE, RULES))


class Look:
    """Check the page that a browser shows, and remember what its console said."""

    def __init__(self, page):
        """Listen to the console from the start."""
        self.page = page
        self.said: list[str] = []
        self.seen = set()
        page.on(
            "console",
            lambda message: self.said.append(message.text) if message.type == "error" else None,
        )
        page.on("pageerror", lambda error: self.said.append(str(error)))

    def at(self, name):
        """Look at this page in each width and theme; `name` tells which one failed.

        A click ends when the answer begins, so the rest of the page is waited for.
        """
        page = self.page
        page.wait_for_load_state()
        assert page.locator("h1").count() == 1, f"{name}: {page.locator('h1').count()} h1"
        assert page.title(), f"{name}: no title"
        # What is inside noscript is text to a browser with scripts, and a style can show it.
        assert "</a>" not in page.inner_text("body"), f"{name}: markup is shown as text"
        for (width, height), theme in LOOKS:
            page.set_viewport_size({"width": width, "height": height})
            page.emulate_media(color_scheme=theme, reduced_motion="reduce")
            # A bar that stays at the edge covers what one can scroll to; which button that is would be luck.
            whole = page.evaluate("document.documentElement.scrollHeight")
            page.set_viewport_size({"width": width, "height": max(height, whole)})
            found = violations(page)
            assert found.violations_count == 0, f"{name} {width} {theme}\n{found.generate_report()}"
        page.set_viewport_size({"width": NARROW[0], "height": NARROW[1]})
        over = page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        assert over <= 0, f"{name}: {over} px sideways at {NARROW[0]}"
        hidden = page.evaluate(OUT_OF_SIGHT)
        assert hidden == [], f"{name}: out of sight at {NARROW[0]}: {hidden}"
        page.set_viewport_size({"width": WIDE[0], "height": WIDE[1]})
        page.emulate_media(color_scheme="light")
        assert not self.said, f"{name}: {self.said}"
        self.seen.add(name)
