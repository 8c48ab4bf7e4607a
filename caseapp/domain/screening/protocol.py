"""The screening protocol: the items, their anchors and the immediate steps. `rules` holds what levels require.

Every anchor, level and time limit awaits sign-off by a licensed clinician and a local legal check. The protocol
supports a coach's judgement; it is neither a diagnosis nor a validated scale. Source: the library's content map,
sections (d) and (e). Only the list of domains comes from the articles (REC-08 to REC-17); the rest is ordinary clinical
caution.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import IntEnum

AWAITING_SIGN_OFF = "Awaiting sign-off by a licensed clinician"
SCREENING_VALIDITY = timedelta(days=14)
STEADY_INTERVAL = timedelta(days=7)


class Level(IntEnum):
    """An answer to an item. "Not asked" is None and never counts as none."""

    NONE = 0
    WATCH = 1
    CONCERN = 2
    URGENT = 3


LEVEL_LABELS = {
    Level.NONE: "None",
    Level.WATCH: "Watch",
    Level.CONCERN: "Concern",
    Level.URGENT: "Urgent",
}
NOT_ASKED = "Not asked"


@dataclass(frozen=True)
class Item:
    """A screening question with an observable anchor for each level."""

    key: str
    label: str
    icon: str
    safety: bool
    question: str
    anchors: tuple[str, str, str, str]


ITEMS = (
    Item(
        "sleep",
        "Sleep",
        "moon",
        safety=False,
        question="How have you been sleeping?",
        anchors=(
            "Usual sleep, or an occasional bad night.",
            (
                "Trouble falling or staying asleep, or waking early, on some nights for under two weeks; copes "
                "during the day."
            ),
            (
                "Three or more bad nights a week for two weeks; about five hours or less on most nights for a "
                "week, with mistakes during the day; needs alcohol or pills to sleep; or sleeps most of the day and "
                "withdraws."
            ),
            (
                "Almost no sleep for three nights; hardly any need for sleep, together with racing thoughts or "
                "odd beliefs; dozing off while driving or looking after a child; or sleeplessness with any "
                "thought of self-harm."
            ),
        ),
    ),
    Item(
        "eating",
        "Eating",
        "utensils",
        safety=False,
        question="How have you been eating and drinking?",
        anchors=(
            "Usual meals.",
            "Smaller appetite or comfort eating for under two weeks; still eats twice a day and drinks.",
            (
                "One meal or fewer on most days for two weeks; clothes clearly looser or tighter; regular "
                "bingeing; signs of a past eating disorder returning; not keeping to a medical diet."
            ),
            (
                "Almost nothing eaten for 48 hours or nothing drunk for 24; fainting, chest pain or confusion; "
                "repeated vomiting or laxatives; pregnant, diabetic or on essential medicine, and "
                "not eating or not taking the medicine."
            ),
        ),
    ),
    Item(
        "caring",
        "Care of children or others",
        "baby",
        safety=False,
        question="Is anyone in your care going without meals or other care they need at the moment?",
        anchors=(
            "Nobody in their care, or care goes on as usual.",
            "Slower or forgetful; misses some things, but somebody else covers for them; for under two weeks.",
            "Two weeks or more of missed meals, bedtimes or journeys to school.",
            "A child or dependant is unsafe, unfed or unsupervised now.",
        ),
    ),
    Item(
        "work",
        "Work or study",
        "briefcase",
        safety=False,
        question="Are you managing work, study or looking for work?",
        anchors=(
            "Managing about as usual.",
            "Slower or forgetful; misses some tasks, but somebody else covers for them; for under two weeks.",
            "Two or more days of work or study lost in two weeks, or a formal warning.",
            "Not safe to drive or use machinery.",
        ),
    ),
    Item(
        "household",
        "Everyday tasks",
        "house",
        safety=False,
        question="Are you falling behind with anything, such as bills, letters or washing? Are you going out less?",
        anchors=(
            "Managing about as usual.",
            "Some tasks missed; under two weeks.",
            "Two weeks or more of unopened bills or court letters, not washing, or not going out.",
            "Cannot get up or look after themselves for days; no food or nowhere to stay.",
        ),
    ),
    Item(
        "self_harm",
        "Self-harm",
        "heart-pulse",
        safety=True,
        question="Have you had thoughts of ending your life or hurting yourself?",
        anchors=(
            "Asked directly: no thoughts, no history.",
            (
                "Past thoughts or an attempt more than a year ago, or says things that sound hopeless; denies any "
                "thoughts now."
            ),
            "Wishes to be dead or not to wake up, or thoughts of suicide, with no plan, intent or recent act.",
            (
                "A plan, intent or date; has the means within reach; is making preparations; an attempt or "
                "self-harm in the past three months; cannot agree on next steps for staying safe; thoughts while drunk "
                "or high; voices telling them to."
            ),
        ),
    ),
    Item(
        "harm_to_others",
        "Harm to others",
        "users",
        safety=True,
        question="Have you had thoughts of hurting anyone, or have you followed or checked up on anyone?",
        anchors=(
            "Asked directly: none.",
            "Has violent images in their head, is upset by them, and does not want to act on them.",
            (
                "Thoughts of hurting somebody; or following or tracking somebody, visiting them when they do not "
                "want it, or reading their phone."
            ),
            (
                "Intent, plan, a named target, a weapon, a threat made, a recent assault, a breached protective or "
                "no-contact order, or any threat that includes children."
            ),
        ),
    ),
    Item(
        "fear_at_home",
        "Fear at home",
        "shield",
        safety=True,
        question="Ask when the client is alone: are you afraid of anyone, or is anyone controlling what you do?",
        anchors=(
            "Asked alone: no fear of anyone.",
            "Tension, put-downs or having to tread carefully, but no fear; or could not be asked alone.",
            (
                "Any fear of the spouse; control of money, phone, movement or friends; threats, tracking, sexual "
                "pressure, harm to pets or belongings; any physical violence in this relationship; or a "
                "protective order in place."
            ),
            (
                "Violence in the past month, or getting worse; choking at any time; threats to kill; a weapon; "
                "stalking; forced sex; pregnancy; a child hurt or at risk; the person they fear is coming now. Leaving "
                "increases the danger."
            ),
        ),
    ),
    Item(
        "substances",
        "Alcohol and drugs",
        "wine",
        safety=False,
        question="What are you drinking or taking, and what does it help with?",
        anchors=(
            "No use, or usual low use.",
            "Uses more than usual to cope or to sleep, for under two weeks, with no harm.",
            (
                "Uses on most days to cope, for two weeks; hiding it; cannot cut down; responsibilities missed; pills "
                "mixed with alcohol; a relapse; or the client calls it an addiction."
            ),
            (
                "Shakes, sweats, seizures or confusion when stopping; overdose; blackouts; drunk or high while "
                "driving or looking after children; mixing sedatives, opioids and alcohol; use together with thoughts "
                "of self-harm."
            ),
        ),
    ),
)
ITEMS_BY_KEY = {item.key: item for item in ITEMS}
SAFETY_ITEMS = tuple(item.key for item in ITEMS if item.safety)

ACTIONS_TAKEN = {
    "went_through_plan": "Went through the safety plan",
    "gave_numbers": "Gave the help line numbers",
    "called_emergency": "Called emergency services",
    "told_supervisor": "Told the supervisor",
    "agreed_next_check": "Agreed when the next check-in call will be",
    "referred": "Referred to a doctor, therapist or specialist",
}

IMMEDIATE_STEPS = {
    "self_harm": (
        "Stay with the client; do not end the call until a next step is in place.",
        (
            "If the client is in immediate danger, call the emergency services. Ask somebody to help move "
            "anything the client could use to harm themselves out of reach."
        ),
        "Together, make a safety plan or go through the existing one.",
        "Tell your supervisor now, and write down what was done.",
    ),
    "harm_to_others": (
        "Tell the client clearly that they must stop following, threatening or visiting the other person today.",
        (
            "If anyone is in immediate danger, call the emergency services. Do not warn anyone in a way that "
            "increases the risk."
        ),
        "Discuss the duty to report with your supervisor now.",
        "Arrange specialist help. From now on, do not coach the client on contact.",
    ),
    "fear_at_home": (
        "Believe the client. Do not advise staying or leaving.",
        "If the person the client fears is coming now, call the emergency services first.",
        "Offer details of the domestic abuse service, but only through a safe channel.",
        "Tell your supervisor now. Don't offer couple work or discuss setting limits.",
    ),
    "caring": (
        "First make sure that the children or dependants are safe.",
        "Arrange emergency social support.",
        "With your supervisor, follow the local child protection procedure.",
    ),
    "substances": (
        "For shakes, seizures, confusion or an overdose, get emergency or same-day medical care.",
        "Never advise stopping suddenly after heavy use.",
        (
            "Make sure that children are safe and that nobody drives after drinking or taking drugs. Ask again "
            "about self-harm."
        ),
    ),
    "": (
        "Get same-day medical or emergency care. Anyone who has not slept must not drive.",
        "Ask the safety questions again now.",
        "Make sure that somebody stays with the client until help is in place.",
    ),
}
FLAG_LABELS = {
    "contact_block": "Contact block",
    "violence_flag": "Fear or violence",
    "client_harm_flag": "Client may harm others",
    "self_harm_flag": "Self-harm",
    "eating_disorder_flag": "Eating disorder",
    "withdrawal_risk": "Withdrawal risk",
    "unsafe_delivery": "No safe way to send anything",
}
MANUAL_FLAGS = ("contact_block", "eating_disorder_flag", "withdrawal_risk", "unsafe_delivery")
