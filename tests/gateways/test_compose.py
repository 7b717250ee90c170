"""deploy/compose.yaml: what can be told without a container engine, and its settings, secrets and broker for real."""

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import yaml

from tests.gateways.stage import cookie
from tests.support import rabbitmq
from tests.support.conditions import eventually
from tests.support.gateways import APP, AUTH_GRPC, AUTH_HTTP, DEPLOY, RECIPES, exchanged, gateway, why_not
from tests.support.leash import spawn
from tests.support.ports import free_port
from tests.support.postgres import Postgres
from tests.support.processes import ServiceProcess
from tests.support.rabbitmq import RabbitMqServer
from tests.support.raw_http import send

pytestmark = pytest.mark.row("D8", "E18/compose")
PASSWORD = "a pony eats seven clever plums"
Compose = dict[str, Any]


@pytest.fixture(scope="module")
def compose() -> Compose:
    document: Compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    return document


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What make-secrets makes, in a copy of deploy/."""
    home = tmp_path_factory.mktemp("deploy")
    shutil.copy(DEPLOY / "make-secrets", home)
    subprocess.run([home / "make-secrets"], check=True, capture_output=True)
    return home / "secrets"


def services(compose: Compose) -> Iterator[tuple[str, dict[str, Any]]]:
    yield from compose["services"].items()


def test_it_has_the_database_the_broker_and_both_gateways(compose: Compose) -> None:
    expected = {"postgres", "rabbitmq", "migrate", "auth-service", "app", "nginx", "envoy", "envoy-jwt"}

    assert compose["services"].keys() == expected
    mounted = {name: [each.split(":")[0] for each in service.get("volumes", ())] for name, service in services(compose)}
    assert "./nginx/nginx.conf" in mounted["nginx"]
    assert mounted["envoy"] + mounted["envoy-jwt"] == ["./envoy/ext_authz.yaml", "./envoy/jwt_authn.yaml"]
    for source in (each for sources in mounted.values() for each in sources if each.startswith(".")):
        assert (DEPLOY / source).is_file(), source


def test_nobody_is_root_and_nobody_can_become_it(compose: Compose) -> None:
    for name, service in services(compose):
        assert service["user"].split(":")[0] not in ("", "0", "root"), name
        assert (service["cap_drop"], service["read_only"]) == (["ALL"], True), name
        assert "no-new-privileges:true" in service["security_opt"], name
        assert not {"privileged", "cap_add", "network_mode", "pid"} & service.keys(), name


def test_only_the_gateways_are_reached_from_outside_and_only_from_this_machine(compose: Compose) -> None:
    published = {name: service["ports"] for name, service in services(compose) if "ports" in service}

    assert published.keys() == {"nginx", "envoy", "envoy-jwt"}
    assert all(each.startswith("127.0.0.1:") for ports in published.values() for each in ports)


def test_who_goes_on_is_asked_whether_it_is_well_and_waited_for(compose: Compose) -> None:
    for name, service in services(compose):
        if name != "migrate":
            assert service["healthcheck"]["test"][0] == "CMD", name
            assert service["healthcheck"]["timeout"], name
        for other, how in service.get("depends_on", {}).items():
            ends = other == "migrate"
            assert how["condition"] == ("service_completed_successfully" if ends else "service_healthy"), (name, other)


def test_images_are_ours_or_of_a_named_release(compose: Compose) -> None:
    for name, service in services(compose):
        assert service["image"] == "auth-service" or re.search(r":v?\d+[\d.]*\d", service["image"]), name
    assert (DEPLOY / compose["services"]["auth-service"]["build"]["context"] / "Dockerfile").is_file()


def test_no_secret_is_in_it_or_has_a_default_and_make_secrets_makes_them_all(compose: Compose, made: Path) -> None:
    text = (DEPLOY / "compose.yaml").read_text()
    wanted = {name: DEPLOY / secret["file"] for name, secret in compose["secrets"].items()}

    # Whatever has a default is no secret.
    assert set(re.findall(r"\$\{(\w+)", text)) == {"AUTH_UID", "BUILD"}
    assert {path.parent for path in wanted.values()} == {DEPLOY / "secrets"}
    assert {path.name for path in wanted.values()} == {path.name for path in made.iterdir()}
    for _, service in services(compose):
        given = {each if isinstance(each, str) else each["source"] for each in service.get("secrets", ())}
        assert given <= wanted.keys()
        for variable, value in service.get("environment", {}).items():
            if variable.endswith("_FILE") and value.startswith("/run/secrets/"):
                assert value.removeprefix("/run/secrets/") in given
            else:
                assert not re.search(r"PASSWORD|SECRET|_KEY$|_KEYS$|_URL$", variable), variable


def test_secrets_are_new_each_time_made_once_and_only_their_owners(made: Path, tmp_path: Path) -> None:
    shutil.copy(DEPLOY / "make-secrets", tmp_path)
    subprocess.run([tmp_path / "make-secrets"], check=True, capture_output=True)
    again = subprocess.run([tmp_path / "make-secrets"], capture_output=True, text=True)

    assert (again.returncode, "is there already" in again.stderr) == (1, True)
    assert made.stat().st_mode & 0o777 == 0o700
    for path in made.iterdir():
        assert path.read_bytes() != (tmp_path / "secrets" / path.name).read_bytes(), path.name
    for name in ("key_encryption_keys", "database_url", "broker_url"):
        assert (made / name).stat().st_mode & 0o777 == 0o400
        if os.geteuid() == 0:
            assert (made / name).stat().st_uid == 10001


def test_the_gateways_agree_with_it_on_what_the_service_is(compose: Compose) -> None:
    environment = compose["services"]["auth-service"]["environment"]
    jwt_authn = (DEPLOY / "envoy" / "jwt_authn.yaml").read_text()

    assert f"issuer: {environment['AUTH_ISSUER']} #" in jwt_authn
    assert f"audiences: [{environment['AUTH_AUDIENCE']}] #" in jwt_authn
    (network,) = compose["networks"]["default"]["ipam"]["config"]
    assert environment["AUTH_TRUSTED_PROXIES"] == network["subnet"]
    assert "AUTH_DRAIN=3s" in (DEPLOY / "envoy" / "ext_authz.yaml").read_text().replace("\n# ", " ")
    assert environment["AUTH_DRAIN"] == "3s"


async def test_with_its_settings_and_secrets_people_sign_in_through_nginx_and_events_leave_over_tls(
    compose: Compose, made: Path, tmp_path: Path
) -> None:
    if reason := why_not(RECIPES["nginx"]):
        pytest.skip(reason)
    secrets = tmp_path / "secrets"
    shutil.copytree(made, secrets)
    async with AsyncExitStack() as stack:
        has_broker = bool(rabbitmq.available())
        broker_port = await asyncio.to_thread(_broker, stack, secrets) if has_broker else 0
        postgres = await asyncio.to_thread(stack.enter_context, Postgres())
        await _database_of_compose(postgres, secrets)
        _exchange(secrets / "database_url", "@postgres:5432/", f"@127.0.0.1:{postgres.port}/")
        _exchange(secrets / "broker_url", "@rabbitmq:5671/", f"@localhost:{broker_port or 9}/")
        _exchange(secrets / "broker_url", "/run/secrets", str(secrets))
        service = await _service(stack, compose, secrets)
        app = await _application(stack, tmp_path)
        upstreams = {AUTH_HTTP: [service.http_address], AUTH_GRPC: [service.grpc_address], APP: [app]}
        nginx = await stack.enter_async_context(gateway(RECIPES["nginx"], upstreams=upstreams))

        credentials = json.dumps({"username": "ada", "password": PASSWORD}).encode()
        content = [("Content-Type", "application/json")]
        signed_in = await send(nginx.address, "/auth/session", method="POST", headers=content, body=credentials)
        seen = await send(nginx.address, "/me", headers=[cookie(signed_in.cookies)])
        stranger = await send(nginx.address, "/me")

        assert (signed_in.status, seen.status, stranger.status) == (200, 200, 401)
        told = json.loads(seen.body)
        assert (told["path"], told["who"]["X-Auth-Username"]) == ("/me", "ada")
        if has_broker:
            await eventually(lambda: _has_published(service), deadline=60, every=0.2)


def _broker(stack: AsyncExitStack, secrets: Path) -> int:
    """RabbitMQ with the two files that compose.yaml gives it; its port."""
    port = free_port()
    conf = (DEPLOY / "rabbitmq" / "tls.conf").read_text() + (secrets / "rabbitmq_user").read_text()
    here = {
        "listeners.ssl.default = 5671": [f"listeners.ssl.default = 127.0.0.1:{port}"],
        "/run/secrets": [str(secrets)],
    }
    stack.enter_context(RabbitMqServer(conf=exchanged(conf, here), port=port))
    return port


async def _database_of_compose(postgres: Postgres, secrets: Path) -> None:
    """As the image makes it: a role and a database, and the role's password."""
    connection = await asyncpg.connect(postgres.dsn())
    await connection.execute(f"CREATE ROLE auth LOGIN PASSWORD '{(secrets / 'postgres_password').read_text()}'")
    await connection.execute("CREATE DATABASE auth OWNER auth")
    await connection.close()


def _exchange(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text, path.name
    path.chmod(0o600)
    path.write_text(text.replace(old, new))


async def _service(stack: AsyncExitStack, compose: Compose, secrets: Path) -> ServiceProcess:
    """As `migrate` and `auth-service` run, with a person who may sign in."""
    here = {"/run/secrets": [str(secrets)], "/etc/auth": [str(DEPLOY)]}
    environment = compose["services"]["auth-service"]["environment"]
    service = ServiceProcess({name: exchanged(value, here).strip() for name, value in environment.items()})
    await _command(service, "migrate")
    await stack.enter_async_context(service)
    await _command(service, "users", "create", "ada", "--password-stdin", said=PASSWORD)
    return service


async def _command(service: ServiceProcess, *arguments: str, said: str = "") -> None:
    command = [sys.executable, "-m", "auth_service", *arguments]
    done = await asyncio.to_thread(
        lambda: subprocess.run(command, env=service.environment, input=said, text=True, capture_output=True)
    )
    assert done.returncode == 0, done.stderr


async def _application(stack: AsyncExitStack, home: Path) -> str:
    """deploy/app.py; its address."""
    address = f"127.0.0.1:{free_port()}"
    process = await asyncio.to_thread(
        spawn,
        [sys.executable, DEPLOY / "app.py"],
        log=home / "app.log",
        cwd=home,
        environment=os.environ | {"APP_ADDRESS": address},
    )
    stack.callback(process.wait)
    stack.callback(process.kill)
    return address


async def _has_published(service: ServiceProcess) -> bool:
    metrics = await send(service.http_address, "/metrics")
    (told,) = re.findall(rb"^auth_events_published (\S+)$", metrics.body, re.MULTILINE)
    return float(told) > 0
