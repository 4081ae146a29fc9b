"""The database: what ``DATABASE_URL`` names, or else an SQLite file."""


def from_url(url):
    if url.startswith("mysql"):
        use_pymysql_without_mysqlclient()
    import dj_database_url

    config = dj_database_url.parse(url)
    if url.startswith("mysql"):
        config["OPTIONS"] = {"charset": "utf8mb4"} | config.get("OPTIONS", {})
    return config


def use_pymysql_without_mysqlclient():
    try:
        import MySQLdb  # noqa: F401
    except ImportError:
        import pymysql

        # Django asks for mysqlclient's version; PyMySQL is the same API with nothing to compile.
        pymysql.version_info = (2, 2, 7, "final", 0)
        pymysql.install_as_MySQLdb()


def sqlite(path):
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": path,
        "OPTIONS": {
            # Readers do not wait for the writer.
            "init_command": "PRAGMA journal_mode=WAL",
            # There is one write lock. Asked for at the start of a transaction, it is waited for; asked for later, it
            # may be refused at once, with "database is locked".
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
        },
    }
