import pytest
import sqlalchemy as sa

from caseapp.cli import setup
from caseapp.cli.context import CommandContext
from caseapp.core.errors import RuleBroken
from caseapp.core.transaction import transaction
from caseapp.domain.auth.portal_access import find_pin_error
from caseapp.domain.handouts.models import HandoutVersion
from tests.support import staff

pytestmark = pytest.mark.both


def test_init_can_be_run_again(run_command):
    for _ in range(2):
        done = run_command("init")
        assert done.exit_code == 0, done.output
        assert done.output.startswith("The database is up to date; 0 new")


def test_the_demo_goes_into_an_empty_database_only(app, run_command):
    staff.add("coach")
    done = run_command("demo")
    assert done.exit_code == 1
    assert "already holds people" in done.stderr


def test_the_demo_never_goes_into_production(app, run_command, tmp_path):
    keys = {}
    for name in ("SECRET_KEY_FILE", "VAULT_KEY_FILE"):
        file = tmp_path / name
        file.write_bytes(b"0" * 32)
        file.chmod(0o600)
        keys[f"CASEAPP_{name}"] = str(file)
    done = run_command(
        "demo",
        CASEAPP_ENV="production",
        CASEAPP_BASE_URL="https://desk.example.org",
        CASEAPP_SMTP_URL="smtp://mail.example.org",
        **keys,
    )
    assert done.exit_code == 1
    assert done.stderr == "The demo practice is only for CASEAPP_ENV=demo or test.\n"


def test_a_demo_with_other_texts_is_filled_anew_and_never_mixed(app, data_dir):
    context = CommandContext(
        lambda _settings: app, {"CASEAPP_ENV": "demo", "CASEAPP_DATA_DIR": str(data_dir)}
    )
    setup.set_up_demo(context)
    with transaction() as session:
        session.execute(sa.update(HandoutVersion).values(sha256="0" * 64))
    with pytest.raises(RuleBroken) as refused:
        setup.set_up_demo(context)
    [reason] = refused.value.reasons
    assert reason.code == "demo_outdated"
    assert "but version 1 did not" in reason.message
    assert str(data_dir) in reason.way_out


def test_wrong_settings_are_told_before_anything_is_made(data_dir):
    def make_app(_settings):
        pytest.fail("the app was made")

    with pytest.raises(Exception, match="CASEAPP_ENV"):
        assert CommandContext(make_app, {"CASEAPP_ENV": "x", "CASEAPP_DATA_DIR": str(data_dir)}).app


def test_nobody_can_sign_in_at_first_and_it_says_how_to_change_that(app, data_dir):
    context = CommandContext(
        lambda _settings: app, {"CASEAPP_ENV": "test", "CASEAPP_DATA_DIR": str(data_dir)}
    )
    assert setup.list_sign_ins(context)[0].startswith("Nobody can sign in yet.")
    staff.add("coach")
    assert setup.list_sign_ins(context) == ["Who can sign in (1): caseapp user list"]


def test_a_pin_made_at_random_is_one_that_the_portal_takes():
    pins = {setup.new_pin() for _ in range(500)}
    assert len(pins) > 400
    assert not [pin for pin in pins if find_pin_error(pin)]
