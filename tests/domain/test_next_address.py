"""Where sign-in leads: what is asked for, if it is ours."""

import pytest

from auth_service.domain.next_address import safe_next

PORTAL = "https://portal.example"
OTHERWISE = "/account"


def led_to(asked: str) -> str:
    return safe_next(asked, origins={PORTAL}, otherwise=OTHERWISE)


@pytest.mark.row("S69")
@pytest.mark.parametrize(
    "asked",
    [
        *("/", "/account", "/reports/2026?page=2&sort=-name", "/a/b.html#part", "/x?next=https://elsewhere.example/"),
        *("/%20space", "/caf%C3%A9", "/a:b@c", "/~ada/", "/x?y=//z"),
        *(PORTAL, f"{PORTAL}/", f"{PORTAL}/reports?x=1", f"{PORTAL}/a//b"),
    ],
)
def test_pages_of_this_site_and_of_listed_origins_are_gone_to(asked: str) -> None:
    assert led_to(asked) == asked


@pytest.mark.row("S69")
@pytest.mark.parametrize(
    "asked",
    [
        *(
            "",
            "account",
            "//evil.example",
            "///evil.example",
            "////evil.example",
            "/\\evil.example",
            "\\\\evil.example",
        ),
        *("/\t/evil.example", "/\n/evil.example", "/%09/evil.example", "/%0a/evil.example", "/ /evil.example"),
        *("/%2f/evil.example", "/%2fevil.example", "%2f%2fevil.example", "/%5cevil.example", "/%252fevil.example"),
        *("/.//evil.example", "/x/..//evil.example", "/%2e%2f%2fevil.example", "/x//evil.example"),
        *("https://evil.example", "HTTPS://evil.example", "https:evil.example", "https:/evil.example"),
        *("http://portal.example/", "https://portal.example:444/", "https://portal.example.evil.example/"),
        *("https://portal.example@evil.example/", "https://evil.example/https://portal.example/"),
        *("https://x:y@portal.example/", "https://portal.example\\@evil.example/", "https://portal.examp\u217de/"),
        *("https://PORTAL.example/", "https://[", "https://[::1", "//portal.example/"),
        *("javascript:alert(1)", "java\tscript:alert(1)", "data:text/html,x", "mailto:a@b.example", "vbscript:x"),
        *("/x\r\nSet-Cookie: a=b", "/x\x00", "/x\x7f", "/\u2044evil.example", "/\uff0fevil.example", "\u2028/x", " /x"),
        *("/x<script>", '/x"onload="', "/" + "x" * 2000, "?x", "#x", ".", "./x", "../x"),
    ],
)
def test_nobody_is_led_elsewhere(asked: str) -> None:
    assert led_to(asked) == OTHERWISE
