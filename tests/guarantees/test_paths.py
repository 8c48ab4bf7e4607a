"""No word of anybody's becomes a path: none leads out of a folder, and none names a file on our disk (SEC-28)."""

from __future__ import annotations

import ast
import re
from itertools import product

import pytest

from caseapp.core import settings
from caseapp.core.permissions import ACTIONS_BY_ROLE, Role
from caseapp.core.settings import ROOT
from caseapp.core.transaction import transaction
from caseapp.domain.practice.operations import update_practice
from tests.domain.practice.test_practice import current_settings
from tests.guarantees import sample_data as w

pytestmark = pytest.mark.both

UP = (
    "../", "..\\", "%2e%2e/", "%2e%2e%2f", "..%2f", "..%5c", "%252e%252e%252f", "..%252f", "....//", "..;/",
    "..%c0%af", "%c0%ae%c0%ae/", ".%2e/", "./../", "..%00/", "%5c..%5c", "\uff0e\uff0e\uff0f",
)  # fmt: skip
TARGETS = ("core/settings.py", "etc/passwd", "pyproject.toml", "vault.key")
WHOLE = (
    "/etc/passwd", "//etc/passwd", "file:///etc/passwd", "%2fetc%2fpasswd", "/proc/self/environ", "C:\\boot.ini",
    "\\\\host\\share", "caseapp-font:../../etc/passwd", "app.css/../../core/settings.py", "app.css%00.png",
    "~root/.bashrc",
    "${HOME}/x", "|id", "app.css::$DATA", "CON", ".", "..", ".git/config", "__init__.py",
)  # fmt: skip
DEPTHS = {"core/settings.py": 1, "etc/passwd": 9, "pyproject.toml": 2, "vault.key": 3}
PAYLOADS = [*(up * DEPTHS[target] + target for up, target in product(UP, TARGETS)), *WHOLE]
# What stands in the files that these lead to, and nowhere on a page.
SPOILS = (
    b"root:x:0:0",
    b"BadSettings",
    b"[build-system]",
    b"SQLite format 3",
    b"CASEAPP_DATA_DIR=",
)
# The arguments of addresses, and of the questions behind them, that end near a file.
NEAR_FILES = {"filename", "key", "slug", "token", "number"}
ASKED = ("language", "version", "size")
# How every file that the program writes beside its database is called: hashes, keys of ours, times, numbers of ours.
CALLED = re.compile(
    r"pdf/[0-9a-f]{2}/[0-9a-f]{64}\.(pdf|sealed)|pdf-failed/[0-9a-f]{32}"
    r"|fonts/(sans|serif)-\d{3}\.[0-9a-f]{8}\.(ttf|woff2)|mail/[0-9a-f-]{36}\.eml"
    r"|(vault|secret)\.key|slot\.lock|[a-z_-]+\.db(-wal|-shm|-journal)?"
    r"|checkpoints/erasures\.jsonl"
)


def who_may(route):
    if route.interface == "portal":
        return "client"
    return "coach" if route.action in {None, *ACTIONS_BY_ROLE[Role.COACH]} else "admin"


@pytest.mark.slow
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_path_payload_never_leaves_its_folder(world):
    """More than eighty ways to leave a folder, at every address near a file (VULN-20)."""
    assert len({*PAYLOADS}) >= 80
    secret = (settings.active().data_dir / "vault.key").read_bytes()
    found, asked = [], 0
    for rule in world.app.url_map.iter_rules():
        texts = NEAR_FILES & rule.arguments
        near = rule.rule.endswith((".pdf", "/pdf", ".woff2", "<path:filename>", "<string:token>"))
        if not texts or "GET" not in rule.methods or not near:
            continue
        view = world.app.view_functions[rule.endpoint]
        route = w.Route(rule, "GET", getattr(view, "action", None), w.interface_of(rule.rule))
        argument = "number" if rule.endpoint in w.NUMBERED else min(texts)
        values = {name: world.own[name] for name in rule.arguments} | {argument: "MARK"}
        path = rule.build(values, append_unknown=False)[1]
        for payload in PAYLOADS:
            answer = w.send(world, route, who_may(route), {}, path=path.replace("MARK", payload))
            asked += 1
            if answer.status_code not in {200, 303, 308, 400, 404, 405}:
                found.append((route.name, payload, answer.status_code))
            if secret in answer.data or any(spoil in answer.data for spoil in SPOILS):
                found.append((route.name, payload, "told"))
            if answer.status_code == 200 and route.name.endswith("filename>"):
                found.append((route.name, payload, "served"))
    assert asked >= 6 * len(PAYLOADS)
    assert found == []


@pytest.mark.pdf
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_query_string_payload_never_leaves_its_folder(world):
    found = []
    for name, payload in product(ASKED, PAYLOADS):
        answer = world.browsers["coach"].get(
            "/handouts/my-limits/pdf", query_string={name: payload}
        )
        if answer.status_code not in {200, 400, 404, 422}:
            found.append((name, payload, answer.status_code))
        if any(spoil in answer.data for spoil in SPOILS):
            found.append((name, payload, "told"))
    assert found == []


@pytest.mark.slow
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_json_slug_payload_never_leaves_its_folder(world):
    key = {"Authorization": f"Bearer {world.tokens['coach']}"}
    path = f"/api/v1/cases/{world.own['case_id']}/assignments"
    answers = [
        world.browsers["coach"].post(
            path, json={"slug": payload[:60], "channel": "print"}, headers=key
        )
        for payload in PAYLOADS
    ]
    assert {answer.status_code for answer in answers} <= {404, 422}


@pytest.mark.pdf
def test_stored_files_have_generated_names(world):
    """Whatever people are called and write, nothing of it is in a file's name, and no file is a link to another."""
    canary = "Quetzalcoatl"
    with transaction():
        update_practice(
            world.actors["admin"], current_settings(name=canary, contact=f"../{canary}"), 1
        )
    coach, assignment = world.browsers["coach"], world.own["assignment_id"]
    assert coach.get(f"/case/{world.own['number']}/handouts/{assignment}/pdf").status_code == 200
    assert coach.get(f"/handouts/better-nights/pdf?size={canary}").status_code == 200
    folder = settings.active().data_dir
    written = [path for path in folder.rglob("*") if path.is_file()]
    assert len(written) > 4
    names = [path.relative_to(folder).as_posix() for path in written]
    assert [name for name in names if not CALLED.fullmatch(name)] == []
    assert not any(path.is_symlink() for path in written)


@pytest.mark.slow
def test_uploaded_file_name_is_never_read():
    """The name that a browser sends along is read nowhere, so that it can lead nowhere."""
    looking = [
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "caseapp").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr in {"filename", "save", "secure_filename"}
    ]
    # Those that save do it into memory, or into a draft beside the font that it becomes.
    assert sorted({*looking}) == [
        "caseapp/core/fonts.py",
        "caseapp/core/images.py",
        "caseapp/core/pdf_archive.py",
        "caseapp/core/qr.py",
    ]


def test_served_folders_hold_no_symlink():
    for name in ("caseapp/static", "templates", "handouts"):
        assert [path for path in (ROOT / name).rglob("*") if path.is_symlink()] == []
        assert (ROOT / name).is_dir()
