import functools
import os.path
import sys

import pytest
from django.contrib.auth.models import Group, User

from django_future_celery import callables
from django_future_celery.callables import (
    check_allowed,
    check_arguments,
    find_method,
    is_atomic,
    job_as_parameter,
    non_atomic_job,
    path_of,
    resolve,
    takes_job,
)
from django_future_celery.exceptions import (
    CallableNotAllowed,
    CallableNotFound,
    InvalidArguments,
    InvalidCallable,
)

HERE = __name__


def remind(order, text="pay", *, loud=False):
    return text


def shadowed():
    return "original"


original = shadowed


def shadowed():
    return "replacement"


nameless = lambda: None  # noqa: E731


class Mailer:
    @staticmethod
    def send():
        return "sent"

    @classmethod
    def build(cls):
        return cls()

    def deliver(self):
        return "delivered"

    def __call__(self):
        return "called"


def nested():
    def inner():
        return None

    return inner


ROUND_TRIPS = [
    (remind, f"{HERE}.remind"),
    (Mailer.send, f"{HERE}.Mailer.send"),
    (Mailer.deliver, f"{HERE}.Mailer.deliver"),
    (Mailer, f"{HERE}.Mailer"),
]


@pytest.mark.parametrize(("target", "path"), ROUND_TRIPS)
def test_a_callable_of_a_module_has_a_path_that_leads_back_to_it(target, path):
    assert path_of(target) == path
    assert resolve(path) is target


def test_a_path_or_a_method_name_stays_as_it_is():
    assert path_of("no.such.module.function") == "no.such.module.function"
    assert path_of("remind") == "remind"


@pytest.mark.parametrize(
    "path", ["", ".", "shop.", ".shop", "shop..jobs", "shop:jobs", "shop jobs", "a-b.c", "1.2", "f()"]
)
def test_a_string_that_can_be_no_path_is_refused(path):
    with pytest.raises(CallableNotFound, match="is no path"):
        path_of(path)
    with pytest.raises(CallableNotFound, match="is no path"):
        resolve(path)


@pytest.mark.parametrize(
    ("target", "cure"),
    [
        (nameless, "top level"),
        (nested(), "top level"),
        (functools.partial(remind, 1), "as args and kwargs"),
        (Mailer().deliver, "as content_object"),
        (Mailer.build, "path of the class method"),
        (Mailer(), "a function of a module"),
        (original, "pass what the path leads to"),
        ([].append, "a function of a module"),
        (5, "a function of a module"),
        (None, "a function of a module"),
    ],
)
def test_a_callable_that_no_other_process_finds_is_refused_with_a_cure(target, cure):
    with pytest.raises(InvalidCallable, match=cure):
        path_of(target)


def test_a_function_of_a_script_is_refused():
    script = {"__name__": "__main__"}
    exec("def job(): pass", script)
    with pytest.raises(InvalidCallable, match="script"):
        path_of(script["job"])


def test_a_function_that_left_its_module_is_refused(monkeypatch):
    gone = remind
    monkeypatch.delattr(sys.modules[HERE], "remind")
    with pytest.raises(InvalidCallable, match="cannot be found by its own path"):
        path_of(gone)


def test_a_decorated_function_is_found_by_its_path():
    assert path_of(functools.wraps) == "functools.wraps"


def test_a_path_longer_than_the_column_is_refused():
    assert path_of("a." + "b" * 253)
    with pytest.raises(InvalidCallable, match="255"):
        path_of("a." + "b" * 254)


def test_a_class_method_and_an_alias_resolve():
    assert resolve(f"{HERE}.Mailer.build") == Mailer.build
    assert resolve("os.path.join") is os.path.join


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Writes a module of package ``lab_package`` and forgets it afterwards."""
    package = tmp_path / "lab_package"
    package.mkdir()
    (package / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    yield lambda name, code: (package / f"{name}.py").write_text(code)
    for name in [name for name in sys.modules if name.startswith("lab_package")]:
        del sys.modules[name]


@pytest.mark.parametrize(
    ("path", "trouble"),
    [
        ("no_such_package.jobs.remind", "there is no module 'no_such_package'"),
        ("lab_package.no_such.remind", "module 'lab_package' has no 'no_such'"),
        ("remind", "names no module"),
    ],
)
def test_a_missing_module_is_named(module, path, trouble):
    with pytest.raises(CallableNotFound, match=trouble) as refusal:
        resolve(path)
    assert repr(path) in str(refusal.value)


@pytest.mark.parametrize(
    ("code", "cause", "message"),
    [
        ("import no_such_library", ModuleNotFoundError, "no_such_library"),
        ("from lab_package import nothing", ImportError, "nothing"),
        ("import lab_package.other", ModuleNotFoundError, "lab_package.other"),
        ("1 / 0", ZeroDivisionError, "division by zero"),
        ("def broken(:", SyntaxError, "invalid syntax"),
    ],
)
def test_an_error_inside_the_module_is_told_and_chained(module, code, cause, message):
    module("jobs", code)
    with pytest.raises(CallableNotFound, match=message) as refusal:
        resolve("lab_package.jobs.remind")
    assert isinstance(refusal.value.__cause__, cause)


def test_a_missing_attribute_is_named_with_close_names():
    with pytest.raises(CallableNotFound, match=rf"module '{HERE}' has no 'remnid'. Did you mean 'remind'"):
        resolve(f"{HERE}.remnid")
    with pytest.raises(CallableNotFound, match=r"Mailer'> has no 'sned'. Did you mean 'send'"):
        resolve(f"{HERE}.Mailer.sned")
    with pytest.raises(CallableNotFound, match=r"has no 'zzz'\.$"):
        resolve(f"{HERE}.zzz")


def test_something_that_cannot_be_called_is_not_found():
    with pytest.raises(CallableNotFound, match="is a str, which cannot be called"):
        resolve(f"{HERE}.HERE")


def test_a_method_is_found_on_its_model():
    assert find_method(User, "get_full_name") is User.get_full_name


@pytest.mark.parametrize(
    ("model", "name", "trouble"),
    [
        (User, "get_ful_name", r"auth.User has no method 'get_ful_name'. Did you mean 'get_full_name'"),
        (User, "is_anonymous", "cannot be called"),
        (Group, "name", "cannot be called"),
        (Group, "objects", "cannot be called"),
    ],
)
def test_what_is_no_method_of_the_model_is_not_found(model, name, trouble):
    with pytest.raises(CallableNotFound, match=trouble):
        find_method(model, name)


@pytest.mark.parametrize("patterns", [None, ["shop.jobs.*"], ["other", "shop.jobs.remind"]])
def test_a_path_that_a_pattern_names_is_allowed(settings, patterns):
    settings.FUTURE_CELERY_ALLOWED_CALLABLES = patterns
    check_allowed("shop.jobs.remind")


@pytest.mark.parametrize("patterns", [[], ["shop.jobs"], ["SHOP.JOBS.*"], ["shop.*.x"]])
def test_a_path_that_no_pattern_names_is_refused(settings, patterns):
    settings.FUTURE_CELERY_ALLOWED_CALLABLES = patterns
    with pytest.raises(CallableNotAllowed, match=r"'shop.jobs.remind'.*FUTURE_CELERY_ALLOWED_CALLABLES"):
        check_allowed("shop.jobs.remind")


@pytest.mark.parametrize(
    ("leading", "args", "kwargs"),
    [(1, (), {}), (0, (1, "pay"), {}), (1, ("pay",), {"loud": True}), (0, (), {"order": 1})],
)
def test_arguments_that_fit_are_accepted(leading, args, kwargs):
    check_arguments(remind, leading, args, kwargs)


@pytest.mark.parametrize(
    ("leading", "args", "kwargs", "trouble"),
    [
        (0, (), {}, "missing a required argument: 'order'"),
        (1, (1, 2), {}, "too many positional arguments"),
        (1, (), {"order": 1}, "multiple values for argument 'order'"),
        (1, (), {"colour": 1}, "colour"),
        (1, (), {1: 1}, "strings"),
    ],
)
def test_arguments_that_do_not_fit_are_refused_with_the_signature(leading, args, kwargs, trouble):
    with pytest.raises(InvalidArguments, match=trouble) as refusal:
        check_arguments(remind, leading, args, kwargs)
    assert "remind(order, text='pay', *, loud=False)" in str(refusal.value)


@pytest.mark.parametrize("function", [getattr, type, "no callable"])
def test_a_callable_without_a_signature_takes_all(monkeypatch, function):
    def unknown(function, **options):
        raise ValueError("no signature found")

    monkeypatch.setattr(callables.inspect, "signature", unknown)
    check_arguments(function, 7, (1,), {"colour": 2})


def test_unmarked_callables_take_no_job_and_are_atomic():
    assert not takes_job(remind)
    assert is_atomic(remind)
    assert not takes_job(print)


def test_marks_stay_apart_and_leave_the_function_as_it_is():
    def job():
        return None

    assert job_as_parameter(job) is job
    assert takes_job(job)
    assert is_atomic(job)
    assert non_atomic_job(job) is job
    assert not is_atomic(job)


def test_marks_show_on_static_class_and_bound_methods():
    class Jobs:
        @job_as_parameter
        @staticmethod
        def static(job):
            return None

        @job_as_parameter
        @classmethod
        def of_class(cls, job):
            return None

        @non_atomic_job
        def method(self):
            return None

    assert takes_job(Jobs.static)
    assert takes_job(Jobs.of_class)
    assert not is_atomic(Jobs().method)


def test_marks_survive_functools_wraps():
    @job_as_parameter
    def job(job):
        return None

    assert takes_job(functools.wraps(job)(lambda job: None))
