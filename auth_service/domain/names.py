"""Names as people spell them, and what tells them apart.

Two spellings with one key are one name: nobody can register the second, and guessing at either counts for both. Names
that the facility tells are taken as they are; `new_username` is for those that somebody chooses here.
"""

import re
import unicodedata

from auth_service.domain.errors import FieldViolation, InvalidInput
from auth_service.domain.lookalikes import LATIN_FOR
from auth_service.domain.people import normalised_username, valid_display_name

# Default_Ignorable_Code_Point beside the format characters: fillers, joiners, variation selectors; and empty Braille.
_FILLERS = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0000-\U000e0fff]"
)
_NEVER_SEEN = frozenset({"Cf", "Zl", "Zp"})
_NO_CHARACTERS = frozenset({"Cn", "Co"})

# Embeddings, overrides and isolates: behind one, whatever follows may be shown backwards (UAX #9 section 2).
_TURNS_TEXT_AROUND = frozenset({"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"})

# Who writes these writes them together, and beside Latin letters.
_EAST_ASIAN = frozenset({"CJK", "IDEOGRAPHIC", "HIRAGANA", "KATAKANA", "HANGUL", "BOPOMOFO"})

RESERVED = frozenset(
    (  # noqa: SIM905 -- a list would be a screen of quotes
        "abuse account accounts admin administrator admins all anonymous api auth authentication bot daemon"
        " everybody everyone guest help helpdesk hostmaster identity info login logout mail mailer-daemon me"
        " moderator no-reply nobody noreply null official operator owner password postmaster register registration"
        " root security self service signin signup staff sudo superuser support sysadmin system team undefined"
        " user users webmaster"
    ).split(" ")
)
"""Names that make others believe that their bearer speaks for the service (RFC 2142, and what systems call theirs)."""


def folded(text: str) -> str:
    """`text` without what makes no difference: width, case, spaces around it, characters that do not show."""
    visible = "".join(character for character in text if _is_seen(character))
    return " ".join(unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", visible).casefold()).split())


def name_key(text: str) -> str:
    """What all spellings of a name have in common: as `folded`, and letters that look Latin are."""
    letters = unicodedata.normalize("NFKD", folded(text)).translate(LATIN_FOR)
    return unicodedata.normalize("NFKC", letters)


def new_username(text: str, *, field: str = "username") -> str:
    """NFC of a name that somebody chooses, which looks like what it is. Raises InvalidInput."""
    name = normalised_username(text, field=field)
    if any(not _is_seen(character) or unicodedata.category(character) in _NO_CHARACTERS for character in name):
        raise InvalidInput(FieldViolation(field, "expected characters that are seen"))
    if " ".join(name.split()) != name:
        raise InvalidInput(FieldViolation(field, "expected single spaces, and none at either end"))
    if not _is_of_one_script(name):
        raise InvalidInput(FieldViolation(field, "expected letters of one script"))
    return name


def new_display_name(text: str) -> str:
    """NFC of what somebody chooses to be shown as: it is seen, and leaves what stands around it as it is.

    Raises InvalidInput.
    """
    name = valid_display_name(text)
    if not folded(name) or any(unicodedata.bidirectional(character) in _TURNS_TEXT_AROUND for character in name):
        raise InvalidInput(FieldViolation("display_name", "expected characters that are seen as they are written"))
    return name


def check_not_reserved(name: str, *, field: str = "username") -> None:
    """For everybody but an operator at the command line. Raises InvalidInput."""
    if name_key(name) in _RESERVED_KEYS:
        raise InvalidInput(FieldViolation(field, "expected another name: this one is reserved"))


def _is_seen(character: str) -> bool:
    return unicodedata.category(character) not in _NEVER_SEEN and not _FILLERS.match(character)


def _is_of_one_script(name: str) -> bool:
    """Whether somebody would write all of these letters together (UTS #39 section 5.2, "highly restrictive")."""
    letters = (character for character in unicodedata.normalize("NFKC", name) if character.isalpha())
    # The standard library knows scripts only by how Unicode's names of the letters begin.
    scripts = {re.split("[ -]", unicodedata.name(letter, ""), maxsplit=1)[0] for letter in letters}
    return len(scripts) <= 1 or scripts - {"LATIN"} <= _EAST_ASIAN


_RESERVED_KEYS = frozenset(name_key(name) for name in RESERVED)
