"""Where a measurement takes place: a database, a Redis number, a folder and a Python of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
import redis

from benchmarks import cpu
from benchmarks.peers.base import PREPARED, Peer
from benchmarks.processes import Broken, Processes, tail

ROOT = Path(__file__).parent.parent
WORK = Path(__file__).parent / ".work"
KEPT = ("django_migrations", "django_content_type", "procrastinate_version")


class Stage:
    """Made at the start, gone at the end; ``empty()`` between two runs."""

    def __init__(self, python: Path, postgresql: str, redis_url: str) -> None:
        self.python = python
        self.server_url = postgresql
        self.name = f"benchmark_{os.getpid()}"
        self.postgresql = urlunsplit(urlsplit(postgresql)._replace(path=f"/{self.name}"))
        self.redis_url = redis_url
        self.redis = redis.Redis.from_url(redis_url)

    def __enter__(self) -> Stage:
        if keys := self.redis.dbsize():
            raise SystemExit(f"{self.redis_url} holds {keys} keys: name an empty number with --redis, it is flushed.")
        self.on_server(f"CREATE DATABASE {self.name}")
        self.on_server(f"ALTER DATABASE {self.name} SET synchronous_commit = on")
        self.connection = psycopg.connect(self.postgresql, autocommit=True)
        self.servers = cpu.find_servers(self.connection.info.backend_pid, self.redis.info()["process_id"])
        WORK.mkdir(exist_ok=True)
        # Not in the system's folder for temporary files, which may be in memory: SQLite shall write to a disk.
        self.folder = Path(tempfile.mkdtemp(dir=WORK))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.connection.close()
        self.redis.flushdb()
        self.on_server(f"DROP DATABASE IF EXISTS {self.name} WITH (FORCE)")
        shutil.rmtree(self.folder, ignore_errors=True)

    def on_server(self, sql: str) -> None:
        with psycopg.connect(self.server_url, autocommit=True) as connection:
            connection.execute(sql)

    # -- data ---------------------------------------------------------------------------------------------------------

    def create_tables(self, peers: Sequence[Peer]) -> None:
        apps = sorted({app for peer in peers for app in peer.apps})
        self.call("django", "migrate", "--run-syncdb", "-v0", apps=apps)
        for peer in peers:
            if peer.schema:
                self.call(*peer.schema)

    def empty(self) -> None:
        """Forget all rows and messages, and have the server's own work done before the next run."""
        self.redis.flushdb()
        tables = [name for (name,) in self.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")]
        self.connection.execute(f"TRUNCATE {', '.join(name for name in tables if name not in KEPT)} CASCADE")

    def settle(self) -> None:
        """Statistics are right and dirty pages written, the same for everybody."""
        self.connection.execute("VACUUM ANALYZE")
        self.connection.execute("CHECKPOINT")

    def rows(self, sql: str, *params: Any) -> list[tuple[Any, ...]]:
        return self.connection.execute(sql, params or None).fetchall()

    def number(self, sql: str, *params: Any) -> int:
        return int(self.rows(sql, *params)[0][0])

    # -- processes ----------------------------------------------------------------------------------------------------

    def environment(
        self,
        *,
        url: str | None = None,
        apps: Iterable[str] = (),
        settings: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> dict[str, str]:
        """What ``benchmarks.project.place`` reads; on PostgreSQL ``options`` are those for speed, unless given."""
        place = {
            "database": url or self.postgresql,
            "options": dict(PREPARED if options is None and url is None else options or {}),
            "redis": self.redis_url,
            "apps": list(apps),
            "settings": dict(settings or {}),
        }
        return {
            "BENCHMARK": json.dumps(place),
            "DJANGO_SETTINGS_MODULE": "benchmarks.project.settings",
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
        }

    def processes(self, peer: Peer, folder: str = "", **settings: Any) -> Processes:
        environment = self.environment(apps=peer.apps, settings={**peer.settings, **settings}, options=peer.options)
        logs = self.folder / folder
        logs.mkdir(exist_ok=True)
        return Processes(self.python, environment, logs)

    def fill(self, peer: Peer, jobs: int) -> None:
        self.call("benchmarks.project.fill", peer.module, str(jobs), apps=peer.apps, settings=peer.settings)

    def call(self, module: str, *arguments: str, timeout: float = 900, **place: Any) -> str:
        """Run ``python -m module`` to its end; give what it printed. Raises Broken."""
        log = self.folder / "call.log"
        with log.open("wb") as errors:
            process = subprocess.Popen(
                [str(self.python), "-m", module, *arguments],
                env=os.environ | self.environment(**place),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,
            )
            try:
                output, _ = process.communicate(timeout=timeout)
            except BaseException as error:
                os.killpg(process.pid, 9)
                process.wait()
                if isinstance(error, subprocess.TimeoutExpired):
                    raise Broken(f"{module} {' '.join(arguments)} was still at work after {timeout:g} s") from error
                raise
        if process.returncode:
            raise Broken(f"{module} {' '.join(arguments)} ended with {process.returncode}: {tail(log)}")
        return output.decode()

    def ask(self, module: str, *arguments: str, **place: Any) -> Any:
        """Run ``python -m module``; give the JSON of its last line."""
        return json.loads(self.call(module, *arguments, **place).strip().splitlines()[-1])
