"""`/`: what a developer does next, with this deployment's addresses; in HTML for browsers, else in text or JSON."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from auth_service.web.api import explorer, reference
from auth_service.web.api.documents import DESCRIPTORS, OPENAPI
from auth_service.web.errors import wants_page
from auth_service.web.oauth import TOKEN
from auth_service.web.pages.site import Site
from auth_service.web.wellknown import JWKS_PATH, METADATA_PATHS, REVOCATIONS_PATH

PAGE = "/"
_LINKS = (
    (reference.PAGE, "Reference", "every method, message and reason of a refusal, to be read"),
    (explorer.PAGE, "Try it", "every route, with a button to sign in by and forms to call it"),
    (OPENAPI, "OpenAPI", "the same for programs"),
    (DESCRIPTORS, "Descriptors", "the contract for gateways that transcode, and for grpcurl"),
    (METADATA_PATHS[0], "Metadata", "issuer and endpoints, as OAuth tools read them"),
    (JWKS_PATH, "Key set", "what services check tokens with"),
    (REVOCATIONS_PATH, "Ended sessions", "whose tokens are refused before they expire"),
    ("/readyz", "Health", "whether this replica can answer"),
    ("/account", "Sign-in", "the page for people, and their own account"),
    ("/admin", "Administration", "people, services, keys and the log, for whoever looks after them"),
)
_KEPT = {"Cache-Control": "no-store", "Vary": "Accept", "X-Content-Type-Options": "nosniff"}


@dataclass(frozen=True, slots=True)
class Deployment:
    """What the page may tell anybody. `grpc_port` is known once the door is bound; `person` is one who can be tried."""

    issuer: str
    audience: str
    version: str
    build: str
    grpc_port: Callable[[], int]
    grpc_has_tls: bool
    has_reflection: bool
    person: str = ""

    @property
    def grpc_address(self) -> str:
        host = urlsplit(self.issuer).hostname or ""
        return f"[{host}]:{self.grpc_port()}" if ":" in host else f"{host}:{self.grpc_port()}"


@dataclass(frozen=True, slots=True)
class Step:
    title: str
    says: str
    code: str


def routes(site: Site, deployment: Deployment) -> list[Route]:
    async def start(request: Request) -> Response:
        steps = steps_of(deployment)
        if wants_page(request):
            page = await site.page("start.html", here=PAGE, told=deployment, steps=steps, links=_LINKS)
            page.headers["Vary"] = "Accept"
            return page
        if "application/json" in request.headers.get("accept", ""):
            return JSONResponse(_described(deployment), headers=_KEPT)
        return PlainTextResponse(_written(deployment, steps), headers=_KEPT)

    return [Route(PAGE, start, methods=["GET"])]


def closed(site: Site) -> list[Route]:
    """Where developers are told nothing, `/` is for people."""

    async def to_account(_request: Request) -> Response:
        return site.redirect("/account")

    return [Route(PAGE, to_account, methods=["GET"])]


def steps_of(deployment: Deployment) -> Sequence[Step]:
    issuer, person = deployment.issuer, deployment.person or "YOUR-NAME"
    password = f"{person}-password" if deployment.person else "YOUR-PASSWORD"
    credentials = f'{{"username": "{person}", "password": "{password}"}}'
    plaintext = "" if deployment.grpc_has_tls else "-plaintext "
    fetch, protoset = "", ""
    if not deployment.has_reflection:
        fetch, protoset = f"curl -s {issuer}{DESCRIPTORS} -o auth.binpb\n", "-protoset auth.binpb "
    return (
        Step(
            "Sign in",
            "By OAuth's password grant. The answer holds an access token and a refresh token.",
            f"curl -s {issuer}{TOKEN} -o token.json \\\n"
            f"  -d grant_type=password -d username={person} --data-urlencode password={password}\n"
            """TOKEN=$(python3 -c 'import json; print(json.load(open("token.json"))["access_token"])')""",
        ),
        Step(
            "Call a method",
            "Every method that answers once takes JSON.",
            f'curl -s {issuer}/auth_api.v1.UserService/GetMe -H "Authorization: Bearer $TOKEN" \\\n'
            "  -H 'Content-Type: application/json' -d '{}'",
        ),
        Step(
            "Or call it over gRPC",
            "The same methods, and streams beside them. A gateway in front may have another port.",
            f"{fetch}grpcurl {plaintext}{protoset}-d '{credentials}' \\\n"
            f"  {deployment.grpc_address} auth_api.v1.AuthService/Login",
        ),
        Step(
            "Check tokens in your own service",
            "Without asking this one. auth-client does it for Python (clients/python), and there are clients for Go and"
            " TypeScript; any library that knows RS256 and a key set will do.",
            "from auth_client import HttpJwks, TokenVerifier\n\n"
            f'async with HttpJwks("{issuer}{JWKS_PATH}") as keys:\n'
            f'    verifier = TokenVerifier(issuer="{issuer}", audience={_quoted(deployment.audience)}, keys=keys)\n'
            "    person = await verifier.verify(token)",
        ),
    )


def _quoted(audience: str) -> str:
    return f'"{audience}"' if audience else "None"


def _described(deployment: Deployment) -> dict[str, Any]:
    return {
        "service": "auth-service",
        "version": deployment.version,
        "build": deployment.build,
        "issuer": deployment.issuer,
        "audience": deployment.audience or None,
        "grpc": deployment.grpc_address,
        "links": {
            title.lower().replace(" ", "_").replace("-", "_"): deployment.issuer + path for path, title, _ in _LINKS
        },
    }


def _written(deployment: Deployment, steps: Sequence[Step]) -> str:
    facts = (
        ("issuer", deployment.issuer),
        ("audience", deployment.audience or "none"),
        ("gRPC", deployment.grpc_address),
    )
    lines = [f"auth-service {deployment.version}", ""]
    lines += [f"{name:<10}{value}" for name, value in facts]
    for number, step in enumerate(steps, start=1):
        lines += ["", f"{number}. {step.title}. {step.says}", ""]
        lines += [f"    {line}".rstrip() for line in step.code.splitlines()]
    lines += ["", "More:", ""]
    width = max(len(path) for path, _, _ in _LINKS)
    lines += [f"    {deployment.issuer}{path:<{width}}  {says}" for path, _, says in _LINKS]
    return "\n".join(lines) + "\n"
