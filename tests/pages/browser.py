"""A browser without a screen: it keeps cookies, follows nothing, and sends forms as they stand on a page."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from http.cookies import SimpleCookie
from typing import Any

from tests.support.service import Service, token_of

PASSWORD = "correct horse battery staple"


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Any
    text: str

    @property
    def location(self) -> str:
        return str(self.headers.get("Location", ""))

    @property
    def forms(self) -> list["PageForm"]:
        found = _Forms()
        found.feed(self.text)
        return found.forms

    def form(self, action: str = "") -> "PageForm":
        """The one that goes to `action`; the first of the page's own, where sign-out is not meant."""
        return next(
            each
            for each in self.forms
            if (each.action == action if action else each.method == "post" and not each.action.endswith("/sign-out"))
        )


@dataclass
class PageForm:
    method: str
    action: str
    fields: dict[str, str] = field(default_factory=dict)


class _Forms(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[PageForm] = []
        self._area = self._choice = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.forms.append(PageForm(told.get("method", "get"), told.get("action", "")))
        elif tag == "input" and self.forms and (told.get("type") != "checkbox" or "checked" in told):
            self.forms[-1].fields[told["name"]] = told.get("value", "")
        elif tag == "textarea":
            self._area = told["name"]
        elif tag == "select":
            self._choice = told["name"]
        elif tag == "option" and ("selected" in told or self._choice not in self.forms[-1].fields):
            # The first, where none is selected.
            self.forms[-1].fields[self._choice] = told["value"]

    def handle_data(self, data: str) -> None:
        if self._area:
            self.forms[-1].fields[self._area] = data

    def handle_endtag(self, tag: str) -> None:
        if tag == "textarea":
            self._area = ""


@dataclass
class Browser:
    service: Service
    cookies: dict[str, str] = field(default_factory=dict)

    async def open(self, path: str, **headers: str) -> Answer:
        return await self.call("GET", path, headers=headers)

    async def send(self, path: str, fields: Mapping[str, str] | list[tuple[str, str]], **headers: str) -> Answer:
        """As the form of a page of ours, unless `headers` say that it is not."""
        told = {"Sec-Fetch-Site": "same-origin"} | {name.replace("_", "-"): value for name, value in headers.items()}
        told = {name: value for name, value in told.items() if value}
        return await self.call("POST", path, headers=told, data=fields)

    async def fill(self, path: str, typed: Mapping[str, str] | None = None, **more: str) -> Answer:
        """Open the page at `path`, type into its form, and send it. What is typed as empty is not ticked."""
        page = await self.open(path)
        assert page.status == 200, (path, page.status, page.location, page.text)
        form = page.form()
        return await self.send(form.action or path, form.fields | dict(typed or {}) | more)

    async def call(
        self, method: str, path: str, *, headers: Mapping[str, str], data: Any = None, params: Any = None
    ) -> Answer:
        told = dict(headers)
        if self.cookies:
            told["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        if data is not None:
            # Spelt out, so that no fields at all are a form as well.
            told.setdefault("Content-Type", "application/x-www-form-urlencoded")
        async with self.service.http.request(
            method, path, headers=told, data=data, params=params, allow_redirects=False
        ) as answer:
            for each in answer.headers.getall("Set-Cookie", []):
                for name, morsel in SimpleCookie(each).items():
                    if morsel["max-age"] == "0":
                        self.cookies.pop(name, None)
                    else:
                        self.cookies[name] = morsel.value
            self.service.secrets |= {value for name, value in self.cookies.items() if name.endswith("_token") and value}
            return Answer(answer.status, answer.headers.copy(), await answer.text())

    async def sign_in(self, username: str, password: str = "", *, to: str = "/account") -> Answer:
        answer = await self.fill(f"/sign-in?next={to}", username=username, password=password or f"{username}-password")
        assert (answer.status, answer.location) == (303, to), answer.text
        return answer


async def administrator(service: Service, name: str = "root@facility.example", *roles: str) -> Browser:
    """The browser of somebody who may do all there is, or what `roles` may; signed in."""
    await token_of(service, name, PASSWORD, *(roles or ("admin",)))
    browser = Browser(service)
    await browser.sign_in(name, PASSWORD)
    return browser
