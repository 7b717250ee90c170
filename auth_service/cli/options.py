"""Options that several commands have."""

from typing import Annotated

from cyclopts import Parameter, validators

Json = Annotated[bool, Parameter(name="--json", help="Print JSON.")]
Limit = Annotated[int, Parameter(name="--limit", validator=validators.Number(gte=1), help="How many to print at most.")]
RoleName = Annotated[str, Parameter(help="The role's name.")]
User = Annotated[str, Parameter(help="A user name or an id.")]
UserNumber = Annotated[int, Parameter(help="The facility's number of the person.")]
Yes = Annotated[bool, Parameter(name="--yes", help="Do not ask.")]
