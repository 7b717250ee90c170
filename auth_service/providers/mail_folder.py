"""Mail that goes nowhere: a file for each, for whoever tries the service out on their own machine."""

import asyncio
import os
from datetime import UTC, datetime
from pathlib import Path

import structlog

from auth_service.domain.mail import Mail, NotSent
from auth_service.providers.mail_message import message

log = structlog.get_logger()


class MailFolder:
    """Writes `<folder>/<time>-<id>.eml`, for its owner's eyes only. The log names the file, never what is in it."""

    def __init__(self, folder: Path, *, sender: str) -> None:
        self._folder = folder
        self._sender = sender

    async def send(self, mail: Mail) -> None:
        """Raises NotSent."""
        now = datetime.now(UTC)
        path = self._folder / f"{now:%Y%m%dT%H%M%S}-{mail.id}.eml"
        try:
            await asyncio.to_thread(_write, path, message(mail, sender=self._sender, at=now).as_bytes())
        except OSError as error:
            raise NotSent(f"cannot write {path}: {error.strerror}") from error
        log.info("mail.in_folder", purpose=mail.purpose.value, file=str(path))


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Beside it first, so that who looks finds whole mails; and anew, so that the mode is ours.
    beginning = path.with_suffix(".part")
    beginning.unlink(missing_ok=True)
    with os.fdopen(os.open(beginning, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
    beginning.rename(path)
