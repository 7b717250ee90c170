"""`python -m tests.fuzz [--seconds 60] [--seed 7]`: a service of its own, and schemathesis as an administrator.

No answer is a defect (5xx, but for 503 with `Retry-After`), and every answer is one that the document tells of: status,
media type, headers and body. Ends with schemathesis's exit code.
"""

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.drills.stage import ADMIN, create_admin, settings
from tests.fuzz import hooks
from tests.support.processes import ServiceProcess

CHECKS = (
    *("no_defect", "status_code_conformance", "content_type_conformance", "response_headers_conformance"),
    *("response_schema_conformance", "unsupported_method", "allow_header_conformance"),
)
POLICY = {"levels": {"admin": 0}, "rules": [{"signed_in": True, "locations": ["/*"]}]}


async def fuzz(*, seconds: int, seed: int, only: Sequence[str] = ()) -> int:
    """The exit code; schemathesis says the rest."""
    variables = settings(
        rate_limits="none", api_pages="true", failures_per_account="1000000", failures_per_address="1000000"
    )
    service = ServiceProcess(variables)
    policy = service.home / "policy.json"
    policy.write_text(json.dumps(POLICY))
    service.environment["AUTH_POLICY_FILE"] = str(policy)
    async with service:
        await create_admin(service)
        address = f"http://{service.http_address}"
        process = await asyncio.create_subprocess_exec(
            *(str(Path(sys.executable).with_name("schemathesis")), "run"),
            *(f"{address}/openapi.json", "--url", address),
            *("--checks", ",".join(CHECKS), "--max-time", str(seconds), "--seed", str(seed)),
            *("--phases", "examples,coverage,fuzzing", "--suppress-health-check", "all", "--warnings", "off"),
            *("--request-timeout", "10", "--continue-on-failure", "--no-color", *only),
            env={
                **os.environ,
                "SCHEMATHESIS_HOOKS": "tests.fuzz.hooks",
                hooks.ADDRESS: address,
                hooks.NAME: ADMIN[0],
                hooks.PASSWORD: ADMIN[1],
            },
        )
        return await process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--seed", type=int, default=774904)
    known, others = parser.parse_known_args()
    sys.exit(asyncio.run(fuzz(seconds=known.seconds, seed=known.seed, only=others)))


if __name__ == "__main__":
    main()
