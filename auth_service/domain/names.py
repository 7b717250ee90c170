"""Names as people spell them, and what tells them apart.

Two spellings with one key are one name: nobody can register the second, and guessing at either counts for both.
"""

import unicodedata


def name_key(text: str) -> str:
    """What all spellings of a name have in common: width, case and characters that do not show make no difference."""
    visible = "".join(character for character in text if unicodedata.category(character) != "Cf")
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", visible).casefold())
