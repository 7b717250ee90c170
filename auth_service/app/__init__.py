"""The composition root: every object is built once, in plain sight; the servers start and stop here.

`core` is what everything stands on, `outside` what the settings name beyond this process, `stories` the use cases,
`doors` the servers around them, `watching` what is told of them; `serving` starts and stops it all. `administration` is
what the command line takes.
"""

from auth_service.app.administration import Administration, administering
from auth_service.app.core import NAME, Core, core, key_policy, version
from auth_service.app.keys import canaries, consumer_list
from auth_service.app.outside import DEMO_ALLOCATIONS_API_KEY, DEMO_UOWS_API_KEY
from auth_service.app.serving import Running, named, running

__all__ = [
    "DEMO_ALLOCATIONS_API_KEY",
    "DEMO_UOWS_API_KEY",
    "NAME",
    "Administration",
    "Core",
    "Running",
    "administering",
    "canaries",
    "consumer_list",
    "core",
    "key_policy",
    "named",
    "running",
    "version",
]
