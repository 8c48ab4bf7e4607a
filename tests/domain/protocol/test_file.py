"""The protocol's file: a broken one is refused with its place, and a signed rule can't be changed unnoticed."""

from __future__ import annotations

import shutil
import subprocess
import sys
from datetime import date

import pytest
import yaml

from caseapp.core.settings import ROOT
from caseapp.domain.handouts.checks import check_protocol
from caseapp.domain.protocol.data import CLINICAL, PRODUCT, InvalidProtocolFile, SignOff
from caseapp.domain.protocol.file import FILE, PROTOCOL, digest_rule, read_protocol

TEXT = FILE.read_text(encoding="utf-8")
SLEEP_SIGN_OFF = "    provenance: [REC-08, REC-06, CBO-05, clinical]\n    sign_off: null\n"
CHECK_24H = "    due: {hours: 24}\n    not_before: {hours: 24}\n"
SINCE = max(item.since for item in PROTOCOL.items)
SELF_HARM = "{item: self_harm, level: watch}"
WATCH = "    level: watch\n    items: all\n"
URGENT_ACTIONS = TEXT[TEXT.index("    actions:\n      [referral") :].partition("told:")[0]


def read_edited(tmp_path, text):
    path = tmp_path / "protocol.yaml"
    path.write_text(text, encoding="utf-8")
    return read_protocol(path)


def problems_of(tmp_path, text):
    with pytest.raises(InvalidProtocolFile) as refused:
        read_edited(tmp_path, text)
    return str(refused.value).splitlines()


@pytest.mark.parametrize(
    ("old", "new", "place", "says"),
    [
        ('      none: "Usual meals."\n', "", "items.eating.anchors.none", "Fill this in"),
        ("    safety: false\n", "    safety: perhaps\n", "items.sleep.safety", "yes or no"),
        ('    label: "Sleep"\n', '    title: "Sleep"\n', "items.sleep.title", ""),
        ("  - key: sleep\n", "  - key: Sleep\n", "items.Sleep.key", "lowercase"),
        ("  - key: eating\n", "  - key: sleep\n", "items.sleep.key", "same key"),
        (f"    since: {SINCE}\n", "    since: 9999\n", "items.following.since", "still to come"),
        (f"version: {PROTOCOL.version}\n", "version: 99\n", "history", "every version"),
        (SLEEP_SIGN_OFF, "    provenance: []\n    sign_off: null\n", "items.sleep.provenance", ""),
        (
            SLEEP_SIGN_OFF,
            "    provenance: [hearsay]\n    sign_off: null\n",
            "items.sleep.provenance.0",
            "Name a claim",
        ),
        (
            SLEEP_SIGN_OFF,
            "    provenance: [clinical]\n",
            "items.sleep.sign_off",
            "Fill this in",
        ),
        ("    hold: care\n", "    hold: pause\n", "levels.concern.hold", "Choose one"),
        ("actions: [recheck]\n", "actions: [call]\n", "levels.watch.actions", "action call"),
        (WATCH, WATCH.replace("all", "other"), "levels", "0 rules are for watch in safety items"),
        (WATCH, WATCH.replace("watch", "none"), "levels", "2 rules are for none in safety"),
        (URGENT_ACTIONS, "    actions: [referral]\n    ", "levels.urgent", "not require less than concern_safety"),
        (CHECK_24H, CHECK_24H.replace("{hours: 24}", "soon", 1), "actions.safety_24h.due", ""),
        (
            CHECK_24H,
            CHECK_24H.replace("{hours: 24}", "{hours: 24, days: 1}", 1),
            "actions.safety_24h.due",
            "one length of time",
        ),
        (
            CHECK_24H,
            CHECK_24H.replace("24", "25", 2).replace("25", "24", 1),
            "actions.safety_24h.not_before",
            "not be later",
        ),
        ("  - key: other\n", "  - key: sleep\n", "immediate_steps", "key other"),
        (SELF_HARM, "{item: mood, level: watch}", "flags.self_harm_flag.set_by", "item mood"),
        (SELF_HARM, "{item: self_harm, level: none}", "flags.self_harm_flag.set_by.0.level", ""),
        ("  - key: validity\n", "  - key: current\n", "intervals.current.key", "Use one of"),
        ("weekdays: [1, 2, 3, 4, 5]", "weekdays: [1, 8]", "working_days.weekdays.1", ""),
        ("    icon: moon\n", "    icon: moon\n    icon: sun\n", "items.sleep.icon", "twice"),
    ],
)  # fmt: skip
def test_broken_file_is_refused_with_the_line_and_the_place(tmp_path, old, new, place, says):
    assert old in TEXT
    at = TEXT.index(old)
    found = problems_of(tmp_path, TEXT[:at] + new + TEXT[at + len(old) :])
    [told] = [line for line in found if f", {place}: " in line and says in line]
    line = int(told.partition(", line ")[2].partition(",")[0])
    # The line of the change, or of the rule or list that lacks something.
    assert 1 <= line <= TEXT[:at].count("\n") + 1 + old.count("\n")
    assert told.startswith(f"{tmp_path.name}/protocol.yaml, line ")


def test_broken_place_names_the_very_line(tmp_path):
    [told] = problems_of(tmp_path, TEXT.replace("icon: moon", "icon: m"))
    line = TEXT.splitlines().index("    icon: moon") + 1
    assert f"line {line}, items.sleep.icon: " in told


@pytest.mark.parametrize("text", ["", "items: [", "- 1\n", "version: 1\n"])
def test_file_that_is_no_protocol_is_refused(tmp_path, text):
    assert problems_of(tmp_path, text)


def test_every_problem_is_named_at_once(tmp_path):
    text = TEXT.replace("icon: moon", "icon: m").replace("hold: care", "hold: pause")
    assert len(problems_of(tmp_path, text)) == 2


def signed(rule, digest):
    """Return the file with sleep signed, once as it is."""
    sign_off = f'    sign_off: {{by: "Dr Ada Brook", date: 2026-12-01, digest: "{digest}"}}\n'
    return rule.replace(SLEEP_SIGN_OFF, SLEEP_SIGN_OFF.replace("    sign_off: null\n", sign_off))


def test_signed_rule_counts_as_signed(tmp_path):
    [sleep] = [item for item in yaml.safe_load(TEXT)["items"] if item["key"] == "sleep"]
    digest = digest_rule(sleep)
    found = read_edited(tmp_path, signed(TEXT, digest))
    assert found.items[0].sign_off == SignOff("Dr Ada Brook", date(2026, 12, 1), digest)
    assert found.unsigned == len(found.rules) - 1


def test_rule_changed_after_its_sign_off_is_refused_with_the_new_digest(tmp_path):
    [sleep] = [item for item in yaml.safe_load(TEXT)["items"] if item["key"] == "sleep"]
    text = signed(TEXT, digest_rule(sleep))
    changed = text.replace("Usual sleep, or an occasional bad night.", "Usual sleep.")
    sleep["anchors"]["none"] = "Usual sleep."
    [told] = problems_of(tmp_path, changed)
    assert "items.sleep.sign_off.digest" in told
    assert digest_rule(sleep) in told


@pytest.mark.process
def test_start_with_a_broken_file_prints_its_place_and_fails(tmp_path):
    shutil.copytree(ROOT / "handouts", tmp_path / "handouts")
    broken = TEXT.replace("icon: moon", "icon: m")
    (tmp_path / "handouts" / "protocol.yaml").write_text(broken, encoding="utf-8")
    program = (
        "from pathlib import Path\n"
        "from caseapp.core import settings\n"
        f"settings.ROOT = Path({str(tmp_path)!r})\n"
        "from caseapp.__main__ import main\n"
        "main()\n"
    )
    done = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.startswith("handouts/protocol.yaml, line ")
    assert "items.sleep.icon" in done.stderr
    assert "Traceback" not in done.stderr


def test_every_rule_has_a_provenance_that_exists():
    assert check_protocol() == []
    for rule in PROTOCOL.rules:
        assert set(rule.provenance) == {*rule.claims} | {*rule.provenance} & {CLINICAL, PRODUCT}


def test_claim_that_was_left_out_is_a_problem(monkeypatch, tmp_path):
    found = read_edited(tmp_path, TEXT.replace("REC-06", "DAS-99").replace("CBO-05", "CRO-18"))
    monkeypatch.setattr("caseapp.domain.handouts.checks.PROTOCOL", found)
    assert [text.rpartition(" that")[0].rpartition(" ")[2] for text in check_protocol()] == [
        "DAS-99",
        "CRO-18",
    ]


def test_no_rule_is_signed_yet():
    assert PROTOCOL.unsigned == len(PROTOCOL.rules)
