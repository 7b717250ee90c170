"""What documents say of settings: the page about them has all, and nothing else names one that there is not."""

import re
from pathlib import Path

from auth_service.settings import Settings
from auth_service.settings.model import PREFIX, SECRETS
from tests.settings.page import HEADINGS, page

ROOT = Path(__file__).parents[2]
OF_COMPOSE = {"AUTH_UID"}
"""Whom the containers of deploy/compose.yaml run as."""


def test_the_page_about_settings_has_each_as_the_service_knows_it() -> None:
    assert page() == (ROOT / "docs" / "settings.md").read_text(encoding="utf-8"), "make settings > docs/settings.md"
    assert HEADINGS.keys() <= Settings.model_fields.keys()


def test_documents_and_recipes_name_no_setting_that_there_is_not() -> None:
    texts = [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "deploy").rglob("*")]
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    known |= {f"{PREFIX}{name.upper()}_FILE" for name in SECRETS}

    named = {
        name
        for text in texts
        if text.is_file()
        for name in re.findall(r"\bAUTH_[A-Z0-9_]*[A-Z0-9]\b", text.read_text(encoding="utf-8", errors="replace"))
    }

    assert named - known == OF_COMPOSE
