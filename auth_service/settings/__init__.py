"""The settings: the only reader of the environment. Every problem is reported at once, by the variable's name.

A secret may be given as `NAME` or as `NAME_FILE`, a path to read it from. No secret has a default: the embedded profile
generates what it needs into its data directory, any other profile refuses to start without.
"""

from auth_service.settings.model import Profile, Settings
from auth_service.settings.reading import SettingsRefused, described, load
from auth_service.settings.values import Address, typed

__all__ = ["Address", "Profile", "Settings", "SettingsRefused", "described", "load", "typed"]
