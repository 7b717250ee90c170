"""The first example of the README is run as it stands, but for the URL and the token."""

import re
from pathlib import Path

from tests.client.jwks_endpoint import JwksEndpoint
from tests.client.minting import token

README = Path(__file__).parents[2] / "clients" / "python" / "README.md"


async def test_readme_example_verifies_a_token() -> None:
    async with JwksEndpoint() as endpoint:
        example = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)[0]
        example = example.replace("https://auth.facility.example/.well-known/jwks.json", endpoint.url)
        lines = "\n".join(f"    {line}" for line in example.splitlines())
        names: dict[str, object] = {"token": token(exp=4_000_000_000, iat=1)}

        exec(f"async def example():\n{lines}\n    return person", names)
        person = await names["example"]()  # type: ignore[operator] # Defined by the line before.

    assert person.username == "ada"
