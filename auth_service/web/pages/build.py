"""Every page, as routes."""

from starlette.routing import BaseRoute

from auth_service.web.pages import account, admin, assets, mailed, register, sign_in
from auth_service.web.pages.site import Site


def routes(site: Site) -> list[BaseRoute]:
    """`site.nav` should be `admin.SECTIONS`."""
    return [
        *assets.routes(site.assets),
        *sign_in.routes(site),
        *mailed.routes(site),
        *register.routes(site),
        *account.routes(site),
        *admin.routes(site),
    ]
