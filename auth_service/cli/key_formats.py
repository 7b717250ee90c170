"""The published keys as files for verifiers that fetch none: Kubernetes, nginx, Kong, and whoever reads PEM.

Nothing here does I/O, and nothing here sees a private half. A copy of the key set goes stale: each names the time in
which it must be copied anew, and what its reader does not check. Only a verifier that follows this service learns that
a key was revoked or a session ended.
"""

import json
import re
import textwrap
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from auth_service.domain.keys import SigningKey, State

_WIDTH = 100


Format = Literal["jwks", "pem", "k8s-configmap", "nginx", "kong"]


@dataclass(frozen=True, slots=True)
class Copy:
    """What is copied. `document` is the key set as the service serves it; a key that is in no copy made before
    `renew_from` may sign from `renew_by` on. `audience` None: tokens have none.
    """

    document: bytes
    keys: tuple[SigningKey, ...]
    ring_version: int
    issuer: str
    audience: str | None
    renew_from: datetime
    renew_by: datetime

    @property
    def renewal(self) -> str:
        """For a person: when this copy is worth another."""
        return (
            f"Copy it again between {_moment(self.renew_from)}, when the next key is due to be published, and"
            f" {_moment(self.renew_by)}, when that key is due to sign; and at once when a key was rotated by hand or"
            " revoked."
        )


@dataclass(frozen=True, slots=True)
class Names:
    """What the thing is called that an export declares: a ConfigMap, or a consumer of Kong's."""

    name: str
    namespace: str | None


def rendered(copy: Copy, form: Format, names: Names) -> bytes:
    match form:
        case "jwks":
            return copy.document
        case "pem":
            text = pem(copy)
        case "k8s-configmap":
            text = config_map(copy, names)
        case "nginx":
            text = nginx(copy)
        case "kong":
            text = kong(copy, names)
    return text.encode()


def pem(copy: Copy) -> str:
    """A SubjectPublicKeyInfo for each key, the one that signs first, for readers that take one only."""
    order = [State.ACTIVE, State.STANDBY, State.RETIRING]
    head = _comment(
        copy,
        "The first key signs now, the second signs next; those that follow signed before. A reader that takes one key"
        " refuses tokens of all others. RS256 only: a library that is given these without a list of algorithms may take"
        " one for the secret of HS256.",
    )
    blocks = (
        f"# kid {key.kid}, {key.state}, {_until(key)}\n{key.public_pem()}"
        for key in sorted(copy.keys, key=lambda key: order.index(key.state))
    )
    return "\n".join([head, *blocks])


def config_map(copy: Copy, names: Names) -> str:
    """A manifest whose `jwks.json` is the key set."""
    namespace = f"  namespace: {_quoted(names.namespace)}\n" if names.namespace else ""
    head = _comment(copy, "Mounted as a volume it is renewed in place; as an environment variable it is not.")
    return (
        f"{head}"
        "apiVersion: v1\n"
        "kind: ConfigMap\n"
        "metadata:\n"
        f"  name: {_quoted(names.name)}\n"
        f"{namespace}"
        "  annotations:\n"
        f"    auth-service/issuer: {_quoted(copy.issuer)}\n"
        f'    auth-service/ring-version: "{copy.ring_version}"\n'
        f'    auth-service/renew-from: "{_moment(copy.renew_from)}"\n'
        f'    auth-service/renew-by: "{_moment(copy.renew_by)}"\n'
        "data:\n"
        "  jwks.json: |-\n"
        f"    {copy.document.decode()}\n"
    )


def nginx(copy: Copy) -> str:
    """A file for nginx's `http` block: the key set and the checks of claims, as variables for `auth_jwt`."""
    head = _comment(
        copy,
        "nginx verifies tokens where it has the directives auth_jwt: in NGINX Plus (ngx_http_auth_jwt_module) from"
        " release 25 on. Open-source nginx has none, says `unknown variable` here and does not start; let it ask this"
        " service instead (auth_request). A third-party module of the same directives has to be tried out first.",
        "auth_jwt checks the signature, exp and nbf. The variables below add typ, issuer and audience, and only where"
        " auth_jwt_require names them. It does not see revoked keys and ended sessions.",
    )
    checks = ["$auth_service_typ", "$auth_service_issuer", *(["$auth_service_audience"] if copy.audience else [])]
    usage = "\n".join(
        [
            "#",
            "# In the `server` block:",
            "#",
            "#     location = /_auth_service_keys {",
            "#         internal;",
            "#         default_type application/jwk-set+json;",
            "#         return 200 $auth_service_keys;",
            "#     }",
            "#     location / {",
            '#         auth_jwt "";',
            "#         auth_jwt_key_request /_auth_service_keys;",
            f"#         auth_jwt_require {' '.join(checks)};",
            "#     }",
            "",
        ]
    )
    # A parameter of nginx's is at most 4 KiB long, so each key is one of its own.
    keys = [
        _map("$host", f"$auth_service_key_{number}", default=json.dumps(key.jwk(), separators=(",", ":")))
        for number, key in enumerate(copy.keys, 1)
    ]
    key_set = ",".join(f"${{auth_service_key_{number}}}" for number in range(1, len(copy.keys) + 1))
    maps = [
        *keys,
        _map("$host", "$auth_service_keys", default=f'{{"keys":[{key_set}]}}'),
        _map("$jwt_header_typ", "$auth_service_typ", default="0", one=r"~*^(application/)?at\+jwt$"),
        # `~`, because plain strings are compared without regard to case.
        _map("$jwt_claim_iss", "$auth_service_issuer", default="0", one=f"~^{re.escape(copy.issuer)}$"),
    ]
    if copy.audience is not None:
        # nginx joins several audiences with commas.
        ours = f"~(^|,){re.escape(copy.audience)}(,|$)"
        maps.append(_map("$jwt_claim_aud", "$auth_service_audience", default="0", one=ours))
    return f"{head}{usage}\n{''.join(maps)}"


def kong(copy: Copy, names: Names) -> str:
    """A consumer with a credential for each key, in the declarative format that Kong and decK read."""
    head = _comment(
        copy,
        "Load it with `deck gateway sync --select-tag auth-service`, which leaves everything else alone and removes the"
        " keys that are gone. Without a database it is a part of the whole configuration.",
        "The plugin finds the credential by the claim or header that `key_claim_name` names: it must be `kid`, for the"
        " default, `iss`, finds one key only. It checks the signature and, where `claims_to_verify` says so, exp; not"
        " iss, aud or typ, nor revoked keys and ended sessions. So give it only tokens that were meant for you, or"
        " check these yourself behind it. By default it also takes tokens from the query. For a route or a service:",
    )
    plugin = (
        "#     plugins:\n"
        "#       - name: jwt\n"
        "#         config: {key_claim_name: kid, claims_to_verify: [exp], uri_param_names: []}\n"
    )
    credentials = "".join(
        f"      - key: {_quoted(key.kid)}\n"
        "        algorithm: RS256\n"
        "        tags: [auth-service]\n"
        f"        rsa_public_key: |\n{textwrap.indent(key.public_pem(), ' ' * 10)}"
        for key in copy.keys
    )
    return (
        f"{head}{plugin}\n"
        '_format_version: "3.0"\n'
        "consumers:\n"
        f"  - username: {_quoted(names.name)}\n"
        "    tags: [auth-service]\n"
        f"    jwt_secrets:\n{credentials}"
    )


def _comment(copy: Copy, *paragraphs: str) -> str:
    told = f"The public keys of {copy.issuer}, ring version {copy.ring_version}. {copy.renewal}"
    filled = (
        textwrap.fill(each, _WIDTH, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False)
        for each in (told, *paragraphs)
    )
    return "\n#\n".join(filled) + "\n"


def _map(source: str, target: str, *, default: str, one: str | None = None) -> str:
    case = f"    {_in_nginx(one)} 1;\n" if one is not None else ""
    return f"map {source} {target} {{\n    default {_in_nginx(default)};\n{case}}}\n"


def _in_nginx(text: str) -> str:
    """A parameter in quotes."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _quoted(text: str) -> str:
    """A scalar of YAML, which takes JSON's strings."""
    return json.dumps(text)


def _until(key: SigningKey) -> str:
    match key.state:
        case State.ACTIVE:
            return "signs now"
        case State.STANDBY:
            return "signs next"
    assert key.verifies_until is not None
    return f"verifies until {_moment(key.verifies_until)}"


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"
