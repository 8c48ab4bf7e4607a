"""The one rule for email addresses: what is accepted at a form, searched for and written to."""

from __future__ import annotations

from email_validator import EmailNotValidError, ValidatedEmail, validate_email


def normalize_email(text: str) -> str:
    """Return an address in small letters, its domain in the letters of its language (IDNA 2008).

    Raises ValueError, without quoting the text, unless mail can be sent to it.
    """
    return _validate(text.strip()).normalized.lower()


def address_for_mail(text: str) -> str:
    """Return an address as mail servers take it, with the domain in ASCII.

    Raises ValueError, without quoting the text, unless it is exactly one address that `normalize_email` accepts.
    """
    found = _validate(text).ascii_email
    if found is None:
        raise ValueError("This is not a single address.")
    return found


def _validate(text: str) -> ValidatedEmail:
    # Few servers take letters outside ASCII before the @. Names that end in .test are for trials: nobody owns one.
    try:
        return validate_email(
            text,
            allow_smtputf8=False,
            check_deliverability=False,
            strict=True,
            test_environment=True,
        )
    except EmailNotValidError:
        raise ValueError("This is not a single address.") from None
