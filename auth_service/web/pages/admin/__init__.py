"""The admin page: `/admin`, for people with a role of level 100 or stronger. Its parts are in `SECTIONS`."""

from auth_service.web.pages.admin import audit, maintenance, overview, people, roles, service_accounts, signing_keys
from auth_service.web.pages.site import Section

SECTIONS: tuple[Section, ...] = (
    overview.SECTION,
    people.SECTION,
    roles.SECTION,
    service_accounts.SECTION,
    signing_keys.SECTION,
    audit.SECTION,
    maintenance.SECTION,
)
"""In the order of the navigation. One more is a line here, a module and its templates."""
