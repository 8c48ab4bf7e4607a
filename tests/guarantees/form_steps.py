"""What has to be so for a page to show a form, where the sample data has it otherwise."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import sqlalchemy as sa

from caseapp.core.clock import at, now
from caseapp.core.database import db
from caseapp.core.ids import new_id
from caseapp.core.settings import Provider
from caseapp.core.settings import active as active_settings
from caseapp.core.settings import use as use_settings
from caseapp.core.transaction import transaction
from caseapp.domain.assignments.operations import assign_handout
from caseapp.domain.auth.identities import Vouched, link_identity
from caseapp.domain.auth.models import Credential, Passkey
from caseapp.domain.auth.portal_codes import invite_client
from caseapp.domain.auth.programs import make_program
from caseapp.domain.auth.queries import find_staff_session
from caseapp.domain.auth.schemas import NewProgram
from caseapp.domain.auth.sealing import seal_secret
from caseapp.domain.authoring.models import HandoutDraft
from caseapp.domain.authoring.operations import save_draft
from caseapp.domain.authoring.schemas import DraftContentSchema
from caseapp.domain.cases.models import Case
from caseapp.domain.cases.queries import lock_case
from caseapp.domain.clients.models import EmergencyAccess, Transfer
from caseapp.domain.clients.queries import lock_client
from caseapp.domain.handouts.models import HiddenHandout
from caseapp.domain.handouts.operations import publish_version
from caseapp.domain.keys import writing
from caseapp.domain.legal_holds.models import LegalHold
from caseapp.domain.notes.amendment_operations import record_request
from caseapp.domain.notes.amendment_schemas import NewAmendmentRequest
from caseapp.domain.notes.queries import lock_note
from caseapp.domain.practice.operations import set_logo
from caseapp.domain.practice.queries import today
from caseapp.domain.safety_plans.operations import remove_from_portal
from caseapp.domain.safety_plans.queries import lock_plan
from caseapp.domain.screening.operations import set_manual_flag
from caseapp.domain.screening.queries import list_holds
from caseapp.domain.worksheets.models import WorksheetUpload
from tests.guarantees import sample_data as w
from tests.support import builders, followups, portal_client, staff


def close_case(world):
    ended = {"status": "closed", "closed_at": now(), "outcome": "other"}
    with transaction():
        db.session.execute(sa.update(Case).where(Case.id == world.own["case_id"]).values(ended))


def meet_release_conditions(world):
    """Go on with another case, whose safety hold opened long ago and can be released."""
    coach = world.actors["coach"]
    with at(now() - timedelta(days=20)):
        made = builders.case(coach)
        builders.screen(coach, made.client_id, self_harm="urgent")
    for days in (8, 1):
        builders.screen(coach, made.client_id, days_ago=days)
    followups.complete_all(coach, made.client_id)
    [found] = list_holds(coach, made.client_id)
    world.own = world.own | {
        "case_id": made.case_id,
        "client_id": made.client_id,
        "hold_id": found.id,
        "number": made.number,
    }


def open_care_hold(world):
    """Go on with another case, whose care hold a supervisor can make an exception from."""
    coach = world.actors["coach"]
    made = builders.case(coach)
    builders.screen(coach, made.client_id, sleep="concern")
    [found] = list_holds(coach, made.client_id)
    world.own = world.own | {
        "case_id": made.case_id,
        "client_id": made.client_id,
        "hold_id": found.id,
        "number": made.number,
    }


def choose_required_action(world):
    [found] = followups.find_tasks(world.own["client_id"], "tell_supervisor")
    world.own = world.own | {"followup_id": found.id}


def add_logo(world):
    with transaction():
        set_logo(world.actors["admin"], b"\x89PNG", "A lighthouse")


def submit_draft(world):
    """Put the draft in review; an admin wrote it, and the supervisor may approve it."""
    with transaction():
        db.session.execute(
            sa.update(HandoutDraft)
            .where(HandoutDraft.id == world.own["draft_id"])
            .values(state="in_review")
        )


def write_and_submit_draft(world):
    draft_id = world.own["draft_id"]
    with transaction():
        content = DraftContentSchema().load({"title": "Two walks"})
        save_draft(world.actors["supervisor"], draft_id, content, 1)
    submit_draft(world)


def hide_slug(world):
    hidden = HiddenHandout(slug=w.SLUG, hidden_at=now(), hidden_by=world.actors["admin"].id)
    with transaction():
        db.session.add(hidden)


def publish_second_version(_world):
    with transaction():
        publish_version(builders.write_second_version(w.SLUG))


def assign_on_paper(world):
    coach, case_id = world.actors["coach"], world.own["case_id"]
    with transaction():
        assignment_id = assign_handout(
            coach,
            lock_case(coach, case_id),
            "better-nights",
            message="",
            channel="print",
            confirmed=True,
        )
    world.own = world.own | {"assignment_id": assignment_id}


def set_unsafe_flag(world):
    coach, client_id = world.actors["coach"], world.own["client_id"]
    with transaction():
        set_manual_flag(coach, lock_client(coach, client_id), "unsafe_delivery")


def remove_plan(world):
    """Remove the safety plan from the portal, in which the client may have one."""
    coach, client_id = world.actors["coach"], world.own["client_id"]
    with transaction():
        plan = lock_plan(coach, client_id, "safety")
        remove_from_portal(coach, plan, plan.version)


def open_page_of_coach(world):
    """Open the page of the coach, whose client has an open hold."""
    world.own = world.own | {"user_id": world.actors["coach"].id}


def take_back_file(world):
    """Let the file stand as it did before the client sent it."""
    client = portal_client.reader(world.own["client_id"])
    with transaction():
        db.session.execute(sa.update(WorksheetUpload).values(sent_at=None))
        writing._seal_anew(client.id, None, client.writing)  # noqa: SLF001 - as for a release before


def let_sleep_last(world):
    """Go on with another case, whose client has slept badly for two weeks."""
    coach = world.actors["coach"]
    with at(now() - timedelta(days=20)):
        made = builders.case(coach)
        builders.screen(coach, made.client_id, sleep="watch")
    world.own = world.own | {
        "client_id": made.client_id,
        "case_id": made.case_id,
        "number": made.number,
    }


def tick_circumstance(world):
    """Record that the client is pregnant."""
    builders.screen(world.actors["coach"], world.own["client_id"], circumstances=["pregnancy"])


def set_up_app(world):
    """Give the coach a second factor, without signing their browser out."""
    cookie = world.browsers["coach"].get_cookie("__Host-desk")
    staff.set_up_app(find_staff_session(cookie.value).actor)


def name_provider(_world):
    """Name an OpenID provider in the settings; nobody asks it anything."""
    provider = Provider("https://id.example.org", "caseapp", "secret", "Example ID", frozenset())
    use_settings(replace(active_settings(), provider=provider))


def link_identity_of_coach(world):
    """Link an account at a provider to the coach's, without signing their browser out."""
    cookie = world.browsers["coach"].get_cookie("__Host-desk")
    actor = find_staff_session(cookie.value).actor
    with transaction():
        link_identity(actor, Vouched("https://id.example.org", "1", None, has_factor=False))


def let_supervisor_make_codes(world):
    """Let the supervisor make a new start code for the coach's client, so that the card is missing."""
    supervisor = world.actors["supervisor"]
    with transaction():
        invite_client(supervisor, lock_client(supervisor, world.own["client_id"]), "lost")


def set_up_app_of_coach(world):
    """Open the page of the coach, who has a second factor."""
    world.own = world.own | {"user_id": world.actors["coach"].id}
    staff.set_up_app(world.actors["coach"])


def add_passkey(world):
    """Give the coach an app, and a passkey of which only the row matters to the page."""
    set_up_app(world)
    with transaction():
        row = Passkey(
            id=new_id(),
            person_id=world.actors["coach"].id,
            name="Laptop",
            lookup="0" * 64,
            sign_count=0,
            challenge_at=now(),
            created_at=now(),
        )
        secret = json.dumps({"id": "AAAA", "key": "AAAA"})
        row.ring_number, row.secret = seal_secret(row.id, row.person_id, secret)
        db.session.add(row)


def let_colleague_leave(world):
    """Open the page of a coach whose account is disabled."""
    world.own = world.own | {"user_id": world.actors["coach2"].id}
    with transaction():
        staff.disable("coach2@practice.test")


def forget_password_of_colleague(world):
    """Open the page of a coach who has no password, as before an invitation is accepted."""
    user_id = world.actors["coach2"].id
    world.own = world.own | {"user_id": user_id}
    ended = {"ended_at": now(), "ring_number": None, "secret": None}
    with transaction():
        db.session.execute(
            sa.update(Credential).where(Credential.person_id == user_id).values(ended)
        )


def make_program_of_admin(world):
    """Give the admin a program, without a session of theirs."""
    admin = world.actors["admin"]
    with transaction():
        make_program(replace(admin, via="cli"), admin.id, NewProgram("Import", ["audit:read"]))


def change_transfer(world, **values):
    """Change the transfer of the coach's client, who offers it to themselves."""
    with transaction():
        db.session.execute(
            sa.update(Transfer).where(Transfer.id == world.own["transfer_id"]).values(values)
        )


def offer_to_supervisor(world):
    change_transfer(world, to_id=world.actors["supervisor"].id)


def read_now(world):
    """Make the emergency access to the client's record the coach's, and open."""
    values = {"user_id": world.actors["coach"].id, "ends_at": now() + timedelta(hours=1)}
    with transaction():
        access = EmergencyAccess.id == world.own["emergency_id"]
        db.session.execute(sa.update(EmergencyAccess).where(access).values(values))


def accept_offer(world):
    from_id = world.actors["supervisor"].id
    change_transfer(world, from_id=from_id, state="accepted", decided_at=now())


def ask_for_correction(world):
    """Record that the coach's client wants a signed note corrected."""
    coach = world.actors["coach"]
    with transaction():
        note = lock_note(coach, world.own["signed_note_id"])
        record_request(coach, note, NewAmendmentRequest(today(), "I never said that."))


def end_legal_hold(world):
    """Lift the legal hold on the record of the coach's client, as somebody other than who placed it."""
    lifted_by = world.actors["supervisor"].id
    lifted = {"lifted_at": now(), "lifted_by": lifted_by, "lift_reason": "ended"}
    with transaction():
        hold = LegalHold.id == world.own["legal_hold_id"]
        db.session.execute(sa.update(LegalHold).where(hold).values(lifted))


def open_another_case(world):
    """Open a case of another client, to which the note can be moved."""
    end_legal_hold(world)
    world.own = world.own | {"number": builders.case(world.actors["coach"]).number}


def end_another_case(world):
    """Go on with another case, which is closed."""
    made = builders.case(world.actors["coach"])
    world.own = world.own | {
        "client_id": made.client_id,
        "case_id": made.case_id,
        "number": made.number,
    }
    close_case(world)


def enter_client_twice(world):
    """Enter a client with a case, and once more without one."""
    coach, name = world.actors["coach"], "Zita Twice"
    stays = builders.case(coach, name)
    gone = builders.client(coach, name, agreed=True)
    world.own = world.own | {"client_id": gone, "number": stays.number}


REACHED_BY = {
    "account.remove_passkey": add_passkey,
    "account.link_identity": name_provider,
    "account.unlink_identity": link_identity_of_coach,
    "account.make_recovery_codes": set_up_app,
    "account.remove_factor": set_up_app,
    "assignments.mark_read": assign_on_paper,
    "amendments.accept": ask_for_correction,
    "amendments.decline": ask_for_correction,
    "authoring.publish": submit_draft,
    "authoring.return_draft": submit_draft,
    "authoring.withdraw": write_and_submit_draft,
    "cases.confirm_safe_contact": set_unsafe_flag,
    "cases.reopen": close_case,
    "erasure.erase": end_legal_hold,
    "erasure.request_erasure": end_another_case,
    "handouts.replace_assignments": publish_second_version,
    "handouts.show": hide_slug,
    "invitations.add_card": let_supervisor_make_codes,
    "holds.complete_action": choose_required_action,
    "holds.allow": open_care_hold,
    "holds.release": meet_release_conditions,
    "holds.release_named": meet_release_conditions,
    "safety_plans.show": remove_plan,
    "merges.merge": enter_client_twice,
    "note_moves.move": open_another_case,
    "screenings.decide": let_sleep_last,
    "people.enable_person": let_colleague_leave,
    "people.remove_factor_of": set_up_app_of_coach,
    "people.send_invitation": forget_password_of_colleague,
    "screenings.end": tick_circumstance,
    "settings.end_program": make_program_of_admin,
    "settings.remove_logo": add_logo,
    "people.save_cosignature": open_page_of_coach,
    "staffing.hand_over": open_page_of_coach,
    "staffing.confirm_rest": open_page_of_coach,
    "staffing.hand_over_rest": open_page_of_coach,
    "portal_handouts.send_upload": take_back_file,
    "emergency.end_access": read_now,
    "transfers.undo": accept_offer,
    "transfers.withdraw": offer_to_supervisor,
}
