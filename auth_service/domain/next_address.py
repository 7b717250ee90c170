"""Where a browser goes after sign-in: a page of this site, or of an origin that the settings name; nowhere else."""

import re
from collections.abc import Collection
from urllib.parse import unquote, urlsplit

LONGEST = 2000
_MOST_DECODED = 2
"""How often a proxy and a program behind it may decode a path, each in its turn."""

# Printable ASCII without what some browsers take for `/` or leave out of an address.
_PLAIN = re.compile(r"[!#-;=?-\[\]_a-z~]*")


def safe_next(asked: str, *, origins: Collection[str], otherwise: str) -> str:
    """`asked` if it is a path of this site, or an address of one of `origins`; `otherwise` if it is anything else.

    In a path no two slashes follow one another, and there is no backslash, however they are written: browsers take
    `//host`, `/\\host` and `/<tab>/host` for another site, and a proxy may decode before it looks.
    """
    if not asked or len(asked) > LONGEST or not _PLAIN.fullmatch(asked):
        return otherwise
    if asked.startswith("/"):
        return asked if _is_one_path(asked) else otherwise
    try:
        parts = urlsplit(asked)
    except ValueError:
        return otherwise
    is_listed = "@" not in parts.netloc and f"{parts.scheme}://{parts.netloc}" in origins
    return asked if is_listed else otherwise


def _is_one_path(asked: str) -> bool:
    path = re.split("[?#]", asked, maxsplit=1)[0]
    for _ in range(_MOST_DECODED + 1):
        if re.search(r"//|\\|[\x00-\x1f\x7f]", path):
            return False
        path = unquote(path)
    return True
