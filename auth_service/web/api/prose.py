"""Comments of the protos, cut into pieces: what is code, what leads somewhere, and what is just said."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from auth_service.web.api.contract import Contract, short_name

_WORD = re.compile(r"`(?P<code>[^`]+)`|(?P<reason>\b[A-Z][A-Z_]{3,}\b)|(?P<name>\b[A-Z][A-Za-z]+(?:\.[a-z_]+)?\b)")
REASONS = "auth_api.v1.ErrorReason"
REASON_PREFIX = "ERROR_REASON_"


@dataclass(frozen=True, slots=True)
class Piece:
    """`leads_to` is an anchor of the page, or empty."""

    text: str
    is_code: bool = False
    leads_to: str = ""


class Prose:
    """Knows what the page has an anchor for: methods, fields of messages, and reasons of refusals."""

    def __init__(self, contract: Contract) -> None:
        self._names: Mapping[str, str] = {
            **{
                f"{message.name}.{field.name}": short_name(name)
                for name, message in contract.messages.items()
                for field in message.fields
            },
            **{each.name: f"{service.name}.{each.name}" for service in contract.services for each in service.methods},
        }
        self._reasons = {each.name.removeprefix(REASON_PREFIX) for each in contract.enums[REASONS].values}

    def paragraphs(self, comment: str) -> Sequence[Sequence[Piece]]:
        """Lines of a comment are wrapped where its file is; only an empty one begins a paragraph."""
        return [list(self._pieces(" ".join(each.split()))) for each in comment.split("\n\n") if each.strip()]

    def _pieces(self, text: str) -> Iterator[Piece]:
        said = 0
        for match in _WORD.finditer(text):
            piece = self._piece(match)
            if piece is None:
                continue
            if match.start() > said:
                yield Piece(text[said : match.start()])
            yield piece
            said = match.end()
        if said < len(text):
            yield Piece(text[said:])

    def _piece(self, match: re.Match[str]) -> Piece | None:
        word = match[0]
        if match["code"]:
            return Piece(match["code"], is_code=True, leads_to=self._names.get(match["code"], ""))
        if match["reason"]:
            return Piece(word, is_code=True, leads_to=f"reason-{word}") if word in self._reasons else None
        return Piece(word, leads_to=self._names[word]) if word in self._names else None
