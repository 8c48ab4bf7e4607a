"""`caseapp check`: the settings explained, and checks of everything that a practice relies on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import sqlalchemy as sa

from caseapp.cli import installation_checks, practice_checks
from caseapp.cli.check_result import FAULT
from caseapp.cli.context import EXIT_FAILED, CommandContext
from caseapp.core.settings import PREFIX, SETTING_DESCRIPTIONS

if TYPE_CHECKING:
    from collections.abc import Iterator


@click.command()
@click.pass_obj
def check(context: CommandContext) -> None:
    """Explain the settings, and check everything that a practice relies on."""
    lines = list(describe_settings(context))
    click.echo("Settings")
    for line in lines:
        click.echo(f"  {line}")
    with context.open():
        found = [
            (title, list(run_check()))
            for title, run_check in (
                ("Addresses", installation_checks.check_addresses),
                ("Visitors", installation_checks.check_visitors),
                ("Database", installation_checks.check_database),
                ("Audit log", installation_checks.check_log),
                ("Keys", installation_checks.check_keys),
                ("Mail", installation_checks.check_mail),
                ("Single sign-on", installation_checks.check_provider),
                ("Fonts and PDF", installation_checks.check_pdf),
                ("Handouts", practice_checks.check_handouts),
                ("Screening protocol", practice_checks.check_protocol),
                ("Help lines", practice_checks.check_help_lines),
                ("Users", practice_checks.check_users),
                ("Responsibility", practice_checks.check_responsibility),
                ("Alerts", practice_checks.check_alerts),
                ("Worker", installation_checks.check_worker),
            )
        ]
    for title, results in found:
        click.echo(f"\n{title}")
        for result in results:
            click.echo(f"  {result.level:5} {result.text}")
    if any(result.level == FAULT for _, results in found for result in results):
        raise click.exceptions.Exit(EXIT_FAILED)


def describe_settings(context: CommandContext) -> Iterator[str]:
    """Describe each setting and its value, without secrets."""
    provider = context.settings.provider
    shown = {
        "ENV": context.settings.env,
        "DATA_DIR": str(context.settings.data_dir),
        "CHECKPOINT_DIR": str(context.settings.checkpoint_dir),
        "DATABASE_URL": sa.make_url(context.settings.database_url).render_as_string(),
        "OWNER_DATABASE_URL": sa.make_url(context.settings.owner_database_url).render_as_string()
        if context.settings.owner_database_url
        else "not set",
        "BASE_URL": context.settings.base_url,
        "PORTAL_URL": context.settings.portal_base,
        "SECRET_KEY_FILE": "read",
        "VAULT_KEY_FILE": "read",
        "SMTP_URL": "set" if context.settings.smtp_url else "not set",
        "MAIL_FROM": context.settings.mail_from,
        "TRUSTED_PROXIES": str(context.settings.trusted_proxies),
        # The arguments may hold secrets.
        "SCAN_COMMAND": " ".join(context.settings.scan_command[:1]) or "not set",
        "OPENID_ISSUER": provider.issuer if provider else "not set",
        "OPENID_CLIENT_ID": provider.client_id if provider else "not set",
        "OPENID_CLIENT_SECRET_FILE": "read" if provider else "not set",
        "OPENID_NAME": provider.name if provider else "not set",
        "OPENID_FACTOR_VALUES": " ".join(sorted(provider.factor_values)) or "none"
        if provider
        else "not set",
        "LOG_FORMAT": context.settings.log_format,
        "TOKEN_REQUESTS": str(context.settings.token_requests),
    }
    for name, description in SETTING_DESCRIPTIONS.items():
        given = "" if context.environ.get(PREFIX + name, "").strip() else " (default)"
        yield f"{PREFIX}{name} = {shown[name]}{given}"
        yield f"    {description}"
