"""Runs: what was started, who started it, and where its files are. So others can find and end it.

    <state>/runs/mesh-3f9a1c/record.json    topology, backend, runner, processes, containers
                             control/a.sock control socket of node a
                             a.log a.jsonl  its log and journal, unless they go elsewhere

The state directory is ``SPOT_STATE_DIR``, else ``$XDG_STATE_HOME/spot``, else
``~/.local/state/spot``. A run belongs to its runner (a process, known by number and start time)
and is swept when the runner is dead, unless the runner detached it, as ``spot up`` does.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import logging
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from spot.testbed.errors import NoStateDirectory, NotOurs
from spot.testbed.process_id import ProcessId
from spot.testbed.topology import Topology
from spot.testbed.user_program import OwnProgram

__all__ = ["Run", "state_directory", "state_lock"]

log = logging.getLogger(__name__)

RECORD_VERSION = 4
RECORD_FILE = "record.json"
CONTROL = "control"
SOCKET_PATH_BYTES_MAX = 107
"""The longest path that a unix socket's address can hold. If a run's directory lies deeper, its
control directory is in the directory for temporary files, and ``control`` is a link to it."""


def state_directory() -> Path:
    """The directory of all runs. It is made if it is missing, for this user only.

    Raises NotOurs when this user can't write there, NoStateDirectory when nobody can.
    """
    directory = _chosen_directory()
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        if os.statvfs(directory).f_flag & os.ST_RDONLY:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        if not os.access(directory, os.R_OK | os.W_OK | os.X_OK):
            raise PermissionError
    except PermissionError:
        raise NotOurs(
            f"the runs in {directory} are another user's, or you may not write there: that user "
            "can end them, and SPOT_STATE_DIR names a directory of your own"
        ) from None
    except OSError as error:
        raise NoStateDirectory(
            f"runs can't be kept in {directory}: {error.strerror}. SPOT_STATE_DIR names another "
            "directory for them"
        ) from error
    return directory.absolute()


def _chosen_directory() -> Path:
    given, base = os.environ.get("SPOT_STATE_DIR"), os.environ.get("XDG_STATE_HOME")
    if given:
        return Path(given)
    try:
        state = Path(base) if base else Path.home() / ".local" / "state"
    except RuntimeError:
        raise NoStateDirectory(
            "runs can't be kept in ~/.local/state/spot: there is no home directory, as HOME is "
            f"unset and the system knows no user {os.getuid()}. SPOT_STATE_DIR names another "
            "directory for them"
        ) from None
    return state / "spot"


@contextlib.contextmanager
def state_lock(
    state: Path, name: str, on_wait: Callable[[], object] = lambda: None
) -> Iterator[None]:
    """Holds the lock of this name against other processes. Calls ``on_wait`` before waiting."""
    with (state / f"{name}.lock").open("w", encoding="ascii") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            on_wait()
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


@dataclass
class Run:
    """One cluster that was started. Changes reach the disk with ``save``."""

    directory: Path
    topology: Topology
    backend: str
    runner: ProcessId
    files: Path
    """Where logs and journals are."""
    settings: dict[str, str]
    """``SPOT_*`` variables that all nodes get."""
    journal: bool
    """Whether the nodes record journals."""
    created: float = field(default_factory=time.time)
    """Seconds since 1970."""
    detached: bool = False
    """The runner left the run up on purpose."""
    nodes: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What the backend must remember of each node."""
    proxied: bool = False
    """Whether a proxy stands between every pair."""
    proxy: dict[str, Any] | None = None
    """What the backend must remember of the proxy server. None: there is none, or not yet."""
    engine: dict[str, str] = field(default_factory=dict)
    """The variables that lead to the container engine of its containers. Empty: it has none."""
    program: OwnProgram | None = None
    """The user's program that runs as each node, on processes. None: SPOT's own."""
    image: str | None = None
    """The user's image that runs as each node, in containers. None: SPOT's own."""
    late: frozenset[str] = frozenset()
    """Nodes that are not started with the others."""

    @classmethod
    def create(
        cls,
        state: Path,
        topology: Topology,
        backend: str,
        *,
        settings: Mapping[str, str],
        journal: bool,
        files: Path | None = None,
        proxied: bool = False,
        program: OwnProgram | None = None,
        image: str | None = None,
        late: Iterable[str] = (),
    ) -> Run:
        """A new run of this process, with its directory and record. ``files`` None: beside it."""
        runner = ProcessId.of(os.getpid())
        if runner is None:  # pragma: no cover  a process always finds itself
            raise RuntimeError("/proc does not show this process: the testbed needs Linux's /proc")
        runs = state / "runs"
        runs.mkdir(exist_ok=True, mode=0o700)
        directory = runs / f"{topology.name}-{secrets.token_hex(4)}"
        # The directory appears together with its record.
        hidden = directory.with_name("." + directory.name)
        hidden.mkdir(mode=0o700)
        run = cls(
            hidden,
            topology,
            backend,
            runner,
            files or directory,
            dict(settings),
            journal,
            proxied=proxied,
            program=program,
            image=image,
            late=frozenset(late),
        )
        run._make_control_directory()
        run.save()
        hidden.rename(directory)
        run.directory = directory
        return run

    @classmethod
    def load(cls, directory: Path) -> Run:
        """The run of this directory. Raises OSError or ValueError when there is no such record."""
        document = json.loads((directory / RECORD_FILE).read_text(encoding="utf-8"))
        try:
            if document["version"] != RECORD_VERSION:
                raise ValueError(f"record version {document['version']} is not {RECORD_VERSION}")
            program = document["program"]
            return cls(
                directory=directory,
                topology=Topology.from_json(document["topology"]),
                backend=document["backend"],
                runner=ProcessId(document["runner"]["pid"], document["runner"]["start"]),
                files=Path(document["files"]),
                settings=document["settings"],
                journal=document["journal"],
                created=document["created"],
                detached=document["detached"],
                nodes=document["nodes"],
                proxied=document["proxied"],
                proxy=document["proxy"],
                engine=document["engine"],
                program=OwnProgram.from_json(program) if program else None,
                image=document["image"],
                late=frozenset(document["late"]),
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"the record lacks {error}") from error

    @classmethod
    def all(cls, state: Path) -> list[Run]:
        """Every run with a record, oldest first."""
        runs = []
        for directory in (state / "runs").glob("[!.]*"):
            try:
                runs.append(cls.load(directory))
            except FileNotFoundError:
                continue  # removed meanwhile
            except (OSError, ValueError) as error:
                log.warning("run %s is left alone: %s", directory, error)
        return sorted(runs, key=lambda run: run.created)

    @property
    def run_id(self) -> str:
        """The name of the directory; the run's processes carry it in their environment."""
        return self.directory.name.removeprefix(".")

    @property
    def is_abandoned(self) -> bool:
        """Whether its runner died without ending or detaching it."""
        return not self.detached and not self.runner.is_alive

    def log_file(self, node: str) -> Path:
        """The file of this node's standard output and error."""
        return self.files / f"{node}.log"

    def journal_file(self, node: str) -> Path:
        """The file of this node's journal."""
        return self.files / f"{node}.jsonl"

    @property
    def proxy_log_file(self) -> Path:
        """The file of the proxy server's output."""
        return self.files / "proxy-server.log"

    @property
    def control_directory(self) -> Path:
        """The directory of the nodes' control sockets, and of nothing else. Containers mount it."""
        return (self.directory / CONTROL).resolve()

    def control_socket(self, node: str) -> Path:
        """The socket on which this node answers for its status."""
        return self.control_directory / f"{node}.sock"

    def _make_control_directory(self) -> None:
        place = self.directory / CONTROL
        longest = max(len(os.fsencode(f"{name}.sock")) for name in self.topology.names)
        if len(os.fsencode(place)) + 1 + longest <= SOCKET_PATH_BYTES_MAX:
            place.mkdir()
        else:  # a user's own program binds the path as it is
            place.symlink_to(tempfile.mkdtemp(prefix="spot-"))

    def save(self) -> None:
        """Writes the record, whole or not at all."""
        document = {
            "version": RECORD_VERSION,
            "topology": self.topology.to_json(),
            "backend": self.backend,
            "runner": {"pid": self.runner.pid, "start": self.runner.start},
            "files": str(self.files),
            "settings": self.settings,
            "journal": self.journal,
            "created": self.created,
            "detached": self.detached,
            "nodes": self.nodes,
            "proxied": self.proxied,
            "proxy": self.proxy,
            "engine": self.engine,
            "program": self.program.to_json() if self.program else None,
            "image": self.image,
            "late": sorted(self.late),
        }
        path = self.directory / RECORD_FILE
        written = path.with_suffix(".new")
        written.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
        written.replace(path)

    def remove(self) -> None:
        """Removes the run's directory. Files in other directories stay."""
        shutil.rmtree(self.control_directory, ignore_errors=True)
        shutil.rmtree(self.directory, ignore_errors=True)
