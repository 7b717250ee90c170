"""The methods of the contract, as this door calls them. `app` hands them in: nothing of gRPC is known here."""

from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, Protocol

Metadata = Sequence[tuple[str, str]]


class Detail(Protocol):
    """One of the details of a refusal: its type's full name, its bytes, and what they say."""

    @property
    def type(self) -> str: ...
    @property
    def value(self) -> bytes: ...
    @property
    def says(self) -> Mapping[str, Any]: ...


class Answer(Protocol):
    """What a method answered. `code` is `ok`, or why there is no response, such as `unavailable`.

    `response` has the fields of the method's response; `reason` is one of the contract's, empty for a response.
    """

    @property
    def code(self) -> str: ...
    @property
    def response(self) -> Any: ...
    @property
    def message(self) -> str: ...
    @property
    def reason(self) -> str: ...
    @property
    def details(self) -> Sequence[Detail]: ...
    @property
    def trailers(self) -> Metadata: ...
    def encoded(self, *, is_json: bool) -> bytes: ...


class Methods(Protocol):
    """Those that answer once, by their full names. Metadata are spelt as in gRPC; `timeout` is in seconds."""

    def __contains__(self, method: str) -> bool: ...
    @property
    def services(self) -> Sequence[str]: ...

    def call(
        self, method: str, body: bytes, *, is_json: bool, metadata: Metadata, peer: str, timeout: float | None
    ) -> Awaitable[Answer]: ...

    def ask(self, method: str, fields: Mapping[str, Any], *, metadata: Metadata, peer: str) -> Awaitable[Answer]: ...


def retry_after(details: Sequence[Detail]) -> dict[str, str]:
    """The header that says when to come again, in whole seconds; none where a refusal does not say."""
    for each in details:
        if "retryDelay" in each.says:
            return {"Retry-After": str(max(1, round(float(each.says["retryDelay"].removesuffix("s")))))}
    return {}
