"""Short texts with a field of every kind, in the syntax of today and in that of the first edition."""

from __future__ import annotations

from datetime import date

from caseapp.domain.authoring.source import DraftContent, HandoutKey, build_source
from caseapp.domain.handouts.library import CONTENTS, parse_draft

EVERY_KIND = """Words before the fields.

::: text my_message {lines=3 max=300 private}
My message
:::

::: long raw_draft {lines=4 private}
What I want to say right now
:::

::: ticks ready
After the wait
- I’m calmer → 2
- My message asks for nothing
:::

::: scale pull {before="Now" after="After the wait"}
How strong is the pull to send it?
0 = I can leave it
10 = I can’t leave it
:::

::: table nights {private}
My nights
| Night | To bed | Up |
|---|---|---|
| eg: Hassan | 11:30 | 6:45 |
| Mon | | |
| | | 7:00 |
:::

::: person who_helps {private}
Who I’ll call
:::

::: sign agreed {who="Me, My coach"}
We’ve gone through this
:::

::: draw our_week {height=55}
Our week
:::

## 2. Later

A plain table:

| One | Two |
|---|---|
| a | b |

## Stop and get help now if

- you think of dying

{{crisis_block}}

*A walk is a walk.*"""

HEAD = DraftContent(
    title="A walk",
    stage="steady",
    kind="worksheet",
    summary="A short walk each evening.",
    minutes=10,
    involves=dict.fromkeys(CONTENTS, False),
    review_date=date(2027, 5, 21),
    change="First edition.",
)


def handout_with(body):
    """Build a practice handout with a body, whatever is wrong with it."""
    content = DraftContent(**{**vars(HEAD), "body": body})
    return parse_draft(
        build_source(content, HandoutKey("own-01", "en", None), date(2026, 11, 21), None)
    )


EARLIER = """---
id: a-walk
code: H01
title: "A walk"
alias: null
stage: steady
also_fits: []
kind: worksheet
version: 1
status: awaiting-clinical-review
language: en
summary: "A short walk each evening."
minutes: 10
sources: []
claims: []
hold_ok: none
involves: {contact: false, two_people: false, limits: false, own_part: false}
contraindications: []
delivery: {channels: [in_person, print, portal], unsafe_delivery: in_person_only}
fields:
  - {id: signs, label: "My body", type: checkboxes, options: ["shaky", "sick"]}
  - {id: what, label: "What happened", type: textarea, lines: 2, max_length: 240, sensitive: true}
  - {id: urge, label: "My urge", type: choice, options: ["argue", "beg"]}
  - {id: day, label: "The day", type: date}
faith_insert: null
review_date: 2027-05-21
history:
  - {version: 1, date: 2026-11-21, change: "First edition."}
---
Words. {{claims:clinical}}

{{field:signs}}

{{field:what}}

{{field:urge}}

{{field:day}}

## Stop and get help now if {{claims:clinical}}

- you think of dying

{{crisis_block}}

*A walk is a walk.*
"""
