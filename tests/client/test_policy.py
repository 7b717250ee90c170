"""policy.json: what it lets in where, how paths are read before they are matched, and what is no policy."""

import json
import sys
from typing import Any

import pytest
from auth_client.policy import NOTHING_ALLOWED, Holder, Policy, Verdict
from auth_client.policy_json import LARGEST, PolicyRefused, policy_of

LEVELS = {"admin": 0, "manager": 100, "staff": 500, "user": 1000}
RULES: list[dict[str, Any]] = [
    {"public": True, "methods": ["GET"], "locations": ["/", "/assets/*"]},
    {"signed_in": True, "locations": ["/me", "/dateien/größe"]},
    {"roles": ["staff"], "methods": ["GET", "POST"], "locations": ["/users/{id}", "/users/{id}/notes/*"]},
    {"level": 100, "locations": ["/admin/*"]},
    {"scopes": ["experiments:read"], "locations": ["/api/experiments"]},
]


def policy(rules: object = RULES, levels: object = LEVELS) -> Policy:
    return policy_of(json.dumps({"levels": levels, "rules": rules}).encode())


def person(*roles: str) -> Holder:
    return Holder(is_person=True, roles=frozenset(roles), level=policy().level_of(roles))


USER, STAFF, MANAGER, ADMIN = person("user"), person("staff"), person("manager", "user"), person("admin", "user")
SERVICE = Holder(is_person=False, scopes=frozenset({"experiments:read"}))
EVERYBODY = [None, USER, STAFF, MANAGER, ADMIN, SERVICE]


def may(holder: Holder | None, request: str) -> bool:
    method, target = request.split(" ", 1)
    return policy().verdict(method, target, holder) is Verdict.ADMITTED


@pytest.mark.row("D3", "E12")
@pytest.mark.parametrize(
    ("request_line", "admitted"),
    [
        ("GET /", EVERYBODY),
        ("HEAD /", EVERYBODY),
        ("POST /", []),
        ("GET /assets/a/b.css?v=1", EVERYBODY),
        ("GET /assets", EVERYBODY),
        ("GET /assetsx", []),
        ("GET /me", [USER, STAFF, MANAGER, ADMIN]),
        ("PROPFIND /me", [USER, STAFF, MANAGER, ADMIN]),
        ("GET /users/7", [STAFF]),
        ("POST /users/7/notes/1/2", [STAFF]),
        ("DELETE /users/7", []),
        ("GET /users", []),
        ("GET /users/7/8", []),
        ("GET /admin/keys", [MANAGER, ADMIN]),
        ("DELETE /admin", [MANAGER, ADMIN]),
        ("GET /api/experiments", [SERVICE]),
        ("GET /nowhere", []),
    ],
)
def test_whom_a_rule_names_is_let_in_and_nobody_else(request_line: str, admitted: list[Holder | None]) -> None:
    assert [holder for holder in EVERYBODY if may(holder, request_line)] == admitted


def test_nobody_known_is_asked_who_they_are_and_somebody_known_is_refused() -> None:
    assert policy().verdict("GET", "/me", None) is Verdict.NOT_SIGNED_IN
    assert policy().verdict("GET", "/a//b", None) is Verdict.NOT_SIGNED_IN
    assert policy().verdict("GET", "/admin/x", USER) is Verdict.REFUSED
    assert NOTHING_ALLOWED.verdict("GET", "/", ADMIN) is Verdict.REFUSED


@pytest.mark.row("D3", "S67")
@pytest.mark.parametrize(
    "target",
    [
        *("//assets/x", "/assets//x", "/assets/x//", "/%2fassets", "/assets%2fx", "/assets%2Fx", "/assets%5cx"),
        *("/./assets/x", "/assets/./x", "/assets/../admin", "/assets/..", "/assets/x/..", "/assets/.", "/.."),
        *("/assets/%2e%2e/admin", "/assets/%2e", "/assets/.%2E/admin", "/assets/%252e%252e/admin", "/assets/%25%32%65"),
        *("/assets;x/y", "/assets/..;/admin", "/assets/x;jsessionid=1", "/assets/%3b", "/assets\\x", "/assets/..\\x"),
        *("/assets/%c0%ae%c0%ae/x", "/assets/%c0%af", "/assets/%e0%80%af", "/assets/%ff", "/assets/%ed%a0%80"),
        *("/assets/%00", "/assets/%0d%0aX:1", "/assets/%7f", "/assets/%c2%85", "/assets/%e2%80%ae", "/assets/%"),
        *("/assets/%2", "/assets/%zz", "/assets/%u002e", "/assets/x#y", "/assets/%23", "/assets/%3f", "/assets/ x"),
        *("/assets/größe", "/assets/\x00", "/assets/x\n", "/assets/\t", '/assets/"', "/assets/<x>", "/assets/\udcff"),
        *("", "assets/x", "*", "http://a.example/assets/x", "a.example:443", "?/assets/x", "/assets/" + "x" * 9000),
    ],
)
def test_a_path_with_two_readings_is_nobodys(target: str) -> None:
    everywhere = policy([{"public": True, "locations": ["/*", "/assets/*"]}])

    why = everywhere.explain("GET", target, ADMIN)

    assert why.verdict is Verdict.REFUSED
    assert why.problem
    assert target not in why.problem or not target


@pytest.mark.row("D3")
@pytest.mark.parametrize(
    ("target", "same_as"),
    [
        ("/me/", "/me"),
        ("/%6de", "/me"),
        ("/me?next=/../admin//%2e%2e;x", "/me"),
        ("/dateien/gr%C3%B6%C3%9Fe", "/me"),
        ("/assets/100%25", "/"),
        ("/assets/a%20b", "/"),
        ("/assets/...", "/"),
        ("/assets/.well-known/x", "/"),
    ],
)
def test_what_everybody_reads_alike_is_decoded_once_and_matched(target: str, same_as: str) -> None:
    for holder in EVERYBODY:
        assert may(holder, f"GET {target}") is may(holder, f"GET {same_as}")


@pytest.mark.row("D3")
def test_upper_and_lower_case_differ_in_paths_and_methods() -> None:
    assert not may(ADMIN, "GET /ME")
    assert not may(ADMIN, "GET /Admin/keys")
    assert not may(STAFF, "get /users/7")


def test_connect_is_refused_everywhere() -> None:
    everywhere = policy([{"public": True, "locations": ["/*"]}])

    assert everywhere.verdict("TRACE", "/x", None) is Verdict.ADMITTED
    assert everywhere.verdict("CONNECT", "/x", ADMIN) is Verdict.REFUSED
    assert everywhere.verdict("CONNECT", "a.example:443", None) is Verdict.NOT_SIGNED_IN


@pytest.mark.row("E12")
def test_a_level_is_that_of_the_strongest_role_and_unknown_roles_have_none() -> None:
    asks = policy([{"level": 1000, "locations": ["/x"]}], levels={"staff": 500})

    assert asks.level_of(("user", "staff")) == 500
    assert asks.verdict("GET", "/x", person("staff")) is Verdict.ADMITTED
    assert asks.verdict("GET", "/x", Holder(is_person=True, roles=frozenset({"other"}))) is Verdict.REFUSED
    assert asks.verdict("GET", "/x", SERVICE) is Verdict.REFUSED


@pytest.mark.row("D3")
def test_two_thousand_rules_cost_what_twenty_cost() -> None:
    def steps(rules: int) -> int:
        """Python calls of one verdict, among so many rules of every kind."""
        of_every_kind = [
            {"roles": ["staff"], "locations": [f"/a{n}/exact", f"/a{n}/b/*", f"/a{n}/{{id}}/c"]} for n in range(rules)
        ]
        asked, calls = policy(of_every_kind), 0

        def count(_frame: object, event: str, _argument: object) -> None:
            nonlocal calls
            calls += event == "call"

        sys.setprofile(count)
        try:
            assert asked.verdict("GET", "/a7/seven/c", STAFF) is Verdict.ADMITTED
            assert asked.verdict("GET", "/a7/nowhere", STAFF) is Verdict.REFUSED
        finally:
            sys.setprofile(None)
        return calls

    assert steps(2000) == steps(20)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "the file: expected a JSON object"),
        ("[]", "the file: expected a JSON object"),
        ('{"rules": [], "rules": []}', "the file: expected a JSON object"),
        ("{}", "rules: expected a list"),
        ('{"rules": {}}', "rules: expected a list"),
        ('{"rules": [], "roles": {}}', "the file: expected levels, rules only, got 'roles'"),
        ('{"rules": [], "levels": []}', "levels: expected an object"),
        ('{"rules": [], "levels": {"admin": -1}}', "levels.admin: expected 0 to 1000"),
        ('{"rules": [], "levels": {"admin": true}}', "levels.admin: expected 0 to 1000"),
        ('{"rules": [7]}', "rules[0]: expected one of public, signed_in"),
        ('{"rules": [{"locations": ["/"]}]}', "rules[0]: expected one of public, signed_in"),
        ('{"rules": [{"public": true}]}', "rules[0].locations: expected a list of paths"),
        ('{"rules": [{"public": false, "locations": ["/"]}]}', "rules[0].public: expected true, or nothing"),
        ('{"rules": [{"public": 1, "locations": ["/"]}]}', "rules[0].public: expected true, or nothing"),
        ('{"rules": [{"roles": [], "locations": ["/"]}]}', "rules[0].roles: expected a list of one word"),
        ('{"rules": [{"roles": "staff", "locations": ["/"]}]}', "rules[0].roles: expected a list of one word"),
        ('{"rules": [{"role": "staff", "locations": ["/"]}]}', "got 'role'"),
        ('{"rules": [{"level": 100, "locations": ["/"]}]}', "rules[0].level: expected `levels`"),
        ('{"rules": [{"level": "1", "locations": ["/"]}]}', "rules[0].level: expected 0 to 1000"),
        ('{"rules": [{"public": true, "methods": ["get"], "locations": ["/"]}]}', "rules[0].methods: expected GET"),
        ('{"rules": [{"public": true, "methods": ["CONNECT"], "locations": ["/"]}]}', "rules[0].methods: expected"),
        *(
            (f'{{"rules": [{{"public": true, "locations": ["/ok", {json.dumps(path)}]}}]}}', "rules[0].locations[1]:")
            for path in ("x", "/a//b", "/a/../b", "/*/b", "/a*", "/{", "/{A}", "/a{id}", "/%61", "/a;b", "/a?b", "/a#b")
        ),
    ],
)
def test_what_is_no_policy_is_refused_by_place(text: str, problem: str) -> None:
    with pytest.raises(PolicyRefused) as refused:
        policy_of(text.encode())

    assert any(problem in each for each in refused.value.problems)


def test_bytes_that_are_no_policy_are_refused_whatever_they_are() -> None:
    for text in (b"\xff", b"\xef\xbb\xbf{}", b"[" * 100_000, b"{" + b" " * LARGEST, json.dumps({}).encode("utf-16")):
        with pytest.raises(PolicyRefused):
            policy_of(text)


def test_a_rule_that_asks_where_anybody_is_let_in_is_warned_of() -> None:
    asked = policy([{"public": True, "methods": ["GET"], "locations": ["/*"]}, *RULES[1:]])

    assert asked.warnings()[0] == "rules[1]: /me is public already, by rules[0]"
    assert policy().warnings() == ()
    assert policy([{"public": True, "methods": ["GET"], "locations": ["/*"]}, POSTS]).warnings() == ()


POSTS = {"signed_in": True, "methods": ["POST"], "locations": ["/me"]}
