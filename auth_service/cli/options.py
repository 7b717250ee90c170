"""Options that several commands have."""

from typing import Annotated

from cyclopts import Parameter, validators

Json = Annotated[bool, Parameter(name="--json", help="Print JSON.")]
Limit = Annotated[int, Parameter(name="--limit", validator=validators.Number(gte=1), help="How many to print at most.")]
Yes = Annotated[bool, Parameter(name="--yes", help="Do not ask.")]
