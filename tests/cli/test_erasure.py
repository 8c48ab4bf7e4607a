"""Erasures on the command line, and the proof: yesterday's database comes back, with today's keys and without."""

from __future__ import annotations

from dataclasses import replace

import pytest
import sqlalchemy as sa

from caseapp.cli import installation_checks
from caseapp.cli.check_result import FAULT, OK, WARNING
from caseapp.core import pdf, settings
from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.core.errors import RuleBroken
from caseapp.core.transaction import transaction
from caseapp.core.vault import SealBroken, unseal_text, unwrap_client_key
from caseapp.domain.audit.checkpoints import write_checkpoint
from caseapp.domain.audit.start import refuse_unsafe_start
from caseapp.domain.audit.tombstones import TombstoneBroken, read_tombstones
from caseapp.domain.cases.models import Case
from caseapp.domain.clients.models import Client
from caseapp.domain.erasure.operations import write_tombstones
from caseapp.domain.erasure.rules import NOT_REQUESTED_BY, OPEN_CASE, SAME_PERSON
from caseapp.domain.keys.models import ClientKey, KeyRing
from caseapp.domain.keys.queries import load_ring
from caseapp.domain.notes.models import Note
from tests.support import builders, staff
from tests.support.copies import Copy

pytestmark = pytest.mark.slow

NAME = "Quetzalcoatl Blum"


@pytest.fixture
def folder(app, tmp_path):
    """Keep checkpoints and tombstones of this test apart."""
    before = settings.active()
    settings.use(replace(before, checkpoint_dir=tmp_path / "checkpoints"))
    yield tmp_path / "checkpoints"
    settings.use(before)


@pytest.fixture
def run_as(run_command):
    """Return a function that runs a command as somebody, who must get the exit code; it returns all output."""

    def run(person, *arguments, code=0):
        named = ("--as", staff.email_of(person)) if person else ()
        answer = run_command(*named, *arguments)
        assert answer.exit_code == code, answer.output
        return answer.output

    return run


def close(made):
    with transaction():
        ended = {"status": "closed", "closed_at": now(), "outcome": "other"}
        db.session.execute(sa.update(Case).where(Case.id == made.case_id).values(ended))


def start_faults():
    """List why an application doesn't start."""
    db.session.rollback()
    try:
        refuse_unsafe_start()
    except RuleBroken as fault:
        return [reason.code for reason in fault.reasons]
    return []


def rows_of_keys():
    """Return the tables with the keys, as an archive of the keys alone has them."""
    return {
        model: [dict(row) for row in db.session.execute(sa.select(model.__table__)).mappings()]
        for model in (ClientKey, KeyRing)
    }


def put_in(keys):
    """Put these keys in the place of those in the database."""
    with transaction() as session:
        for model, rows in keys.items():
            session.execute(sa.delete(model))
            session.execute(sa.insert(model), rows)
    load_ring()


@pytest.mark.both
def test_database_of_yesterday_does_not_start_until_what_came_back_is_erased_again(
    team, folder, tmp_path, run_as
):
    """With its own keys it opens, with those of today nobody reads a word; the certificate is there again."""
    coach, supervisor = team["coach"], team["supervisor"]
    other = builders.case(coach)
    made = builders.case(coach, NAME)
    builders.screen(coach, made.client_id)
    note_id = builders.note(coach, made.case_id, {"data": NAME, "assessment": "x", "plan": "x"})
    close(made)
    write_checkpoint()
    copy = Copy(tmp_path)
    asked = run_as(coach, "erasure", "request", made.number, "--ground", "client")
    erasure_id = asked.partition(":")[0]
    run_as(supervisor, "erasure", "decide", erasure_id, "--erase")
    certificate = run_as(None, "erasure", "certificate", erasure_id)
    write_checkpoint()
    today = rows_of_keys()
    assert start_faults() == []

    copy.restore()
    assert start_faults() == ["rolled_back", "erased_returned"]
    stored = sa.select(Note.sections, ClientKey.wrapped).where(
        Note.id == note_id, ClientKey.client_id == Note.client_id
    )
    sealed, wrapped = db.session.execute(stored).one()
    place = ("note", "sections", note_id, sealed)
    assert NAME in unseal_text(*place, unwrap_client_key(made.client_id, wrapped))
    put_in(today)
    for row in today[ClientKey]:
        with pytest.raises(SealBroken):
            unseal_text(*place, unwrap_client_key(row["client_id"], row["wrapped"]))
    # The names were never encrypted: the record is back, also without its key.
    assert start_faults() == ["rolled_back", "erased_returned"]
    assert FAULT in {found.level for found in installation_checks.check_log()}
    told = run_as(None, "worker", code=1)
    assert "caseapp erasure repeat" in told
    assert "caseapp audit accept-rollback" in told
    assert run_as(None, "erasure", "repeat") == "1 records were erased again.\n"
    assert start_faults() == ["rolled_back"]
    accepted = run_as(None, "audit", "accept-rollback", "--reason", "Backup of Monday restored.")
    assert "is older than checkpoint" in accepted
    assert start_faults() == []
    assert run_as(None, "audit", "verify").endswith("events are unchanged.\n")
    assert db.session.get_one(Client, made.client_id).name == ""
    assert NAME not in db.session.get_one(Client, other.client_id).name
    assert len(read_tombstones()) == 1
    again = run_as(None, "erasure", "certificate", erasure_id)
    assert [line for line in again.splitlines() if "again" not in line.lower()] == [
        *certificate.splitlines()
    ]
    assert "Erased again by: The operator" in again


def test_erasure_is_requested_decided_shown_and_refused_on_the_command_line(
    team, folder, tmp_path, run_as, monkeypatch
):
    coach, supervisor, admin = team["coach"], team["supervisor"], team["admin"]
    made = builders.case(coach, NAME)
    ask = ("erasure", "request", made.number.lower(), "--ground", "client")
    assert "caseapp --as EMAIL" in run_as(None, *ask, code=2)
    assert OPEN_CASE.message in run_as(coach, *ask, code=1)
    run_as(team["coach2"], *ask, code=1)
    run_as(admin, *ask, code=1)
    close(made)
    first = run_as(coach, *ask).partition(":")[0]
    refused = run_as(supervisor, "erasure", "withdraw", first, code=1)
    assert NOT_REQUESTED_BY.message in refused
    assert run_as(coach, "erasure", "withdraw", first) == "Withdrawn.\n"
    second = run_as(supervisor, *ask).partition(":")[0]
    run_as(supervisor, "erasure", "decide", second, code=2)
    refused = run_as(supervisor, "erasure", "decide", second, "--erase", code=1)
    assert SAME_PERSON.message in refused
    run_as(coach, "erasure", "decide", second, "--erase", code=1)
    assert run_as(admin, "erasure", "decide", second, "--keep", "other") == "The record is kept.\n"
    run_as(admin, "erasure", "certificate", second, code=1)
    third = run_as(coach, *ask).partition(":")[0]
    assert "caseapp erasure certificate" in run_as(admin, "erasure", "decide", third, "--erase")
    listed = run_as(admin, "erasure", "list")
    assert {line.split("  ")[0] for line in listed.splitlines()} == {third, second, first}
    shown = run_as(coach, "erasure", "certificate", third)
    assert f"Certificate: {third}" in shown
    assert made.number in shown
    run_as(team["coach2"], "erasure", "certificate", third, code=1)
    monkeypatch.setattr(pdf, "render", lambda *_given, **_more: b"%PDF-1.7")
    run_as(coach, "erasure", "certificate", third, "-o", str(tmp_path / "certificate.pdf"))
    assert (tmp_path / "certificate.pdf").read_bytes() == b"%PDF-1.7"
    told = run_as(None, "erasure", "status")
    assert f"{third}: erased" in told
    assert "1 lines in" in told
    assert NAME not in listed + shown + told
    assert run_as(None, "erasure", "repeat") == "0 records were erased again.\n"


def test_list_of_erased_records_that_was_cut_stops_the_start_and_is_not_added_to(
    team, folder, run_as
):
    coach, admin = team["coach"], team["admin"]
    file = folder / "erasures.jsonl"
    for number in (1, 2):
        made = builders.case(coach)
        close(made)
        asked = run_as(coach, "erasure", "request", made.number, "--ground", "client")
        run_as(admin, "erasure", "decide", asked.partition(":")[0], "--erase")
        assert write_checkpoint()
        if number == 1:
            # A second one with the event which says that there are checkpoints now.
            write_checkpoint()
            earlier = file.read_bytes()
    assert write_checkpoint() is None
    whole, known = file.read_bytes(), {one["erasure"] for one in read_tombstones()}
    for cut in (earlier, b"", whole.splitlines(keepends=True)[1]):
        file.write_bytes(cut)
        assert start_faults()[0] == "tombstones_missing"
        assert write_checkpoint() is None
        with pytest.raises(TombstoneBroken):
            write_tombstones()
        assert file.read_bytes() == cut
    file.unlink()
    assert start_faults() == ["tombstones_missing"]
    assert "Put back the newest copy" in run_as(None, "worker", code=1)
    file.write_bytes(whole)
    assert start_faults() == []
    # Nobody has a copy: what this database knows is written again.
    file.unlink()
    told = run_as(None, "audit", "accept-rollback", "--reason", "The disk was exchanged.")
    assert "shorter than it was at the last checkpoint" in told
    [missing] = [f for f in installation_checks.check_log() if f.level == WARNING]
    assert "2 erasures are not in the list" in missing.text
    write_tombstones()
    assert {one["erasure"] for one in read_tombstones()} == known
    assert {found.level for found in installation_checks.check_log()} == {OK}


def test_folder_that_cannot_be_written_stops_the_start(team, folder):
    folder.write_text("no folder")
    assert start_faults() == ["checkpoints_unwritable"]
    assert FAULT in {found.level for found in installation_checks.check_log()}
