"""Who the stand-in facility knows."""

from dataclasses import dataclass

SCIENTIST = "ISIS Instrument Scientist"


@dataclass(frozen=True, slots=True)
class Member:
    """Somebody with an account. `writes_number_as_text`: UOWS sends the user numbers of some people as strings."""

    name: str
    password: str
    number: int
    display_name: str
    roles: tuple[str, ...] = ()
    experiments: tuple[str, ...] = ()
    writes_number_as_text: bool = False


def newcomers() -> tuple[Member, ...]:
    """The people of the README's walk-through. Their passwords are `<name>-password`."""
    return (
        _member("user1001", 1001, experiments=("2200081", "2200082", "2200083")),
        _member("staff1002", 1002, roles=(SCIENTIST,), experiments=("9723", "1620354"), writes_number_as_text=True),
        _member("user1003", 1003),
    )


def _member(
    name: str,
    number: int,
    *,
    roles: tuple[str, ...] = (),
    experiments: tuple[str, ...] = (),
    writes_number_as_text: bool = False,
) -> Member:
    return Member(
        name=name,
        password=f"{name}-password",
        number=number,
        display_name=name,
        roles=roles,
        experiments=experiments,
        writes_number_as_text=writes_number_as_text,
    )
