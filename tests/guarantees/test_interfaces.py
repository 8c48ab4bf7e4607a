"""What somebody may change about people can be changed on a page, by the API and by a command, or it says why not.

The operations are found by walking their modules: a new one has to be reached by all three, or be declared here.
"""

from __future__ import annotations

import ast
from collections import defaultdict

from caseapp.core.settings import ROOT

PACKAGES = ("auth", "clients", "erasure", "intakes", "staffing")
INTERFACES = ("web", "api", "cli")
IN_BROWSER = "a second factor, a passkey and an account at the provider are shown in a browser"
UNLINKED = (
    "it lets a password in where the practice may require the provider, which then is out of reach"
)
SET_BY_OTHERS = "an admin makes a code instead, and so never knows anybody's password"
REVOKED_BY_OTHERS = (
    "its owner revokes it; an admin ends all tokens of whoever is disabled or gets another role"
)
EXPLAINED = (
    "it names who must not see a client, which nothing shows to somebody who may be that person"
)
RESTORED = "whoever restored a database does it before the application starts"
OWN = "the command line ends anybody's sessions, tokens and links, and sets anybody's language"
RECORD = "the command line changes no detail of a client's record; somebody new is entered by `intake open`"
WITHOUT_SCOPE = "a token that could make programs could outlive itself"
LACKS = {
    "auth.identities.link_identity": ("api cli", IN_BROWSER),
    "auth.identities.unlink_identity": ("cli", OWN),
    "auth.identities.unlink_identity_of": ("web api", UNLINKED),
    "auth.operations.add_user": ("web api", "the first admin and scripts; others are invited"),
    "auth.operations.end_own_session": ("cli", OWN),
    "auth.operations.reset_password": ("web api", SET_BY_OTHERS),
    "auth.operations.revoke_own_token": ("cli", OWN),
    "auth.operations.revoke_token": ("web api", REVOKED_BY_OTHERS),
    "auth.operations.set_own_language": ("cli", OWN),
    "auth.passkeys.add_passkey": ("api cli", IN_BROWSER),
    "auth.passkeys.remove_passkey": ("api cli", IN_BROWSER),
    "auth.programs.end_program": ("api", WITHOUT_SCOPE),
    "auth.programs.make_program": ("api", WITHOUT_SCOPE),
    "auth.second_factor.make_recovery_codes": ("api cli", IN_BROWSER),
    "auth.second_factor.remove_app": ("api cli", IN_BROWSER),
    "auth.second_factor.remove_second_factor_of": ("api", "no token removes what no token shows"),
    "auth.second_factor.set_up": ("api cli", IN_BROWSER),
    "clients.operations.confirm_contact": ("cli", RECORD),
    "clients.operations.create_client": ("cli", RECORD),
    "clients.operations.update_client": ("cli", RECORD),
    "erasure.operations.repeat_erasure": ("web api", RESTORED),
    "staffing.access.explain_access": ("web api", EXPLAINED),
}
"""Which interfaces an operation lacks, and why. What clients do in the portal is theirs alone."""


def list_operations():
    """List the functions that act for somebody and write to the log, by module and name."""
    found = set()
    for package in PACKAGES:
        for file in sorted((ROOT / "caseapp/domain" / package).glob("*.py")):
            for node in ast.parse(file.read_text()).body:
                if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
                    calls = {
                        one.func.id
                        for one in ast.walk(node)
                        if isinstance(one, ast.Call) and isinstance(one.func, ast.Name)
                    }
                    acts = any(argument.arg == "actor" for argument in node.args.args)
                    if acts and "require" in calls and calls & {"record", "_record"}:
                        found.add(f"{package}.{file.stem}.{node.name}")
    return found


def list_used(interface):
    """List what the modules of an interface import of the domain, or name of what they import."""
    used = set()
    for file in (ROOT / "caseapp" / interface).glob("*.py"):
        # The demo fills a database as people would; nobody acts by it.
        if file.name.startswith("demo"):
            continue
        tree, modules = ast.parse(file.read_text()), defaultdict(str)
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(
                "caseapp.domain."
            ):
                where = node.module.removeprefix("caseapp.domain.")
                for alias in node.names:
                    used.add(f"{where}.{alias.name}")
                    modules[alias.asname or alias.name] = f"{where}.{alias.name}"
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                used.add(f"{modules[node.value.id]}.{node.attr}")
    return used


def test_every_change_about_people_is_on_pages_api_and_command_line_or_says_why_not():
    operations, lacks = list_operations() - list_used("portal"), defaultdict(list)
    for interface in INTERFACES:
        for name in operations - list_used(interface):
            lacks[name].append(interface)
    assert {name: " ".join(found) for name, found in lacks.items()} == {
        name: interfaces for name, (interfaces, _why) in LACKS.items()
    }
