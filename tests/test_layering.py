"""What may import what, who may change a status, and that everything public says what it is."""

import ast
import os
import subprocess
import sys
from graphlib import TopologicalSorter
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command

import django_future_celery

ROOT = Path(__file__).parent.parent
NAME = "django_future_celery"
PACKAGE = ROOT / NAME

#: The pure ones first; a module imports from its own layer, without a circle, or from those before it.
LAYERS = [
    ["states", "exceptions", "conf", "signals", "logs"],
    [
        "clock",
        "indexes",
        "backoff",
        "outages",
        "text",
        "redaction",
        "callables",
        "durations",
        "options",
        "calls",
        "nudges",
        "transactions",
        "flower",
    ],
    ["watching", "tracing", "metrics"],
    ["scalars", "pickles", "content_objects", "references", "serializers"],
    ["statements", "arrays", "leases", "querysets"],
    ["sizes", "reasons"],
    ["models"],
    ["rows", "scheduling", "bulk", "catalogue", "heartbeat", "leadership", "attempts", "recovery", "pruning", "sticky"],
    ["dispatcher", "runner"],
    ["batch"],
    ["processing", "presence", "checkup", "gauges"],
    ["publishing"],
    ["reporting"],
    ["tasks"],
    ["schedulers"],
]
#: Whoever uses the package from above. Nothing in the layers imports them, and they import no Celery.
ON_TOP = {"__init__", "fields", "checks", "project_checks", "apps", "views"}

#: (module, function) of every import that waits until it is needed.
DEFERRED = {
    ("__init__", "schedule_job"),
    ("__init__", "schedule_jobs"),
    ("__init__", "run_jobs"),
    ("__init__", "__getattr__"),
    ("models", "reschedule"),
    ("apps", "ready"),
    ("statements", "cursor_of"),
}

CELERY_ROOMS = {"publishing", "reporting", "tasks", "schedulers"}
CELERY = {"celery", "kombu", "billiard", "amqp", "vine", "django_celery_beat", "redis"}


def is_code(path):
    return "migrations" not in path.parts


TREES = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts): ast.parse(path.read_text())
    for path in sorted(PACKAGE.rglob("*.py"))
    if is_code(path)
}
MODULES = {name: tree for name, tree in TREES.items() if "." not in name}
LAYER_OF = {name: number for number, names in enumerate(LAYERS) for name in names}


def at_run_time(tree):
    """All nodes, except of what only type checkers see."""
    if isinstance(tree, ast.If) and "TYPE_CHECKING" in ast.dump(tree.test):
        return
    yield tree
    for child in ast.iter_child_nodes(tree):
        yield from at_run_time(child)


def imported(nodes):
    """The full names that the import statements among the nodes name, each with what it takes from them."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from ((alias.name, None) for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: write imports of the package in full"
            yield from ((node.module, alias.name) for alias in node.names)


def ours(nodes):
    """The modules of the package that are imported."""
    for module, name in imported(nodes):
        if module == NAME:
            yield name if name in TREES else "__init__"
        elif module.startswith(f"{NAME}."):
            yield module.removeprefix(f"{NAME}.").partition(".")[0]


def at_import(tree):
    """The nodes that are executed when the module is imported."""

    def visit(node):
        yield node
        for child in ast.iter_child_nodes(node):
            if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
                yield from visit(child)

    runtime = set(map(id, at_run_time(tree)))
    return [node for node in visit(tree) if id(node) in runtime]


def functions(tree):
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def test_every_module_has_its_layer():
    assert set(MODULES) == set(LAYER_OF) | ON_TOP


@pytest.mark.parametrize("module", LAYER_OF)
def test_imports_go_downwards(module):
    upwards = {other for other in ours(at_import(MODULES[module])) if LAYER_OF.get(other, 99) > LAYER_OF[module]}

    assert upwards == set()


def test_no_circle_is_in_any_layer():
    graph = {name: set(ours(at_import(MODULES[name]))) for name in LAYER_OF}

    assert len(list(TopologicalSorter(graph).static_order())) == len(LAYER_OF)  # raises CycleError


def test_imports_wait_in_the_named_functions_only():
    found = {
        (name, function.name)
        for name, tree in TREES.items()
        for function in functions(tree)
        if [*imported(ast.walk(function))]
    }

    assert found == DEFERRED


def test_celery_is_imported_in_its_rooms_only():
    rooms = {
        name
        for name, tree in TREES.items()
        if {module.partition(".")[0] for module, _ in imported(ast.walk(tree))} & CELERY
    }

    assert rooms == CELERY_ROOMS


def test_nothing_but_the_rooms_of_celery_leads_to_it():
    for name, tree in TREES.items():
        if name not in CELERY_ROOMS:
            assert not CELERY_ROOMS & set(ours(ast.walk(tree))), name


# -- importing --------------------------------------------------------------------------------------------------------


def python(code, **environment):
    clean = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=clean | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


PUBLIC = sorted(set(django_future_celery.__all__) - {"ScheduledJob"})
SEEN = f"""
import sys
from django.conf import settings
from django.apps import apps
assert not settings.configured
assert not apps.ready
print(*sorted({{name.partition(".")[0] for name in sys.modules}} & {CELERY!r}))
print(*sorted(name for name in sys.modules if name in ("{NAME}.models", "{NAME}.querysets", "{NAME}.scheduling")))
"""


def test_the_package_needs_neither_settings_nor_models_nor_celery():
    assert python(f"import {NAME}{SEEN}") == []


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_name_needs_neither_settings_nor_models_nor_celery(name):
    assert python(f"from {NAME} import {name}{SEEN}") == []


def test_the_decorators_work_without_settings():
    code = f"""
from {NAME} import job_as_parameter, non_atomic_job, sticky_job

@job_as_parameter
@non_atomic_job
def job(job):
    pass
{SEEN}"""
    assert python(code) == []


def test_the_beat_schedule_can_be_imported_in_a_settings_file():
    assert python(f"from {NAME}.conf import BEAT_SCHEDULE; list(BEAT_SCHEDULE){SEEN}") == []


def test_the_model_is_a_public_name_that_is_resolved_when_it_is_used():
    code = f"""
import django, {NAME}
django.setup()
from {NAME} import ScheduledJob
from {NAME}.models import ScheduledJob as same
assert ScheduledJob is same is {NAME}.ScheduledJob
"""
    assert python(code, DJANGO_SETTINGS_MODULE="tests.settings") == []


def test_setting_up_django_imports_no_celery():
    code = f"""
import sys
from django.conf import settings
settings.configure(
    INSTALLED_APPS=["django.contrib.admin", "django.contrib.auth", "django.contrib.contenttypes",
                    "django.contrib.messages", "{NAME}"],
    DATABASES={{"default": {{"ENGINE": "django.db.backends.sqlite3"}}}},
)
import django
django.setup()
from django.contrib import admin
admin.autodiscover()
import {NAME}.processing
print(*sorted({{name.partition(".")[0] for name in sys.modules}} & {CELERY!r}))
"""
    assert python(code) == []


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'missing'"):
        django_future_celery.missing  # noqa: B018


# -- the status -------------------------------------------------------------------------------------------------------


def assigned(tree):
    """The attributes that are assigned to, in any way."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store | ast.Del):
            yield node.attr
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("setattr", "delattr"):
            yield from (arg.value for arg in node.args[1:2] if isinstance(arg, ast.Constant))


@pytest.mark.parametrize("module", TREES)
def test_nobody_assigns_a_status(module):
    assert "status" not in assigned(TREES[module])


#: What belongs to a run or a dispatch, and so changes in querysets.py only.
RUNTIME = {
    "status",
    "wake_at",
    "attempts",
    "dispatched_at",
    "dispatches",
    "execution_start",
    "execution_end",
    "worker",
    "task_id",
    "return_value",
    "error",
    "failures",
    "unknown_since",
    "cancel_requested_at",
    "terminate",
    "unique_key",
}


@pytest.mark.parametrize("module", sorted(set(TREES) - {"querysets"}))
def test_only_the_queryset_updates_what_belongs_to_a_run(module):
    updates = [
        {keyword.arg for keyword in node.keywords} & (RUNTIME | {None})
        for node in ast.walk(TREES[module])
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in ("update", "aupdate", "bulk_update", "update_or_create", "_move")
    ]

    assert not any(updates)


@pytest.mark.parametrize("module", sorted(set(TREES) - {"arrays"}))  # Which adds rows alone.
def test_nobody_writes_sql_that_changes_rows(module):
    texts = [node.value for node in ast.walk(TREES[module]) if isinstance(node, ast.Constant)]

    assert not [text for text in texts if isinstance(text, str) and text.lstrip().startswith(("UPDATE ", "INSERT "))]


# -- migrations and words ---------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_the_migrations_are_those_of_the_models():
    out = StringIO()
    call_command("makemigrations", NAME, check=True, dry_run=True, stdout=out)  # SystemExit if not

    assert "No changes detected" in out.getvalue()


def commented(module, owner, kind):
    """The names in the body of a class, and whether a ``#:`` comment stands directly at each."""
    lines = (PACKAGE / f"{module}.py").read_text().splitlines()
    [body] = [node.body for node in TREES[module].body if isinstance(node, ast.ClassDef) and node.name == owner]
    for node in body:
        if isinstance(node, kind):
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            if target.id.isupper():
                yield target.id, lines[node.lineno - 2].strip().startswith("#: ") or "#: " in lines[node.lineno - 1]


@pytest.mark.parametrize(
    ("module", "owner", "kind"), [("conf", "Settings", ast.AnnAssign), ("states", "Status", ast.Assign)]
)
def test_every_setting_and_every_status_says_what_it_is(module, owner, kind):
    found = dict(commented(module, owner, kind))

    assert len(found) >= 6
    assert [name for name, comment in found.items() if not comment] == []


def test_every_exception_says_what_it_is():
    classes = [node for node in TREES["exceptions"].body if isinstance(node, ast.ClassDef)]

    assert len(classes) > 10
    assert [node.name for node in classes if not ast.get_docstring(node)] == []


def test_every_public_function_says_what_it_does():
    assert all(getattr(django_future_celery, name).__doc__ for name in PUBLIC)


def test_the_public_names_are_those_of_django_future_and_a_few():
    assert set(django_future_celery.__all__) == {
        "JobCancelled",
        "Job",
        "Retry",
        "ScheduledJob",
        "job_as_parameter",
        "job_options",
        "non_atomic_job",
        "run_jobs",
        "schedule_job",
        "schedule_jobs",
        "sticky_job",
    }
