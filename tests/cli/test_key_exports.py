"""`auth-service keys export`: each format is read by what reads it, and verifies a token that the service signed."""

import asyncio
import json
import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
import yaml
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from auth_service import app
from auth_service import settings as settings_module
from auth_service.domain import tokens
from auth_service.domain.audit import OPERATOR
from tests.support.command_line import Command, Said

ISSUER = "https://auth.facility.example/sign-in"
FORMATS = ("jwks", "pem", "k8s-configmap", "nginx", "kong")


@pytest.fixture
def token(run: Command, monkeypatch: pytest.MonkeyPatch) -> str:
    """Of a service whose ring holds a retiring, an active and a standby key."""
    monkeypatch.setenv("AUTH_ISSUER", ISSUER)

    async def signed() -> str:
        async with app.core(settings_module.load()[0]) as core:
            await core.keys.tick()
            await core.keys.rotate(origin=OPERATOR)
            signer = core.keys.signer()
            return tokens.mint({"sub": "ada", "iss": ISSUER}, kid=signer.kid, private_key=signer.private_key)

    return asyncio.run(signed())


def read(key: Any, token: str) -> dict[str, Any]:
    claims: dict[str, Any] = jwt.decode(token, key, algorithms=["RS256"])
    return claims


def kid_of(token: str) -> str:
    return str(jwt.get_unverified_header(token)["kid"])


def test_jwks_is_the_document_that_the_service_serves(run: Command, token: str) -> None:
    async def served() -> str:
        async with app.core(settings_module.load()[0]) as core:
            await core.keys.read()
            return core.keys.published().document.decode()

    said = run("keys", "export", "--format", "jwks")

    assert said.out == asyncio.run(served())
    assert read(jwt.PyJWKSet.from_json(said.out)[kid_of(token)].key, token)["sub"] == "ada"


def test_the_first_key_in_pem_is_the_one_that_signs(run: Command, token: str) -> None:
    said = run("keys", "export", "--format", "pem")

    blocks = re.findall(r"# kid (\S+), (\w+), (.*)\n(-----BEGIN PUBLIC KEY-----[^#]+)", said.out)
    assert [(state, until.split(" until")[0]) for _, state, until, _ in blocks] == [
        ("active", "signs now"),
        ("standby", "signs next"),
        ("retiring", "verifies"),
    ]
    assert blocks[0][0] == kid_of(token)
    # As a reader does that takes one key of the whole file.
    assert read(load_pem_public_key(said.out.encode()), token)["sub"] == "ada"
    with pytest.raises(jwt.InvalidSignatureError):
        read(load_pem_public_key(blocks[1][3].encode()), token)


def test_the_config_map_holds_the_key_set(run: Command, token: str) -> None:
    said = run("keys", "export", "--format", "k8s-configmap", "--name", "trusted", "--namespace", "web")

    manifest = yaml.safe_load(said.out)
    assert (manifest["apiVersion"], manifest["kind"]) == ("v1", "ConfigMap")
    assert (manifest["metadata"]["name"], manifest["metadata"]["namespace"]) == ("trusted", "web")
    assert manifest["metadata"]["annotations"]["auth-service/ring-version"] == "2"
    assert manifest["data"]["jwks.json"] == run("keys", "export", "--format", "jwks").out
    assert "namespace" not in yaml.safe_load(run("keys", "export", "--format", "k8s-configmap").out)["metadata"]


def test_kong_finds_a_credential_by_the_kid(run: Command, token: str) -> None:
    said = run("keys", "export", "--format", "kong", "--name", "facility")

    declared = yaml.safe_load(said.out)
    assert declared["_format_version"] == "3.0"
    (consumer,) = declared["consumers"]
    assert consumer["username"] == "facility"
    credentials = {each["key"]: each for each in consumer["jwt_secrets"]}
    assert len(credentials) == 3
    assert {each["algorithm"] for each in credentials.values()} == {"RS256"}
    assert read(load_pem_public_key(credentials[kid_of(token)]["rsa_public_key"].encode()), token)["sub"] == "ada"
    assert "key_claim_name: kid" in said.out


def test_nginx_is_told_the_key_set_and_the_claims(run: Command, token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    said = run("keys", "export", "--format", "nginx")

    maps = nginx_maps(said.out)
    document = re.sub(
        r"\$\{(\w+)\}", lambda found: maps[f"${found[1]}"]["default"], maps["$auth_service_keys"]["default"]
    )
    assert document == run("keys", "export", "--format", "jwks").out
    assert matches(maps["$auth_service_issuer"], ISSUER)
    assert not matches(maps["$auth_service_issuer"], ISSUER.upper())
    assert not matches(maps["$auth_service_issuer"], ISSUER.replace(".", "x"))
    assert matches(maps["$auth_service_audience"], "another,auth-service")
    assert not matches(maps["$auth_service_audience"], "another-auth-service")
    assert matches(maps["$auth_service_typ"], "AT+JWT")
    assert not matches(maps["$auth_service_typ"], "JWT")
    assert "NGINX Plus" in said.out
    monkeypatch.setenv("AUTH_AUDIENCE", "none")
    assert "$auth_service_audience" not in nginx_maps(run("keys", "export", "--format", "nginx").out)


def nginx_maps(conf: str) -> dict[str, dict[str, str]]:
    """Target and cases of each `map`, as nginx 1.22 was seen to read them: `\\\\` in quotes is one backslash."""
    code = "".join(line for line in conf.splitlines(keepends=True) if not line.startswith("#"))
    words = re.findall(r"'((?:[^'\\]|\\.)*)'|([{};]|[^\s{};']+)", code)
    read = [quoted.replace("\\\\", "\\") or bare for quoted, bare in words]
    assert all(len(word) < 4096 for word in read), "longer than a parameter of nginx's may be"
    maps: dict[str, dict[str, str]] = {}
    while read:
        keyword, _, target, opened, *read = read
        assert (keyword, opened) == ("map", "{")
        cases = maps.setdefault(target, {})
        while read[0] != "}":
            case, value, end, *read = read
            assert end == ";"
            cases[case] = value
        read = read[1:]
    return maps


def matches(cases: dict[str, str], value: str) -> bool:
    """Whether the one case besides the default is of `value`."""
    assert cases["default"] == "0"
    (case,) = (case for case in cases if case != "default")
    pattern, flags = (case[2:], re.IGNORECASE) if case.startswith("~*") else (case[1:], re.NOFLAG)
    return re.search(pattern, value, flags) is not None


@pytest.mark.row("S20")
@pytest.mark.parametrize("form", FORMATS)
def test_a_copy_says_until_when_it_is_good_and_holds_no_private_half(run: Command, token: str, form: str) -> None:
    said = run("keys", "export", "--format", form)

    told = re.search(r"between (\S+), when .* and (\S+), when", said.err)
    assert told is not None
    renew_from, renew_by = (datetime.fromisoformat(each) for each in told.groups())
    assert renew_by - renew_from >= timedelta(days=30)
    if form != "jwks":
        assert all(moment in said.out for moment in told.groups())
    assert "PRIVATE" not in said.out
    assert not re.search(r'"(d|p|q|dp|dq|qi)"', said.out)


def test_a_file_is_replaced_as_a_whole(run: Command, token: str, home: Path) -> None:
    path = home / "keys.json"
    path.write_text("what was there before")

    said = run("keys", "export", "--format", "jwks", "--output", str(path))

    assert (said.code, said.out) == (0, "")
    assert len(json.loads(path.read_text())["keys"]) == 3
    assert path.stat().st_mode & 0o777 == 0o644
    assert [each.name for each in home.iterdir() if each.name.startswith(".")] == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--output", "{home}/nowhere/keys"), "--output: cannot write "),
        (("--output", "{home}/data"), "--output: cannot write "),
        (("--name", "Upper"), "--name: expected up to 63 of a-z 0-9 -"),
        (("--namespace", "a\nb: c"), "--namespace: expected up to 63 of a-z 0-9 -"),
    ],
)
def test_what_cannot_be_exported_is_one_line(
    run: Command, token: str, home: Path, arguments: tuple[str, ...], said: str
) -> None:
    refused: Said = run("keys", "export", "--format", "pem", *(each.format(home=home) for each in arguments))

    assert (refused.code, refused.out) == (1, "")
    assert refused.err.startswith(f"auth-service: {said}")
    assert refused.err.count("\n") == 1
    assert [each.name for each in home.iterdir()] == ["data"]


def test_without_a_ring_there_is_nothing_to_export(run: Command) -> None:
    said = run("keys", "export", "--format", "jwks")

    assert (said.code, said.out) == (1, "")
    assert "there are no keys yet" in said.err
