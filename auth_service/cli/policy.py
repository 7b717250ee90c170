"""`auth-service policy …`: what a policy file says, before a gateway asks."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

from auth_client.policy import Explanation, Holder, Policy, Verdict
from auth_client.policy_file import read_policy
from auth_client.policy_json import PolicyRefused
from cyclopts import App, Parameter

from auth_service.cli.options import Json
from auth_service.cli.terminal import fail, print_json, settings_in_force

policy = App(name="policy", help="Who may do what where, for gateways.")

_STATUS = {Verdict.ADMITTED: 200, Verdict.NOT_SIGNED_IN: 401, Verdict.REFUSED: 403}

Roles = Annotated[tuple[str, ...], Parameter(name="--role", help="Of a person; may be given several times.")]
Scopes = Annotated[tuple[str, ...], Parameter(name="--scope", help="Of a service, instead of roles.")]
Level = Annotated[int | None, Parameter(name="--level", help="Instead of what the roles are worth.")]
Checked = Annotated[Path, Parameter(help="The policy, in JSON.")]
Method = Annotated[str, Parameter(help="Such as GET.")]
Target = Annotated[str, Parameter(help="A location, such as /things/7.")]
PolicyFile = Annotated[Path | None, Parameter(name="--file", help="Instead of AUTH_POLICY_FILE.")]


@policy.command
def check(file: Checked) -> None:
    """Say what is wrong with a policy file, place by place; and what is probably not meant."""
    found = _read(file)
    for warning in found.warnings():
        print(f"warning: {warning}")
    print(f"{file} is a policy of {len(found.rules)} {'rule' if len(found.rules) == 1 else 'rules'}")


@policy.command
def explain(
    method: Method,
    target: Target,
    *,
    role: Roles = (),
    scope: Scopes = (),
    level: Level = None,
    file: PolicyFile = None,
    as_json: Json = False,
) -> None:
    """Say whether somebody may, and by which rule; nobody is known without --role, --scope or --level.

    Ends with 0 if they may, with 1 if not.
    """
    found = _read(file or _configured())
    holder = _holder(found, role, scope, level)
    why = found.explain(method, target, holder)
    told = {
        "may": why.verdict is Verdict.ADMITTED,
        "status": _STATUS[why.verdict],
        "because": _because(why),
        "level": holder.level if holder else None,
    }
    if as_json:
        print_json(told)
    else:
        print(
            "\n".join([f"{'yes' if told['may'] else 'no'}, {told['status']}", *(f"  {each}" for each in _because(why))])
        )
    if not told["may"]:
        raise SystemExit(1)


def _read(file: Path) -> Policy:
    try:
        return read_policy(file)
    except PolicyRefused as error:
        fail(f"{file} is no policy:\n" + "\n".join(f"  {problem}" for problem in error.problems))
    except OSError as error:
        fail(f"{file} cannot be read: {error.strerror}")


def _configured() -> Path:
    file = settings_in_force(warns=False, makes_home=False).policy_file
    if file is None:
        fail("expected --file, because AUTH_POLICY_FILE is not set")
    return file


def _holder(found: Policy, roles: tuple[str, ...], scopes: tuple[str, ...], level: int | None) -> Holder | None:
    if roles and scopes:
        fail("expected --role or --scope: people have roles, services have scopes")
    if not roles and not scopes and level is None:
        return None
    holder = Holder(not scopes, frozenset(roles), frozenset(scopes), found.level_of(roles))
    return holder if level is None else replace(holder, level=level)


def _because(why: Explanation) -> list[str]:
    if why.problem:
        return [f"the path has two readings: {why.problem}"]
    if not why.rules:
        return ["no rule is for that method there, and what no rule allows is refused"]
    if why.admitting:
        return [f"rules[{rule.number}] lets in {rule.expectation}" for rule in why.admitting]
    return [f"rules[{rule.number}] asks for {rule.expectation}" for rule in why.rules]
