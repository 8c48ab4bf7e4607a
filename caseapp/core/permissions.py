"""Roles, actions, and the actions that each role may take."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection


class Role(StrEnum):
    """The three staff roles, a client in the portal, and a client who has not finished signing in."""

    COACH = "coach"
    SUPERVISOR = "supervisor"
    ADMIN = "admin"
    CLIENT = "client"
    SIGNING_IN = "signing_in"


STAFF_ROLES = frozenset({Role.COACH, Role.SUPERVISOR, Role.ADMIN})


class Action(StrEnum):
    """Something that a role may do; audit events carry the same codes."""

    SELF_READ = "self.read"
    ACCOUNT_EDIT = "account.edit"
    FACTOR_MANAGE = "factor.manage"
    IDENTITY_LINK = "identity.link"
    SESSION_END = "session.end"
    FORM_DRAFT = "form.draft"
    TODAY_READ = "today.read"
    BOARD_READ = "board.read"
    CLIENT_CREATE = "client.create"
    CLIENT_READ = "client.read"
    CLIENT_EDIT = "client.edit"
    HAND_OVER = "client.hand_over"
    COVER = "client.cover"
    TRANSFER = "client.transfer"
    CLIENT_MERGE = "client.merge"
    CONTACT_CONFIRM = "contact.confirm"
    CONTACT_READ = "contact.read"
    CONTACT_WRITE = "contact.write"
    CONSENT_READ = "consent.read"
    CONSENT_WRITE = "consent.write"
    CONSENT_TEXT_READ = "consent_text.read"
    CONSENT_TEXT_PUBLISH = "consent_text.publish"
    DISCLOSURE_READ = "disclosure.read"
    DISCLOSURE_WRITE = "disclosure.write"
    ERASURE_READ = "erasure.read"
    ERASURE_REQUEST = "erasure.request"
    ERASURE_DECIDE = "erasure.decide"
    ERASURE_REPEAT = "erasure.repeat"
    RETENTION_READ = "retention.read"
    LEGAL_HOLD_READ = "legal_hold.read"
    LEGAL_HOLD_MANAGE = "legal_hold.manage"
    CONFLICT_READ = "conflict.read"
    CONFLICT_ASK = "conflict.ask"
    CONFLICT_DECIDE = "conflict.decide"
    PORTAL_INVITE = "portal.invite"
    CASE_OPEN = "case.open"
    CASE_READ = "case.read"
    CASE_EDIT = "case.edit"
    CASE_MOVE = "case.move"
    CASE_CLOSE = "case.close"
    CASE_REOPEN = "case.reopen"
    CASE_EXPORT = "case.export"
    NOTE_READ = "note.read"
    NOTE_WRITE = "note.write"
    NOTE_SIGN = "note.sign"
    NOTE_AMEND = "note.amend"
    NOTE_MOVE = "note.move"
    NOTE_COSIGN = "note.cosign"
    NOTE_RETURN = "note.return"
    DRAFT_READ = "draft.read"
    DRAFT_FILE = "draft.file"
    COSIGNATURE_SET = "cosignature.set"
    AMENDMENT_WRITE = "amendment.write"
    SCREENING_READ = "screening.read"
    SCREENING_RECORD = "screening.record"
    SCREENING_CORRECT = "screening.correct"
    SAFETY_WRITE = "safety.write"
    CIRCUMSTANCE_END = "circumstance.end"
    FLAG_SET = "flag.set"
    FLAG_CLEAR = "flag.clear"
    PLAN_READ = "plan.read"
    PLAN_WRITE = "plan.write"
    HOLD_READ = "hold.read"
    HOLD_OPEN = "hold.open"
    HOLD_RELEASE = "hold.release"
    HOLD_NAME = "hold.name"
    HOLD_ALLOW = "hold.allow"
    ALERT_READ = "alert.read"
    ALERT_SEND = "alert.send"
    ALERT_ACKNOWLEDGE = "alert.acknowledge"
    FOLLOWUP_READ = "followup.read"
    FOLLOWUP_WRITE = "followup.write"
    HANDOUT_READ = "handout.read"
    HANDOUT_REVIEW = "handout.review"
    HANDOUT_RECALL = "handout.recall"
    HANDOUT_WRITE = "handout.write"
    HANDOUT_APPROVE = "handout.approve"
    HANDOUT_HIDE = "handout.hide"
    ASSIGNMENT_READ = "assignment.read"
    ASSIGNMENT_CREATE = "assignment.create"
    ASSIGNMENT_WITHDRAW = "assignment.withdraw"
    ASSIGNMENT_MARK = "assignment.mark"
    REPORT_EXPORT = "report.export"
    RECORD_EXPORT = "record.export"
    AUDIT_READ = "audit.read"
    CHAIN_BEGIN = "chain.begin"
    CHECKPOINT_BEGIN = "checkpoint.begin"
    SIGNATURES_BEGIN = "signatures.begin"
    ROLLBACK_ACCEPT = "rollback.accept"
    PRACTICE_EDIT = "practice.edit"
    USER_MANAGE = "user.manage"
    DENIAL_MANAGE = "denial.manage"
    EMERGENCY_OPEN = "emergency.open"
    EMERGENCY_REVIEW = "emergency.review"
    ACCESS_EXPLAIN = "access.explain"
    TOKEN_MAKE = "token.make"  # noqa: S105 - an action, not a secret
    PROGRAM_MANAGE = "program.manage"
    TOKEN_MANAGE = "token.manage"  # noqa: S105 - an action, not a secret
    KEY_ROTATE = "key.rotate"
    KEY_RENEW = "key.renew"
    KEY_REVEAL = "key.reveal"
    SIGN_IN = "sign_in"
    PORTAL_READ = "portal.read"
    PORTAL_MARK = "portal.mark"
    PORTAL_WRITE = "portal.write"
    PORTAL_PIN = "portal.pin"
    PIN_CHANGE = "pin.change"
    DEVICE_MANAGE = "device.manage"
    DEVICE_FORGET = "device.forget"


CONFIRMED_ACTIONS = frozenset(
    {
        Action.FACTOR_MANAGE,
        Action.IDENTITY_LINK,
        Action.NOTE_SIGN,
        Action.NOTE_AMEND,
        Action.NOTE_MOVE,
        Action.CLIENT_MERGE,
        Action.NOTE_COSIGN,
        Action.DRAFT_FILE,
        Action.HOLD_RELEASE,
        Action.SCREENING_CORRECT,
        Action.PORTAL_INVITE,
        Action.CASE_EXPORT,
        Action.CONSENT_TEXT_PUBLISH,
        Action.ERASURE_REQUEST,
        Action.ERASURE_DECIDE,
        Action.LEGAL_HOLD_MANAGE,
        Action.REPORT_EXPORT,
        Action.RECORD_EXPORT,
        Action.PRACTICE_EDIT,
        Action.USER_MANAGE,
        Action.COSIGNATURE_SET,
        Action.DENIAL_MANAGE,
        Action.EMERGENCY_OPEN,
        Action.TOKEN_MAKE,
        Action.PROGRAM_MANAGE,
        Action.TOKEN_MANAGE,
    }
)
"""Actions whose forms ask a person to confirm who they are, when the last time is a while ago."""

_ALL_STAFF = frozenset(
    {
        Action.SELF_READ,
        Action.ACCOUNT_EDIT,
        Action.FACTOR_MANAGE,
        Action.IDENTITY_LINK,
        Action.TOKEN_MAKE,
        Action.SESSION_END,
        Action.FORM_DRAFT,
        Action.TODAY_READ,
        Action.CONSENT_TEXT_READ,
        Action.HANDOUT_READ,
        Action.ERASURE_READ,
    }
)
_COACH = _ALL_STAFF | {
    Action.CLIENT_CREATE,
    Action.CLIENT_READ,
    Action.CLIENT_EDIT,
    Action.COVER,
    Action.TRANSFER,
    Action.CONTACT_CONFIRM,
    Action.CONTACT_READ,
    Action.CONTACT_WRITE,
    Action.CONSENT_READ,
    Action.CONSENT_WRITE,
    Action.DISCLOSURE_READ,
    Action.DISCLOSURE_WRITE,
    Action.ERASURE_REQUEST,
    Action.PORTAL_INVITE,
    Action.DEVICE_FORGET,
    Action.CASE_OPEN,
    Action.CASE_READ,
    Action.CASE_EDIT,
    Action.CASE_MOVE,
    Action.CASE_CLOSE,
    Action.CASE_REOPEN,
    Action.CASE_EXPORT,
    Action.NOTE_READ,
    Action.NOTE_WRITE,
    Action.NOTE_SIGN,
    Action.NOTE_AMEND,
    Action.NOTE_MOVE,
    Action.AMENDMENT_WRITE,
    Action.SCREENING_READ,
    Action.SCREENING_RECORD,
    Action.SCREENING_CORRECT,
    Action.CIRCUMSTANCE_END,
    Action.FLAG_SET,
    Action.PLAN_READ,
    Action.PLAN_WRITE,
    Action.HOLD_READ,
    Action.HOLD_OPEN,
    Action.HOLD_NAME,
    Action.ALERT_READ,
    Action.ALERT_SEND,
    Action.ALERT_ACKNOWLEDGE,
    Action.FOLLOWUP_READ,
    Action.FOLLOWUP_WRITE,
    Action.ASSIGNMENT_READ,
    Action.ASSIGNMENT_CREATE,
    Action.ASSIGNMENT_WITHDRAW,
    Action.ASSIGNMENT_MARK,
    Action.EMERGENCY_OPEN,
    Action.RECORD_EXPORT,
}

ACTIONS_BY_ROLE: dict[Role, frozenset[Action]] = {
    Role.COACH: frozenset(_COACH | {Action.CONFLICT_ASK}),
    Role.SUPERVISOR: frozenset(
        _COACH
        | {
            Action.BOARD_READ,
            Action.CONFLICT_READ,
            Action.CONFLICT_DECIDE,
            Action.HAND_OVER,
            Action.CLIENT_MERGE,
            Action.NOTE_COSIGN,
            Action.NOTE_RETURN,
            Action.DRAFT_READ,
            Action.DRAFT_FILE,
            Action.COSIGNATURE_SET,
            Action.DENIAL_MANAGE,
            Action.CONSENT_TEXT_PUBLISH,
            Action.ERASURE_DECIDE,
            Action.RETENTION_READ,
            Action.LEGAL_HOLD_READ,
            Action.LEGAL_HOLD_MANAGE,
            Action.EMERGENCY_REVIEW,
            Action.HOLD_RELEASE,
            Action.HOLD_ALLOW,
            Action.FLAG_CLEAR,
            Action.HANDOUT_REVIEW,
            Action.HANDOUT_RECALL,
            Action.HANDOUT_WRITE,
            Action.HANDOUT_APPROVE,
            Action.HANDOUT_HIDE,
        }
    ),
    Role.ADMIN: frozenset(
        _ALL_STAFF
        | {
            Action.REPORT_EXPORT,
            Action.AUDIT_READ,
            Action.CHAIN_BEGIN,
            Action.CHECKPOINT_BEGIN,
            Action.SIGNATURES_BEGIN,
            Action.ROLLBACK_ACCEPT,
            Action.PRACTICE_EDIT,
            Action.CONSENT_TEXT_PUBLISH,
            Action.ERASURE_DECIDE,
            Action.ERASURE_REPEAT,
            Action.RETENTION_READ,
            Action.LEGAL_HOLD_READ,
            Action.LEGAL_HOLD_MANAGE,
            Action.USER_MANAGE,
            Action.COSIGNATURE_SET,
            Action.DENIAL_MANAGE,
            Action.ACCESS_EXPLAIN,
            Action.PROGRAM_MANAGE,
            Action.TOKEN_MANAGE,
            Action.KEY_ROTATE,
            Action.KEY_RENEW,
            Action.KEY_REVEAL,
            Action.HANDOUT_REVIEW,
            Action.HANDOUT_RECALL,
            Action.HANDOUT_WRITE,
            Action.HANDOUT_APPROVE,
            Action.HANDOUT_HIDE,
        }
    ),
    Role.CLIENT: frozenset(
        {
            Action.PORTAL_READ,
            Action.PORTAL_MARK,
            Action.PORTAL_WRITE,
            Action.PIN_CHANGE,
            Action.DEVICE_MANAGE,
            Action.SESSION_END,
            Action.FORM_DRAFT,
        }
    ),
    # A link or a card alone shows nothing: it only allows entering the PIN, or leaving.
    Role.SIGNING_IN: frozenset({Action.PORTAL_PIN, Action.SESSION_END}),
}

AREAS: dict[str, tuple[str, ...]] = {
    "account": ("self", "account", "factor", "identity", "session"),
    "clients": (
        *("client", "contact", "conflict", "case", "note", "screening", "circumstance"),
        *(
            "flag",
            "plan",
            "hold",
            "alert",
            "followup",
            "consent",
            "consent_text",
            "disclosure",
            "device",
            "amendment",
            "draft",
            "assignment",
            "form",
            "today",
            "board",
            "record",
        ),
    ),
    "portal": ("portal",),
    "emergency": ("emergency",),
    "erasure": ("erasure", "retention", "legal_hold"),
    "handouts": ("handout",),
    "reports": ("report",),
    "audit": ("audit",),
    "practice": ("practice",),
    "staff": ("user", "denial", "cosignature"),
}
"""The areas of a token's scopes, and what the codes of their actions begin with.

Programs and tokens are in none. What opens the portal as a client, opens records that somebody doesn't see
otherwise, or erases them is in areas of its own: a program that writes records needs none of these.
"""


def find_scope(action: Action) -> str | None:
    """Return the scope that an action needs, such as `clients:read`; None for one that no token may take."""
    subject, _, verb = action.partition(".")
    for area, subjects in AREAS.items():
        if subject in subjects:
            return f"{area}:{'read' if verb == 'read' else 'write'}"
    return None


def list_scopes(role: Role) -> list[str]:
    """List the scopes by which a token of somebody in this role can do anything."""
    return sorted({scope for action in ACTIONS_BY_ROLE[role] if (scope := find_scope(action))})


SCOPES = tuple(sorted({scope for role in STAFF_ROLES for scope in list_scopes(role)}))
"""What a token can be for: reading or writing in an area. Who may write may read there too."""
READING_SCOPES = tuple(scope for scope in SCOPES if scope.endswith(":read"))


def is_in_scope(action: Action, scopes: Collection[str]) -> bool:
    """Tell whether a token with these scopes may take an action, as far as its owner may."""
    scope = find_scope(action)
    return scope in scopes or (scope is not None and scope.replace(":read", ":write") in scopes)
