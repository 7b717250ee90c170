"""Whose pages may call, with their visitors' cookies (the Fetch standard's CORS)."""

from collections.abc import Sequence

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Send


def for_pages_of(origins: Sequence[str], app: ASGIApp) -> ASGIApp:
    """`app`, for pages of `origins`, too."""
    return _Cors(
        app,
        allow_origins=origins,
        allow_methods=["GET", "POST", "DELETE"],
        allow_headers=["Authorization", "Content-Type", "Connect-Protocol-Version", "Connect-Timeout-Ms"],
        # The refresh cookie travels with a page's requests.
        allow_credentials=True,
        max_age=600,
    )


class _Cors(CORSMiddleware):
    """Starlette's tells whoever asks that credentials are welcome, even where an answer is for every origin (`*`)."""

    async def send(self, message: Message, send: Send, request_headers: Headers) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            is_for_all = "Access-Control-Allow-Origin" in headers
            if is_for_all or not self.is_allowed_origin(request_headers.get("Origin", "")):
                if not is_for_all:
                    headers.add_vary_header("Origin")
                await send(message)
                return
        await super().send(message, send, request_headers)
