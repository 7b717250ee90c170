"""What the settings of mail must not be together."""

import os
import re

from auth_service.settings.model import Settings

_SENDER = re.compile(r"(?:[^<>@\r\n]+ <)?[^<>@\s]+@[^<>@\s]+>?")


def problems_with_mail(settings: Settings) -> list[str]:
    """Lines of `VARIABLE: what was expected`."""
    problems = []
    if settings.smtp_tls not in ("starttls", "tls", "none"):
        problems.append(f"AUTH_SMTP_TLS: expected starttls, tls or none, got {settings.smtp_tls!r}")
    if settings.smtp_address and not settings.mail_from:
        problems.append("AUTH_MAIL_FROM: expected, because AUTH_SMTP_ADDRESS is set")
    if settings.mail_from is not None and not _SENDER.fullmatch(settings.mail_from):
        problems.append("AUTH_MAIL_FROM: expected auth@example.org, or: Facility sign-in <auth@example.org>")
    if bool(settings.smtp_username) != bool(settings.smtp_password):
        problems.append("AUTH_SMTP_PASSWORD: expected together with AUTH_SMTP_USERNAME")
    if settings.smtp_username and settings.smtp_tls == "none":
        problems.append("AUTH_SMTP_TLS: expected starttls or tls, because AUTH_SMTP_PASSWORD travels there")
    if settings.smtp_ca_file is not None and not os.access(settings.smtp_ca_file, os.R_OK):
        problems.append(f"AUTH_SMTP_CA_FILE: cannot read {settings.smtp_ca_file}")
    if settings.mail_link_base is not None and re.search(r"[?#]", settings.mail_link_base):
        problems.append("AUTH_MAIL_LINK_BASE: expected neither ? nor #: a path and the token follow")
    if settings.require_verified_email and not settings.is_embedded and settings.smtp_address is None:
        problems.append("AUTH_SMTP_ADDRESS: expected, because AUTH_REQUIRE_VERIFIED_EMAIL is set")
    return problems


def unsafe_mail(settings: Settings) -> list[str]:
    """What the production profile does not start with."""
    problems = []
    if settings.smtp_address and not settings.smtp_address.is_loopback and settings.smtp_tls == "none":
        problems.append("AUTH_SMTP_TLS: expected starttls or tls, mails bring tokens that set passwords")
    if settings.mail_link_base and not settings.mail_link_base.startswith("https://"):
        problems.append("AUTH_MAIL_LINK_BASE: expected https://, the token is in the link")
    return problems


def warnings_about_mail(settings: Settings) -> list[str]:
    warnings = []
    if settings.smtp_address is None and not settings.is_embedded and "local" in settings.provider_order:
        warnings.append(
            "AUTH_SMTP_ADDRESS is not set: nobody gets mail, neither to verify an address nor to reset a password"
        )
    return warnings
