import pytest
import sqlalchemy as sa

from caseapp.cli import setup
from caseapp.cli.context import CommandContext
from caseapp.core.errors import RuleBroken
from caseapp.core.transaction import transaction
from caseapp.domain.auth.rules import find_pin_error
from caseapp.domain.handouts.models import HandoutVersion
from tests.support import staff

pytestmark = pytest.mark.both


@pytest.mark.slow
def test_init_can_be_repeated(run_command):
    for _ in range(2):
        done = run_command("init")
        assert done.exit_code == 0, done.output
        assert done.output.startswith("The database is up to date; 0 new")


@pytest.mark.slow
def test_demo_needs_an_empty_database(app, run_command):
    staff.add("coach")
    done = run_command("demo")
    assert done.exit_code == 1
    assert "already contains users or clients" in done.stderr


def test_demo_is_refused_in_production(app, run_command, tmp_path):
    keys = {}
    for first, name in enumerate(("SECRET_KEY_FILE", "VAULT_KEY_FILE")):
        file = tmp_path / name
        file.write_bytes(bytes(range(first, first + 32)))
        file.chmod(0o600)
        keys[f"CASEAPP_{name}"] = str(file)
    done = run_command(
        "demo",
        CASEAPP_ENV="production",
        CASEAPP_BASE_URL="https://practice.example.org",
        CASEAPP_SMTP_URL="smtp://mail.example.org",
        CASEAPP_TRUSTED_PROXIES="1",
        **keys,
    )
    assert done.exit_code == 1
    assert (
        done.stderr
        == "The demo practice needs CASEAPP_ENV=demo or test. Set it, then start again.\n"
    )


def test_demo_with_other_handout_texts_is_refused(app, data_dir):
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
    assert "the text changed, but version" in reason.message
    assert str(data_dir) in reason.way_out


def test_invalid_settings_are_reported_before_the_app_is_created(data_dir):
    def make_app(_settings):
        pytest.fail("the app was created")

    with pytest.raises(Exception, match="CASEAPP_ENV"):
        assert CommandContext(make_app, {"CASEAPP_ENV": "x", "CASEAPP_DATA_DIR": str(data_dir)}).app


def test_list_sign_ins_without_users_explains_how_to_add_one(app, data_dir):
    context = CommandContext(
        lambda _settings: app, {"CASEAPP_ENV": "test", "CASEAPP_DATA_DIR": str(data_dir)}
    )
    assert setup.list_sign_ins(context)[0].startswith("Nobody can sign in yet.")
    staff.add("coach")
    assert setup.list_sign_ins(context) == [
        "Users who can sign in: 1. List them: caseapp user list"
    ]


def test_new_pin_is_accepted_by_the_portal():
    pins = {setup.new_pin() for _ in range(500)}
    assert len(pins) > 400
    assert not [pin for pin in pins if find_pin_error(pin)]
