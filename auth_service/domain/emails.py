"""Mail addresses as people spell them, and what tells them apart. Nothing here asks the network.

`valid_email` before anything is kept, `email_key` of what it returns for the one column that is unique.
"""

import email_validator
from email_validator import EmailNotValidError

from auth_service.domain.errors import FieldViolation, InvalidInput
from auth_service.domain.names import folded

# Domains that no registry gives out may reach mail within a site. The library's documented way to allow them.
email_validator.SPECIAL_USE_DOMAIN_NAMES.clear()

LONGEST_EMAIL = 254
"""RFC 5321 section 4.5.3.1.3, without its angle brackets."""


def valid_email(text: str, *, field: str = "email") -> str:
    """One spelling of the address: NFC, its domain in lower case and Unicode. Raises InvalidInput.

    A domain that only this site knows is fine (`ada@mail.local`), a host without a domain is not.
    """
    # First the length: what follows takes minutes for a megabyte of combining characters.
    if len(text) > LONGEST_EMAIL:
        raise InvalidInput(FieldViolation(field, f"expected at most {LONGEST_EMAIL} characters"))
    try:
        found = email_validator.validate_email(text, check_deliverability=False, globally_deliverable=False)
    except EmailNotValidError:
        # The library's words would repeat parts of the address.
        raise InvalidInput(FieldViolation(field, "expected a mail address such as ada@example.org")) from None
    if "." not in found.domain:
        raise InvalidInput(FieldViolation(field, "expected a mail address with a whole domain, as in ada@example.org"))
    return found.normalized


def email_key(email: str) -> str:
    """What all spellings of one address have in common. `email` is as `valid_email` returned it.

    Case and width make no difference before the `@` either: mail systems where they do are rarer than people who type
    one address in two ways.
    """
    return folded(email)


def transport_spelling(email: str) -> str:
    """`email`, as `valid_email` returned it, in ASCII where it can be: mail servers know domains by their A-labels."""
    found = email_validator.validate_email(email, check_deliverability=False, globally_deliverable=False)
    return found.ascii_email or found.normalized
