"""`auth-service policy`: what an operator is told before a gateway asks."""

import json
from pathlib import Path

import pytest

from tests.support.command_line import Command

POLICY = {
    "levels": {"admin": 0, "user": 1000},
    "rules": [
        {"public": True, "locations": ["/assets/*"]},
        {"roles": ["staff"], "locations": ["/users/{id}"]},
        {"level": 100, "locations": ["/admin/*"]},
        {"scopes": ["experiments:read"], "locations": ["/api"]},
    ],
}


@pytest.fixture
def file(home: Path) -> str:
    path = home / "policy.json"
    path.write_text(json.dumps(POLICY))
    return str(path)


@pytest.mark.row("D3")
def test_check_says_what_is_wrong_and_where(run: Command, file: str) -> None:
    good = run("policy", "check", file)
    Path(file).write_text('{"rules": [{"public": true, "locations": ["x"]}, {}]}')
    bad, absent = run("policy", "check", file), run("policy", "check", file + ".not")

    assert (good.code, good.out, good.err) == (0, f"{file} is a policy of 4 rules\n", "")
    assert bad.code == 1
    assert "rules[0].locations[0]: expected a path that begins with /" in bad.err
    assert "rules[1]: expected one of" in bad.err
    assert (absent.code, "No such file" in absent.err) == (1, True)


def test_check_warns_of_rules_that_decide_nothing(run: Command, file: str) -> None:
    Path(file).write_text(json.dumps(POLICY | {"rules": [{"public": True, "locations": ["/*"]}, *POLICY["rules"]]}))

    said = run("policy", "check", file)

    assert said.code == 0
    assert "warning: rules[3]: /admin/* is public already, by rules[0]" in said.out


@pytest.mark.row("D3", "E12")
@pytest.mark.parametrize(
    ("who", "request_line", "status", "because"),
    [
        ((), "GET /assets/x", 200, "rules[0] lets in anybody"),
        ((), "GET /users/7", 401, "rules[1] asks for a person with the role `staff`"),
        (("--role", "user"), "GET /users/7", 403, "rules[1] asks for"),
        (("--role", "user", "--role", "staff"), "GET /users/7?all=1", 200, "rules[1] lets in"),
        (("--role", "admin"), "PUT /admin/x", 200, "rules[2] lets in a person of level 100 or stronger"),
        (("--role", "user", "--level", "100"), "PUT /admin/x", 200, "rules[2] lets in"),
        (("--level", "101"), "PUT /admin/x", 403, "rules[2] asks for"),
        (("--scope", "experiments:read"), "GET /api", 200, "rules[3] lets in a service"),
        (("--role", "admin"), "GET /nowhere", 403, "no rule is for that"),
        (("--role", "admin"), "GET /assets/../admin", 403, "the path has two readings"),
    ],
)
def test_explain_says_who_may_and_why(
    run: Command, file: str, who: tuple[str, ...], request_line: str, status: int, because: str
) -> None:
    said = run("policy", "explain", *who, *request_line.split(" "), "--file", file)
    as_json = run("policy", "explain", *who, *request_line.split(" "), "--file", file, "--json")

    assert (said.code, as_json.code) == (int(status != 200), int(status != 200))
    assert said.out.startswith(f"{'yes' if status == 200 else 'no'}, {status}\n")
    assert because in said.out
    assert json.loads(as_json.out)["status"] == status


def test_explain_takes_the_file_that_the_service_has(run: Command, file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    without = run("policy", "explain", "GET", "/")
    monkeypatch.setenv("AUTH_POLICY_FILE", file)
    with_it = run("policy", "explain", "GET", "/assets/x")

    assert (without.code, "AUTH_POLICY_FILE is not set" in without.err) == (1, True)
    assert with_it.code == 0
