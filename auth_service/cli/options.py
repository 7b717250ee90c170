"""Options that several commands have."""

from typing import Annotated

from cyclopts import Parameter

Json = Annotated[bool, Parameter(name="--json", negative="", help="Print JSON instead of a table.")]
Yes = Annotated[bool, Parameter(name="--yes", negative="", help="Do not ask.")]
