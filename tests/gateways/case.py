"""What a case is: something that is tried at each gateway, and what has to come of it."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from tests.gateways.stage import Stage
from tests.support.raw_http import Reply

JWT = "Envoy, jwt_authn"
Play = Callable[[Stage], Awaitable[str]]


@dataclass(frozen=True, slots=True)
class Case:
    """`play` says what came of it. `expected` of every gateway but those that `but` names."""

    name: str
    rows: tuple[str, ...]
    play: Play
    expected: str
    but: Mapping[str, str] = field(default_factory=dict)

    def expected_of(self, gateway: str) -> str:
        return self.but.get(gateway, self.expected)


class Cases(list[Case]):
    """Those of a module, in their order; called as a decorator it takes one in."""

    def __call__(
        self, name: str, *rows: str, expected: str, but: Mapping[str, str] | None = None
    ) -> Callable[[Play], Play]:
        def kept(play: Play) -> Play:
            self.append(Case(name, rows, play, expected, but or {}))
            return play

        return kept


def identity(reply: Reply) -> dict[str, str]:
    """What reached the application, by name, of all headers that it might take for the gateway's word."""
    sent = reply.reached.get("headers", [])
    # Caddy and Traefik send those that are empty, which tells as much as none.
    return {name: value for name, value in sent if value and name.replace("_", "-").startswith("x-auth-")}


def passed(reply: Reply) -> bool:
    return reply.status == 200 and bool(reply.reached)
