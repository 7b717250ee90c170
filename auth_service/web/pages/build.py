"""Every page, as routes."""

from starlette.routing import BaseRoute

from auth_service.web.pages import account, assets, mailed, register, sign_in
from auth_service.web.pages.site import Site


def routes(site: Site) -> list[BaseRoute]:
    return [
        *assets.routes(site.assets),
        *sign_in.routes(site),
        *mailed.routes(site),
        *register.routes(site),
        *account.routes(site),
        *(route for section in site.sections for route in section.routes(site)),
    ]
