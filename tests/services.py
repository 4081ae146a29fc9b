"""Which servers answer here. Without any, the tests run on SQLite and an embedded broker.

``TEST_POSTGRESQL_URL``, ``TEST_MARIADB_URL``, ``TEST_REDIS_URL`` and ``TEST_RABBITMQ_URL`` name servers elsewhere;
``REQUIRE_SERVICES=1`` turns a missing server into an error.
"""

import os
from functools import cache

import dj_database_url
import pymysql

try:
    import MySQLdb  # noqa: F401
except ImportError:
    # Django asks for mysqlclient's version; PyMySQL is the same API with nothing to compile.
    pymysql.version_info = (2, 2, 7, "final", 0)
    pymysql.install_as_MySQLdb()

URLS = {
    "postgresql": os.environ.get("TEST_POSTGRESQL_URL", "postgres://postgres@127.0.0.1:5432/postgres"),
    "mariadb": os.environ.get("TEST_MARIADB_URL", "mysql://root@127.0.0.1:3306/test"),
    "redis": os.environ.get("TEST_REDIS_URL", "redis://127.0.0.1:6379/0"),
    "rabbitmq": os.environ.get("TEST_RABBITMQ_URL", "amqp://guest:guest@127.0.0.1:5672//"),
}


def _connect_postgresql(url: str) -> None:
    import psycopg

    psycopg.connect(url, connect_timeout=3).close()


def _connect_mariadb(url: str) -> None:
    config = dj_database_url.parse(url)
    pymysql.connect(
        host=config["HOST"],
        port=int(config["PORT"] or 3306),
        user=config["USER"],
        password=config["PASSWORD"],
        connect_timeout=3,
    ).close()


def _connect_redis(url: str) -> None:
    import redis

    redis.Redis.from_url(url, socket_connect_timeout=3, socket_timeout=3).ping()


def _connect_rabbitmq(url: str) -> None:
    import kombu

    with kombu.Connection(url, connect_timeout=3) as connection:
        connection.connect()


CONNECT = {
    "postgresql": _connect_postgresql,
    "mariadb": _connect_mariadb,
    "redis": _connect_redis,
    "rabbitmq": _connect_rabbitmq,
}


@cache
def available(name: str) -> bool:
    try:
        CONNECT[name](URLS[name])
    except Exception as error:
        required(f"{name} at {URLS[name]}", error)
        return False
    return True


def required(what: str, error: Exception | None = None) -> None:
    """Complain about what is missing, where nothing may be missing."""
    if os.environ.get("REQUIRE_SERVICES") == "1":
        raise RuntimeError(f"REQUIRE_SERVICES=1, but there is no {what}.") from error
