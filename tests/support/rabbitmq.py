"""A real RabbitMQ on loopback, where Debian's package is installed or unpacked.

`.ci/run` unpacks it: installing it would start a server that the whole network can reach.
"""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.support.launching import Availability, Launcher, comes_up, end, listens, read_log
from tests.support.leash import spawn
from tests.support.ports import free_port

_DEADLINE = 60.0
_UNPACKED = Path(os.environ.get("CI_TOOLS", Path.home() / ".cache" / "auth-service-ci")) / "rabbitmq"


class RabbitMqUnavailable(Exception):
    """There is no RabbitMQ, or it did not start; the message ends with what it said."""


def available() -> Availability:
    named = os.environ.get("TEST_RABBITMQ_ROOT")
    for root in [Path(named)] if named else [_UNPACKED, Path("/")]:
        if _server(root) and _emulator(root):
            return Availability(root)
    return Availability(
        None, f"no RabbitMQ in {named or f'{_UNPACKED} or /'}: unpack it there or set TEST_RABBITMQ_ROOT"
    )


def _server(root: Path) -> Path | None:
    return next(root.glob("usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin/rabbitmq-server"), None)


def _emulator(root: Path) -> Path | None:
    """The folder of Erlang's programs."""
    return next(root.glob("usr/lib/erlang/erts-*/bin"), None)


class RabbitMqServer(Launcher):
    """A broker of its own, with its queues kept over restarts. User and password are both `guest`.

    Where there is a `conf`, it says who else may connect and where, and nothing listens but what it says.
    """

    def __init__(self, *, conf: str = "", port: int | None = None) -> None:
        root = available().path
        server, emulator = (_server(root), _emulator(root)) if root else (None, None)
        if root is None or server is None or emulator is None:
            raise RabbitMqUnavailable(available().reason)
        self._server, self._emulator = server, emulator
        self.home = Path(tempfile.mkdtemp(prefix="rabbitmq-"))
        self.port, distribution, mapper = port or free_port(), free_port(), free_port()
        self._write_erl(root / "usr/lib/erlang")
        self._environment = {
            "PATH": f"{self.home}:{os.environ['PATH']}",
            "HOME": str(self.home),
            "LC_ALL": "C.UTF-8",
            # Becomes the emulator instead of staying its parent.
            "RUNNING_UNDER_SYSTEMD": "true",
            "ERL_EPMD_PORT": str(mapper),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": f"auth{self.port}@localhost",
            "RABBITMQ_DIST_PORT": str(distribution),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
            "RABBITMQ_MNESIA_BASE": str(self.home / "data"),
            "RABBITMQ_LOG_BASE": str(self.home),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.home / "no-plugins"),
            "RABBITMQ_CONF_ENV_FILE": str(self.home / "no-environment"),
            "RABBITMQ_PID_FILE": str(self.home / "pid"),
        }
        if conf:
            (self.home / "rabbitmq.conf").write_text(conf)
            self._environment["RABBITMQ_CONFIG_FILE"] = str(self.home / "rabbitmq.conf")
        else:
            listening = {"NODE_IP_ADDRESS": "127.0.0.1", "NODE_PORT": str(self.port)}
            listening["CONFIG_FILE"] = str(self.home / "no-config")
            self._environment |= {f"RABBITMQ_{name}": value for name, value in listening.items()}
        # The node would start one that outlives it.
        self._mapper = self._spawn(emulator / "epmd", "-port", str(mapper), "-address", "127.0.0.1")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self.port}/"

    @property
    def log(self) -> str:
        return read_log(self.home / "log")

    def start(self) -> None:
        """Returns once it listens, in some ten seconds."""
        self._process = self._spawn(Path("/bin/sh"), str(self._server))
        if not comes_up(self._process, lambda: listens(self.port), within=_DEADLINE, asked_every=0.1):
            self.stop()
            raise RabbitMqUnavailable(f"RabbitMQ did not start:\n{self.log[-2000:]}")

    def stop(self) -> None:
        """Clients are disconnected; what was confirmed is there after the next start. Content if it is not running."""
        if self._process is not None:
            end(self._process, within=_DEADLINE)
            self._process = None

    def close(self) -> None:
        self.stop()
        self._mapper.kill()
        self._mapper.wait()
        shutil.rmtree(self.home, ignore_errors=True)

    def _spawn(self, program: Path, *arguments: str) -> subprocess.Popen[bytes]:
        return spawn([program, *arguments], log=self.home / "log", cwd=self.home, environment=self._environment)

    def _write_erl(self, root: Path) -> None:
        """Erlang's own says where it was meant to be installed."""
        script = self.home / "erl"
        script.write_text(
            "#!/bin/sh\n"
            f"export ROOTDIR={root} BINDIR={self._emulator} EMU=beam PROGNAME=erl\n"
            f'exec {self._emulator}/erlexec "$@"\n'
        )
        script.chmod(0o755)
