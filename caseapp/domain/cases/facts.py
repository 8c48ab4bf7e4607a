"""The presenting facts of a case: the coded fields of the case report. They are one side's account only.

`restricted` fields are exported only for a permitted role with a recorded reason; fields with `exported` False never
are. Source: the library's content map, section (g).
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Fact:
    """A field of the case report: one code of `options`, several of them, or a value of its `kind`."""

    name: str
    label: str
    group: str
    options: dict[str, str] = field(default_factory=dict)
    kind: str = "choice"
    hint: str = ""
    restricted: bool = False
    exported: bool = True


YES_NO = {"yes": "Yes", "no": "No"}

FACTS = (
    Fact(
        "role",
        "Client’s role",
        "The client",
        {"spouse": "Spouse", "partner": "Partner", "ex": "Former spouse or partner"},
    ),
    Fact(
        "age_band",
        "Age",
        "The client",
        {
            "under_25": "Under 25",
            "25_34": "25 to 34",
            "35_44": "35 to 44",
            "45_54": "45 to 54",
            "55_64": "55 to 64",
            "65_plus": "65 or over",
        },
    ),
    Fact(
        "gender", "Gender, in the client’s own words", "The client", kind="text", hint="Optional."
    ),
    Fact(
        "referral_source",
        "How the client came to us",
        "The client",
        {
            "self": "By themselves",
            "friend": "Through a friend",
            "professional": "Through a professional",
            "court": "Through a court",
            "other": "Another way",
        },
    ),
    Fact(
        "separation_status",
        "Separation status",
        "The separation",
        {
            "together_unsettled": "Together, unsettled",
            "announced": "Announced, but nobody has moved out",
            "separated": "Separated informally",
            "legally_separated": "Legally separated",
            "filed_spouse": "Divorce filed by the spouse",
            "filed_client": "Divorce filed by the client",
            "divorced": "Divorced",
        },
    ),
    Fact(
        "separated_since", "Separated since", "The separation", kind="month", hint="Year and month."
    ),
    Fact(
        "living_arrangement",
        "Living arrangement",
        "The separation",
        {
            "same_home": "In the same home",
            "nearby": "Apart, nearby",
            "long_distance": "Far apart",
            "no_fixed_home": "No fixed home",
        },
    ),
    Fact(
        "who_initiated",
        "Who began the separation",
        "The separation",
        {"spouse": "The spouse", "client": "The client", "both": "Both", "unclear": "Unclear"},
    ),
    Fact(
        "stated_reasons",
        "Reasons given by the client",
        "The separation",
        {
            "peace": "Wanting peace",
            "unloved": "Feeling unloved",
            "not_valued": "Not feeling valued",
            "not_heard": "Not feeling heard",
            "duties": "Too many responsibilities",
            "someone_else": "Somebody else",
            "work_move": "Work or a move",
            "other": "Something else",
            "not_said": "Not said",
        },
        kind="multiple",
        hint="This is the client’s account, not a fact about the spouse.",
    ),
    Fact(
        "affair_disclosed",
        "Affair disclosed",
        "The separation",
        {
            "no": "No",
            "spouse": "By the spouse",
            "client": "By the client",
            "both": "By both",
            "not_said": "Prefers not to say",
        },
        restricted=True,
    ),
    Fact(
        "contact_level",
        "Contact now",
        "Contact",
        {
            "none": "None",
            "practical": "Children and practical matters only",
            "occasional": "Now and then",
            "regular": "Regular",
            "on_off": "On and off",
            "same_home": "In the same home",
        },
    ),
    Fact(
        "who_starts_contact",
        "Who usually makes contact",
        "Contact",
        {"client": "The client", "spouse": "The spouse", "even": "Both equally"},
    ),
    Fact(
        "spouse_contact_wish",
        "What contact the spouse wants",
        "Contact",
        {
            "open": "Open to contact",
            "space": "Wants space",
            "asked_for_none": "Asked for no contact",
            "unknown": "Unknown",
        },
        hint="“Asked for no contact” sets the contact block.",
    ),
    Fact(
        "spouse_willingness",
        "Signs of willingness",
        "Contact",
        {
            "none_seen": "None seen",
            "few": "Few",
            "several": "Several, and actions match words",
            "agreed": "Agreed to work on it",
        },
    ),
    Fact(
        "order",
        "Protective or no-contact order",
        "Contact",
        {
            "none": "None",
            "protects_client": "Protects the client",
            "protects_spouse": "Protects the spouse",
            "both": "Protects both",
        },
        hint="Any order sets the contact block.",
        restricted=True,
    ),
    Fact("order_until", "Order ends on", "Contact", kind="date", restricted=True),
    Fact(
        "scenario",
        "Coach’s impression of the spouse",
        "Contact",
        {
            "values": "Spouse values the relationship but wants to leave",
            "does_not": "Spouse does not value it",
            "unknown": "Unknown",
        },
        hint="Based on the client’s account only. Do not repeat it to anyone.",
        restricted=True,
    ),
    Fact("children", "Number of children", "Family and support", kind="number"),
    Fact(
        "children_ages",
        "Children’s ages",
        "Family and support",
        {"0_4": "0 to 4", "5_11": "5 to 11", "12_17": "12 to 17", "adult": "18 or over"},
        kind="multiple",
    ),
    Fact("care_agreed", "Care arrangement agreed", "Family and support", YES_NO),
    Fact("dependants_other", "Other dependants", "Family and support", YES_NO),
    Fact(
        "prior_counselling",
        "Previous counselling",
        "Family and support",
        {
            "none": "None",
            "individual": "Individual",
            "couple": "As a couple",
            "now": "Attending now",
        },
    ),
    Fact("in_care", "In therapy or medical care now", "Family and support", YES_NO),
    Fact("legal_support", "Has legal advice", "Family and support", YES_NO),
    Fact("next_legal_date", "Next legal date", "Family and support", kind="date", exported=False),
    Fact(
        "faith_variant",
        "Would like the faith variants of handouts",
        "Family and support",
        YES_NO,
        hint="Only if the client asked for them.",
    ),
)
FACTS_BY_NAME = {fact.name: fact for fact in FACTS}

GOALS = {
    "undecided": "Undecided",
    "together": "Together",
    "apart_well": "Apart, on good terms",
    "other": "Something else",
}
OUTCOMES = {
    "reunited": "Reunited, living together",
    "reconciling": "Working on reconciling, living apart for now",
    "separated": "Separated amicably",
    "divorcing": "Divorcing or divorced",
    "stopped_hoping": "Client chose to stop hoping for a reunion",
    "referred_care": "Referred on (care)",
    "referred_safety": "Referred on (safety)",
    "lost_contact": "Lost contact",
    "other": "Other",
}
OUTCOMES_APART = {"separated", "divorcing", "stopped_hoping"}
FINAL_SCREENING = ("done", "not_possible")
CLOSE_REASONS = {
    "decision": "A decision was made",
    "goal_changed": "The client’s goal changed",
    "no_movement": "No progress after three reviews",
    "referred": "Referred elsewhere",
    "client_stopped": "The client ended the coaching",
}
