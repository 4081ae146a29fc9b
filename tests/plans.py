"""A table of any size, and a meter of what each statement reads of it."""

import json
import re
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count

import psycopg
from django.db import connections
from psycopg.adapt import PyFormat, Transformer

from django_future_celery.clock import SECOND, database_now, to_datetime
from django_future_celery.models import ScheduledJob

TABLE = ScheduledJob._meta.db_table
HOUR = 3600 * SECOND

COLUMNS = {
    "callable_name": "'tests.shop.jobs.note'",
    "args": "'[]'",
    "kwargs": "'{}'",
    "queue": "''",
    "max_attempts": "1",
    "attempts": "0",
    "dispatches": "0",
    "terminate": "false",
    "worker": "''",
    "task_id": "''",
    "error": "''",
}


def insert(alias, count, **columns):
    """Insert ``count`` rows; each column is an SQL expression of ``n``, from 0, or a datetime."""
    columns = COLUMNS | columns
    values = [value for value in columns.values() if not isinstance(value, str)]
    expressions = [value if isinstance(value, str) else "%s" for value in columns.values()]
    figures = range(len(str(count)))
    number = " + ".join(f"{10**i} * f{i}.i" for i in figures)
    tables = ", ".join(f"figures f{i}" for i in figures)
    with connections[alias].cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {TABLE} ({', '.join(columns)})"
            f" WITH figures(i) AS ({' UNION ALL '.join(f'SELECT {i}' for i in range(10))}),"
            f" numbers(n) AS (SELECT {number} FROM {tables} WHERE {number} < {count})"
            f" SELECT {', '.join(expressions)} FROM numbers",
            [connections[alias].ops.adapt_datetimefield_value(value) for value in values],
        )


def fill(alias, size, *, sent=20, running=20, ends=1, analyzed=True):
    """Fill the table with some ``size`` rows, the future ones first, then finished, then due; a few are sent, or run.

    Hardly any of the due rows has a high priority, and one priority is that of finished rows alone. Of those that are
    sent, and of those that run, a quarter has been so for too long.
    """
    truncate(alias)
    now = database_now(alias)
    past, later = to_datetime(now - HOUR), to_datetime(now + HOUR)
    due = {"status": "'scheduled'", "created_at": past, "time_slot_start": past, "wake_at": f"{now} - n - 1"}
    future = due | {"time_slot_start": later, "wake_at": f"{now + HOUR} + n"}
    # Their runs were long: no tick takes more than its settings say.
    began = to_datetime(now - 100 * HOUR)
    ended = due | {"status": "'complete'", "wake_at": "NULL", "execution_start": began, "execution_end": past}
    out = due | {"dispatched_at": past, "priority": "0", "wake_at": lease(now, sent)}
    runs = due | {"status": "'running'", "execution_start": past, "priority": "0", "wake_at": lease(now, running)}
    insert(alias, size * 2 // 10, **future, priority="(n %% 3 - 1) * 10")
    for ago in range(ends):
        end = to_datetime(now - HOUR - ago * SECOND)
        insert(alias, size * 6 // 10 // ends, **ended | {"execution_end": end}, priority="(n %% 2) * 90")
    insert(alias, 5, **due | {"time_slot_end": past}, priority="10")
    insert(alias, size * 2 // 10, **due, priority="-10")
    insert(alias, sent, **out)
    insert(alias, running, **runs | {"attempts": "1"})
    if analyzed:
        analyze(alias)


def truncate(alias):
    """Forget the rows that earlier tests deleted: InnoDB counts them as there until it has purged them."""
    if connections[alias].vendor == "mysql":
        with connections[alias].cursor() as cursor, connections[alias].constraint_checks_disabled():
            cursor.execute(f"TRUNCATE TABLE {TABLE}")


def lease(now, count):
    return f"CASE WHEN 4 * n < {count} THEN {now - HOUR} ELSE {now + HOUR} END + n"


def analyze(alias):
    """Tell the planner what is in the table."""
    statements = {"mysql": f"ANALYZE TABLE {TABLE}", "postgresql": f"VACUUM ANALYZE {TABLE}", "sqlite": "ANALYZE"}
    with connections[alias].cursor() as cursor:
        cursor.execute(statements[connections[alias].vendor])


@dataclass
class Reading:
    """A statement, and how much it read: rows, or on SQLite steps of its virtual machine."""

    sql: str
    read: int


@contextmanager
def metered(alias):
    """Give a list to which each statement of the block is added, with what it read."""
    connection = connections[alias]
    connection.ensure_connection()
    readings = []
    meter = {"mysql": RowsByHandler, "postgresql": RowsByPlan, "sqlite": Steps}[connection.vendor](connection, readings)
    with meter.installed(), connection.execute_wrapper(meter):
        yield readings


class Meter:
    def __init__(self, connection, readings):
        self.connection, self.readings = connection, readings

    @contextmanager
    def installed(self):
        yield


class RowsByPlan(Meter):
    """Runs each statement twice: at first by EXPLAIN ANALYZE, and that is rolled back."""

    def __call__(self, execute, sql, params, many, context):
        self.readings.append(Reading(sql, 0))
        if sql.startswith(("SELECT", "UPDATE", "DELETE")):
            plan = self.plan(sql, params)
            self.readings[-1].read = rows_read(plan)
        return execute(sql, params, many, context)

    def plan(self, sql, params):
        inside = self.connection.in_atomic_block
        with self.connection.connection.cursor() as cursor:
            cursor.execute("SAVEPOINT meter" if inside else "BEGIN")
            (plan,) = self.explain(cursor, sql, params)
            cursor.execute("ROLLBACK TO SAVEPOINT meter" if inside else "ROLLBACK")
        return (json.loads(plan) if isinstance(plan, str) else plan)[0]["Plan"]

    def explain(self, cursor, sql, params):
        """Where parameters go to the server, by the plan for any values of them."""
        explain = "EXPLAIN (ANALYZE, FORMAT JSON)"
        if not self.connection.settings_dict["OPTIONS"]["server_side_binding"]:
            return cursor.execute(f"{explain} {sql}", params).fetchone()
        cursor.execute("SET LOCAL plan_cache_mode = force_generic_plan")
        numbers, adapters = count(1), Transformer(cursor.connection)
        adapters.dump_sequence(params or (), [PyFormat.AUTO] * len(params or ()))
        known = cursor.connection.adapters.types
        types = ", ".join(known[oid].regtype if oid else "unknown" for oid in adapters.types or ())
        numbered = re.sub("%s", lambda found: f"${next(numbers)}", sql)
        cursor.execute(f"PREPARE metered {f'({types})' if types else ''} AS {numbered}")
        values = f"({', '.join(['%s'] * len(params))})" if params else ""
        cursor.execute(psycopg.ClientCursor(cursor.connection).mogrify(f"{explain} EXECUTE metered{values}", params))
        plan = cursor.fetchone()
        cursor.execute("DEALLOCATE metered")
        return plan


def rows_read(plan):
    """The rows that the scans of a plan have looked at."""
    removed = ("Rows Removed by Filter", "Rows Removed by Index Recheck")
    own = plan["Actual Rows"] + sum(plan.get(name, 0) for name in removed) if "Scan" in plan["Node Type"] else 0
    return own * plan["Actual Loops"] + sum(rows_read(child) for child in plan.get("Plans", ()))


class RowsByHandler(Meter):
    """Reads the counters of MariaDB and MySQL before and after each statement."""

    def __call__(self, execute, sql, params, many, context):
        itself = -self.count() + self.count()
        before = self.count()
        result = execute(sql, params, many, context)
        self.readings.append(Reading(sql, self.count() - before - itself))
        return result

    def count(self):
        with self.connection.connection.cursor() as cursor:
            names = "variable_name LIKE 'Handler_read%' OR variable_name = 'Handler_icp_attempts'"
            cursor.execute(f"SHOW SESSION STATUS WHERE {names}")
            return sum(int(value) for _, value in cursor.fetchall())


class Steps(Meter):
    EACH = 10

    def __call__(self, execute, sql, params, many, context):
        self.readings.append(Reading(sql, 0))
        return execute(sql, params, many, context)

    @contextmanager
    def installed(self):
        # Rows are fetched after the statement was begun, so its steps are those until the next one begins.
        self.connection.connection.set_progress_handler(self.step, self.EACH)
        yield
        self.connection.connection.set_progress_handler(None, 0)

    def step(self):
        if self.readings:
            self.readings[-1].read += self.EACH
