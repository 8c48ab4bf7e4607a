from __future__ import annotations

import os
import stat

import pytest

from caseapp.core import key_files
from caseapp.core.settings import PREFIX, SETTING_DESCRIPTIONS, InvalidSettings, load_settings
from tests.support.depth import times

PRODUCTION = {
    "ENV": "production",
    "BASE_URL": "https://practice.example.org/",
    "SMTP_URL": "smtp://user:hush@mail.example.org:587",
    "TRUSTED_PROXIES": "1",
}


OWNER = "postgresql+psycopg://owner@db/case"
TWO = {"OWNER_DATABASE_URL": OWNER, "DATABASE_URL": "postgresql+psycopg://app@db/case"}


@pytest.fixture
def load(tmp_path):
    for name, first in (("secret", 100), ("vault", 200)):
        (tmp_path / name).write_bytes(bytes(range(first, first + 32)))
        (tmp_path / name).chmod(0o600)
    keys = {
        "SECRET_KEY_FILE": str(tmp_path / "secret"),
        "VAULT_KEY_FILE": str(tmp_path / "vault"),
        "DATA_DIR": str(tmp_path / "data"),
    }

    def read_with(**changed):
        chosen = {**PRODUCTION, **keys, **changed}
        return load_settings({PREFIX + k: v for k, v in chosen.items() if v is not None})

    return read_with


def test_production_settings_with_defaults(load, tmp_path):
    found = load()
    assert found.base_url == "https://practice.example.org"
    assert found.mail_from == "no-reply@practice.example.org"
    assert found.database_url == f"sqlite:///{tmp_path}/data/caseapp.db"
    assert (found.trusted_proxies, found.log_format, found.demo) == (1, "json", False)
    assert found.token_requests == 600


def test_portal_url_decides_about_links_sender_and_host(load):
    without = load()
    assert (without.portal_base, without.portal_host) == ("https://practice.example.org", None)
    apart = load(PORTAL_URL="https://Reader.example.net:8443/")
    assert apart.portal_base == "https://Reader.example.net:8443"
    assert (apart.portal_host, apart.staff_host) == (
        "reader.example.net:8443",
        "practice.example.org",
    )
    assert apart.mail_from == "no-reply@reader.example.net"
    assert load(PORTAL_URL="https://PRACTICE.example.org:443").portal_host is None


def test_owner_of_the_tables_is_another_role(load):
    assert (load().owner_database_url, load(**TWO).owner_database_url) == (None, OWNER)


def test_settings_repr_hides_secrets(load):
    assert "hush" not in repr(load())
    assert "\\xc8" not in repr(load())


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"ENV": "staging"}, "ENV: must be production, demo or test"),
        ({"BASE_URL": None}, "BASE_URL: must be a full address"),
        ({"BASE_URL": "practice.example.org"}, "BASE_URL: must be a full address"),
        ({"BASE_URL": "ftp://practice.example.org"}, "BASE_URL: must be a full address"),
        ({"BASE_URL": "http://practice.example.org"}, "BASE_URL: must begin with https://"),
        ({"BASE_URL": "https://practice.example.org/desk"}, "BASE_URL: must be an address without"),
        ({"PORTAL_URL": "reader.example.net"}, "PORTAL_URL: must be a full address"),
        ({"PORTAL_URL": "http://reader.example.net"}, "PORTAL_URL: must begin with https://"),
        ({"PORTAL_URL": "https://reader.example.net/x"}, "PORTAL_URL: must be an address without"),
        ({"SMTP_URL": None}, "SMTP_URL: is required"),
        ({"SMTP_URL": "https://mail.example.org"}, "SMTP_URL: must begin with smtp://"),
        ({"SECRET_KEY_FILE": None}, "SECRET_KEY_FILE: is required"),
        ({"VAULT_KEY_FILE": None}, "VAULT_KEY_FILE: is required"),
        ({"VAULT_KEY_FILE": "/nowhere/at/all"}, "VAULT_KEY_FILE: "),
        ({"TRUSTED_PROXIES": None}, "TRUSTED_PROXIES: is required"),
        ({"TRUSTED_PROXIES": "some"}, "TRUSTED_PROXIES: must be a whole number"),
        ({"TRUSTED_PROXIES": "-1"}, "TRUSTED_PROXIES: must be a whole number"),
        ({"TRUSTED_PROXIES": "²"}, "TRUSTED_PROXIES: must be a whole number"),
        ({"SCAN_COMMAND": "no-such-program -"}, "SCAN_COMMAND: program not found"),
        ({"SCAN_COMMAND": "scan 'it"}, "SCAN_COMMAND: is not a valid command"),
        ({"LOG_FORMAT": "xml"}, "LOG_FORMAT: must be json or text"),
        ({"OPENID_NAME": "Example ID"}, "OPENID_NAME: needs CASEAPP_OPENID_ISSUER"),
        ({"DEBUG": "1"}, "DEBUG: unknown setting"),
        ({"OWNER_DATABASE_URL": OWNER}, "OWNER_DATABASE_URL: needs PostgreSQL"),
        (TWO | {"DATABASE_URL": OWNER}, "OWNER_DATABASE_URL: must name a different role"),
        (TWO | {"OWNER_DATABASE_URL": f"{OWNER}2"}, "OWNER_DATABASE_URL: must name the same"),
        (TWO | {"OWNER_DATABASE_URL": "postgresql://db/case"}, "OWNER_DATABASE_URL: must name a"),
    ],
)
def test_invalid_setting_is_named(load, changed, message):
    with pytest.raises(InvalidSettings, match=f"^{PREFIX}{message}"):
        load(**changed)


def test_all_invalid_settings_are_named_at_once(load):
    with pytest.raises(InvalidSettings) as refused:
        load(
            ENV="x", BASE_URL="y", SMTP_URL="z", TRUSTED_PROXIES="w", WHAT="v", VAULT_KEY_FILE="/u"
        )
    assert len(str(refused.value).splitlines()) == 6


@pytest.fixture
def provider(tmp_path):
    secret = tmp_path / "openid.secret"
    secret.write_text("issued by the provider\n")
    secret.chmod(0o600)
    return {
        "OPENID_ISSUER": "https://id.example.org/realm",
        "OPENID_CLIENT_ID": "caseapp",
        "OPENID_CLIENT_SECRET_FILE": str(secret),
    }


def test_provider_is_named_by_its_host_unless_it_has_a_name(load, provider):
    found = load(**provider).provider
    assert (found.name, found.factor_values) == ("id.example.org", frozenset())
    assert found.client_secret == "issued by the provider"
    assert "issued" not in repr(found)
    named = load(**provider, OPENID_NAME="Example ID", OPENID_FACTOR_VALUES="mfa  hwk").provider
    assert (named.name, named.factor_values) == ("Example ID", {"mfa", "hwk"})
    assert load().provider is None


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"OPENID_CLIENT_ID": None}, "OPENID_CLIENT_ID: is required"),
        ({"OPENID_CLIENT_SECRET_FILE": None}, "OPENID_CLIENT_SECRET_FILE: is required"),
        ({"OPENID_CLIENT_SECRET_FILE": "/nowhere"}, "OPENID_CLIENT_SECRET_FILE: "),
        ({"OPENID_ISSUER": "http://id.example.org"}, "OPENID_ISSUER: must be a full address"),
        ({"OPENID_ISSUER": "http://127.0.0.1:8080"}, "OPENID_ISSUER: must be a full address"),
        ({"OPENID_ISSUER": "https://id.example.org?a=b"}, "OPENID_ISSUER: must be an address"),
    ],
)
def test_provider_needs_all_of_its_settings(load, provider, changed, message):
    with pytest.raises(InvalidSettings, match=f"^{PREFIX}{message}"):
        load(**(provider | changed))


@pytest.mark.parametrize("text", ["", "two\nlines"])
def test_secret_of_the_provider_is_one_line(load, provider, tmp_path, text):
    (tmp_path / "openid.secret").write_text(text)
    with pytest.raises(InvalidSettings, match="must contain one line of text"):
        load(**provider)
    (tmp_path / "openid.secret").chmod(0o640)
    with pytest.raises(InvalidSettings, match="can be read by others"):
        load(**provider)


def test_key_file_readable_by_others_is_refused(load, tmp_path):
    (tmp_path / "vault").chmod(0o640)
    with pytest.raises(InvalidSettings, match="can be read by others"):
        load()


def test_key_file_that_is_a_link_is_refused(load, tmp_path):
    (tmp_path / "vault").rename(tmp_path / "elsewhere")
    (tmp_path / "vault").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InvalidSettings, match=r"VAULT_KEY_FILE: .*is a link"):
        load()


def test_key_file_of_another_user_is_refused(load, tmp_path):
    if os.geteuid() != 0:
        return
    os.chown(tmp_path / "vault", 65534, 65534)
    with pytest.raises(InvalidSettings, match=r"VAULT_KEY_FILE: .*belongs to a different user"):
        load()


def test_key_file_in_the_data_folder_is_refused_in_production(load, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "vault").rename(tmp_path / "data/vault")
    with pytest.raises(InvalidSettings, match=r"VAULT_KEY_FILE: .*is in the data folder"):
        load(VAULT_KEY_FILE=str(tmp_path / "data/vault"))
    assert load(VAULT_KEY_FILE=str(tmp_path / "data/vault"), ENV="demo").vault_keys


def test_folder_instead_of_a_key_file_is_refused(load, tmp_path):
    (tmp_path / "vault").unlink()
    (tmp_path / "vault").mkdir(mode=0o700)
    with pytest.raises(InvalidSettings, match=r"VAULT_KEY_FILE: .*is not a file"):
        load()


@pytest.mark.parametrize("name", ["secret", "vault"])
@pytest.mark.parametrize(
    ("key", "message"),
    [
        (bytes(32), "consists of a few bytes repeated"),
        (bytes(range(15)) * 3, "consists of a few bytes repeated"),
        (b"a sentence that somebody likes, 1", "contains text"),
    ],
    ids=["zeros", "few bytes", "text"],
)
def test_weak_key_is_refused(load, tmp_path, name, key, message):
    (tmp_path / name).write_bytes(key[:32])
    with pytest.raises(InvalidSettings, match=f"{name.upper()}_KEY_FILE: .*{message}"):
        load()


def test_random_keys_are_not_taken_for_weak_ones(tmp_path):
    for _ in range(times(2000)):
        key_files.check_strength(tmp_path, os.urandom(32))


def test_vault_key_of_another_length_is_refused(load, tmp_path):
    (tmp_path / "vault").write_bytes(bytes(range(33)))
    with pytest.raises(InvalidSettings, match="VAULT_KEY_FILE: must contain exactly 32 bytes"):
        load()


def test_vault_key_equal_to_the_secret_key_is_refused(load, tmp_path):
    with pytest.raises(InvalidSettings, match="VAULT_KEY_FILE: must contain a different key"):
        load(VAULT_KEY_FILE=str(tmp_path / "secret"))


def test_several_vault_keys_are_read_in_order_and_only_the_first_must_be_strong(load, tmp_path):
    (tmp_path / "old").write_bytes(bytes(32))
    (tmp_path / "old").chmod(0o600)
    new, old = tmp_path / "vault", tmp_path / "old"
    assert load(VAULT_KEY_FILE=f"{new}:{old}").vault_keys == (new.read_bytes(), bytes(32))
    with pytest.raises(InvalidSettings, match="consists of a few bytes repeated"):
        load(VAULT_KEY_FILE=f"{old}:{new}")
    with pytest.raises(InvalidSettings, match="two of the files contain the same key"):
        load(VAULT_KEY_FILE=f"{new}:{new}")
    with pytest.raises(InvalidSettings, match="SECRET_KEY_FILE: must name one file"):
        load(SECRET_KEY_FILE=f"{tmp_path / 'secret'}:{old}")


def test_short_key_is_refused(load, tmp_path):
    """The key that signs what browsers keep (VULN-38)."""
    (tmp_path / "secret").write_bytes(b"short")
    with pytest.raises(InvalidSettings, match="at least 32"):
        load()


def test_keys_are_created_once_for_their_owner_outside_production(load, tmp_path):
    first = load(
        ENV="demo", SECRET_KEY_FILE=None, VAULT_KEY_FILE=None, BASE_URL=None, SMTP_URL=None
    )
    again = load(
        ENV="demo", SECRET_KEY_FILE=None, VAULT_KEY_FILE=None, BASE_URL=None, SMTP_URL=None
    )
    assert first.demo
    assert (first.secret_key, first.vault_keys) == (again.secret_key, again.vault_keys)
    assert first.secret_key not in first.vault_keys
    for name in ("secret.key", "vault.key"):
        assert stat.S_IMODE((tmp_path / "data" / name).stat().st_mode) == 0o600


@pytest.mark.parametrize("name", sorted(SETTING_DESCRIPTIONS))
def test_every_setting_is_read(load, name):
    """Expect a strange value to be refused or to appear in the settings."""
    try:
        found = repr(vars(load(**{name: "strange"})))
    except InvalidSettings as refused:
        found = str(refused)
    assert "strange" in found or name in found
    assert "unknown setting" not in found
