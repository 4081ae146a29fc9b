import json
import math
import pickle
import zoneinfo
from collections import OrderedDict, namedtuple
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from enum import Enum, Flag, IntEnum
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from django.contrib.auth.models import AnonymousUser, Group, User
from django.db import models
from django.test.utils import isolate_apps, override_settings
from django.utils.functional import SimpleLazyObject
from django.utils.safestring import mark_safe
from hypothesis import example, given
from hypothesis import strategies as st

from django_future_celery import references
from django_future_celery.exceptions import CorruptArguments, InvalidArguments, ObjectGone
from django_future_celery.serializers import MAX_DEPTH, dumps, loads, preview

BIND = "shop.jobs.remind|shop.order 5|args"


class Colour(Enum):
    RED = 1
    BLUE = "blue"


class Paint:
    class Shade(IntEnum):
        DARK = 1


class Size(IntEnum):
    SMALL = 1


class Right(Flag):
    READ = 1
    WRITE = 2


Point = namedtuple("Point", "x y")


class Thing:
    def __init__(self, name):
        self.name = name

    def __eq__(self, other):
        return type(other) is Thing and self.name == other.name

    def __hash__(self):
        return hash(self.name)

    def __repr__(self):
        return f"Thing({self.name!r})"


class Bomb:
    """Goes off when it is unpickled, but for the one time at which it proves itself."""

    fuse = 0

    def __reduce__(self):
        return (light, ())


def light():
    Bomb.fuse += 1
    return Bomb()


class NoWhere(tzinfo):
    """A zone that knows nothing."""

    def __repr__(self):
        return "NoWhere()"


class Fickle:
    def __reduce__(self):
        return (str, ("something else",))


class Grim:
    def __reduce__(self):
        return (grim, ())


def grim():
    raise ValueError("no such thing")


def kept(value, bind=BIND):
    return loads(dumps(value, bind=bind), bind=bind)


def exact(value):
    """Give a form that is the same only for values equal and of the same type at every depth, nan included."""
    if isinstance(value, dict):
        return type(value), [(exact(key), exact(item)) for key, item in value.items()]
    if isinstance(value, set | frozenset):
        return type(value), sorted(repr(exact(item)) for item in value)
    if isinstance(value, list | tuple):
        return type(value), [exact(item) for item in value]
    return type(value), hex(value) if type(value) is int else repr(value)


def faithful(one, other):
    return exact(one) == exact(other)


# Every code point, surrogates included.
TEXT = st.text(st.characters(codec=None, exclude_categories=())) | st.sampled_from(
    ["", "$tuple", "$", "\0", "\ud800", "\udc00", "\ud83d\ude00", "😀", "é"]
)
ZONES = (
    st.none()
    | st.just(UTC)
    | st.timezones()
    | st.builds(timezone, st.timedeltas(timedelta(hours=-23), timedelta(hours=23)))
    | st.just(timezone(timedelta(hours=1), "named"))
)
HASHABLE = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | TEXT
    | st.binary()
    | st.datetimes(timezones=ZONES, allow_imaginary=True)
    | st.builds(datetime.replace, st.datetimes(timezones=ZONES), fold=st.integers(0, 1))
    | st.sampled_from([datetime.min, datetime.max, datetime.max.replace(tzinfo=timezone.min)])
    | st.dates()
    | st.times(timezones=ZONES)
    | st.timedeltas()
    | st.decimals().filter(lambda value: not value.is_snan())
    | st.uuids()
    | st.sampled_from([*Colour, *Size, *Right, Right.READ | Right.WRITE, Paint.Shade.DARK])
    | st.builds(Thing, TEXT)
    | st.builds(Point, st.integers(), TEXT)
    | st.just(2**5000)
    | st.builds(mark_safe, TEXT)
)
HASHABLE = st.recursive(
    HASHABLE, lambda inner: st.lists(inner, max_size=3).map(tuple) | st.frozensets(inner, max_size=3), max_leaves=5
)
VALUES = st.recursive(
    HASHABLE,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.sets(HASHABLE, max_size=4)
        | st.dictionaries(TEXT, inner, max_size=4)
        | st.dictionaries(HASHABLE, inner, max_size=4)
        | st.dictionaries(TEXT, inner, max_size=4).map(OrderedDict)
    ),
    max_leaves=12,
)


@given(VALUES)
@example(datetime(2027, 10, 31, 2, 30, fold=1, tzinfo=ZoneInfo("Europe/Berlin")))
@example(time(2, 30, fold=1, tzinfo=ZoneInfo("Europe/Berlin")))
@example({"$tuple": [1]})
@example({1: "int", "1": "text", None: "none", (1, 2): "tuple"})
@example([math.nan, math.inf, -math.inf, -0.0, Decimal("sNaN"), Decimal("-0.00")])
@example({"\ud83d\ude00": "\ud83d\ude00"})
@example([True, 1, 1.0])
@example([-(2**2047), 2**2048, -(2**20000)])
def test_what_is_accepted_comes_back_equal_and_of_the_same_type(value):
    text = dumps(value, bind=BIND)
    assert text.isascii()
    assert "\0" not in text
    assert faithful(loads(text, bind=BIND), value)
    preview(text).encode()


@given(VALUES)
def test_without_pickles_a_value_is_exact_or_refused_with_its_part(value):
    with override_settings(FUTURE_CELERY_PICKLE=False):
        try:
            copy = kept(value)
        except InvalidArguments as refusal:
            assert str(refusal).startswith("args")
            assert "FUTURE_CELERY_PICKLE" in str(refusal)
        else:
            assert faithful(copy, value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ([None, True, 1, 1.5, "é", {"a": []}], '[null,true,1,1.5,"\\u00e9",{"a":[]}]'),
        ((1, "a"), '{"$tuple":[1,"a"]}'),
        ({1}, '{"$set":[1]}'),
        (frozenset(), '{"$frozenset":[]}'),
        (b"\0\xff", '{"$bytes":"AP8="}'),
        (math.inf, '{"$float":"inf"}'),
        (datetime(2027, 1, 1, tzinfo=UTC), '{"$datetime":["2027-01-01T00:00:00+00:00",0,null]}'),
        (
            datetime(2027, 1, 1, tzinfo=ZoneInfo("Asia/Tokyo")),
            '{"$datetime":["2027-01-01T00:00:00",0,"Asia/Tokyo"]}',
        ),
        (date(2027, 1, 1), '{"$date":"2027-01-01"}'),
        (time(9, fold=1), '{"$time":["09:00:00",1,null]}'),
        (timedelta(-1), '{"$timedelta":[-1,0,0]}'),
        (Decimal("1.50"), '{"$decimal":"1.50"}'),
        (UUID(int=5), '{"$uuid":"00000000-0000-0000-0000-000000000005"}'),
        ({2: "two"}, '{"$dict":[[2,"two"]]}'),
        ({"$a": 1}, '{"$dict":[["$a",1]]}'),
        ("\ud83d\ude00", '{"$str":["\\ud83d","\\ude00"]}'),
        (Colour.RED, f'{{"$enum":["{__name__}.Colour","RED"]}}'),
        (Size.SMALL, f'{{"$enum":["{__name__}.Size","SMALL"]}}'),
    ],
)
def test_the_stored_form_is_this(value, text):
    # A wire format: rows written today are read by later versions.
    assert dumps(value, bind=BIND) == text
    assert faithful(loads(text, bind=BIND), value)


@pytest.mark.parametrize(
    "value",
    [
        OrderedDict(a=1),
        Point(1, 2),
        mark_safe("b"),
        Right.READ | Right.WRITE,
        2**2048,
        Thing("a"),
        bytearray(b"a"),
        len,
    ],
)
def test_subclasses_and_strangers_are_pickled(value):
    assert json.loads(dumps(value, bind=BIND)).keys() == {"$pickle"}
    assert faithful(kept(value), value)


def test_only_the_part_that_needs_it_is_pickled():
    data = json.loads(dumps([1, {"a": Thing("a"), "b": [2]}], bind=BIND))
    assert data == [1, {"a": {"$pickle": data[1]["a"]["$pickle"]}, "b": [2]}]


def test_a_zone_that_is_not_only_its_offset_survives():
    named = datetime(2027, 1, 1, tzinfo=timezone(timedelta(hours=1), "named"))
    assert kept(named).tzname() == "named"
    assert repr(kept(datetime(2027, 1, 1, tzinfo=NoWhere()))).endswith("tzinfo=NoWhere())")


def test_a_zone_without_a_key_is_refused():
    with open(zoneinfo.TZPATH[0] + "/Europe/Berlin", "rb") as file:  # noqa: PTH123
        zone = ZoneInfo.from_file(file)
    with pytest.raises(InvalidArguments, match=r"args\[0\] is a datetime.datetime"):
        dumps([datetime(2027, 1, 1, tzinfo=zone)], bind=BIND)


def test_a_value_that_contains_itself_comes_back_so():
    inner = []
    outer = {"inner": [inner], "plain": 1}
    inner.append(outer["inner"])
    copy = kept(outer)
    assert copy["inner"][0][0] is copy["inner"]
    assert json.loads(dumps(outer, bind=BIND))["plain"] == 1


def test_the_same_list_twice_is_no_cycle():
    twice = [1]
    assert dumps([twice, twice], bind=BIND) == "[[1],[1]]"


def nest(depth):
    value = []
    for _ in range(depth - 1):
        value = [value]
    return value


def test_depth_has_a_limit():
    assert kept(nest(MAX_DEPTH)) == nest(MAX_DEPTH)
    with pytest.raises(InvalidArguments, match="deep"):
        dumps(nest(MAX_DEPTH + 1), bind=BIND)
    with pytest.raises(InvalidArguments, match="deep"):
        dumps(nest(100_000), bind=BIND)


@pytest.mark.parametrize(
    ("value", "part"),
    [
        (nest, "args is a"),
        ((1, {"when": ...}), r"args\[1\]\['when'\] is a"),
        ({"größe": ...}, r"args\['gr\\xf6\\xdfe'\] is a"),
        ({2: ...}, r"args.values\(\)\[0\] is a"),
        ({(1, ...): 1}, r"args.keys\(\)\[0\]\[1\] is a"),
    ],
)
def test_a_refusal_names_the_part_its_type_and_the_setting(settings, value, part):
    settings.FUTURE_CELERY_PICKLE = False
    with pytest.raises(InvalidArguments, match=rf"^{part} builtins\.\w+, .*FUTURE_CELERY_PICKLE is off") as refusal:
        dumps(value, bind=BIND)
    assert isinstance(refusal.value, TypeError)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (lambda: None, "lambda"),
        ((item for item in ()), "generator"),
        (Fickle(), "comes back as a str"),
        (Grim(), "ValueError: no such thing"),
        (type("Local", (), {"__module__": "__main__"})(), "script"),
    ],
)
def test_what_cannot_be_pickled_is_refused_with_the_reason(value, reason):
    with pytest.raises(InvalidArguments, match=rf"^args\[1\] is a .*{reason}"):
        dumps([1, value], bind=BIND)


def test_an_enum_of_a_function_is_refused():
    local = Enum("Local", "A")
    local.__qualname__ = "function.<locals>.Local"
    with pytest.raises(InvalidArguments, match="Local"):
        dumps(local.A, bind=BIND)


@pytest.fixture
def bomb():
    text = dumps([[Bomb()]], bind=BIND)
    Bomb.fuse = 0
    return text


def test_a_pickle_loads_at_its_place_only(bomb):
    loads(bomb, bind=BIND)
    assert Bomb.fuse == 1


def test_a_moved_or_changed_pickle_is_never_loaded(bomb):
    part = json.loads(bomb)[0][0]["$pickle"]
    body, _, signature = part.rpartition(":")
    foreign = f"{body[:-8]}AAAA{body[-4:]}:{signature}"
    for text, bind in [
        (bomb, BIND.replace("remind", "other")),
        (bomb, BIND.replace("5", "6")),
        (bomb, BIND.replace("args", "kwargs")),
        (json.dumps([{"$pickle": part}]), BIND),
        (json.dumps([[1, {"$pickle": part}]]), BIND),
        (json.dumps([{"a": {"$pickle": part}}]), BIND),
        (json.dumps([[{"$pickle": foreign}]]), BIND),
        (json.dumps([[{"$pickle": body}]]), BIND),
        (json.dumps([[{"$pickle": 5}]]), BIND),
    ]:
        with pytest.raises(CorruptArguments):
            loads(text, bind=bind)
    assert Bomb.fuse == 0


def test_a_pickle_signed_with_a_foreign_key_is_never_loaded(settings, bomb):
    settings.SECRET_KEY = "foreign"
    with pytest.raises(CorruptArguments, match=r"args\[0\]\[0\].*SECRET_KEY_FALLBACKS"):
        loads(bomb, bind=BIND)
    assert Bomb.fuse == 0


def test_a_pickle_signed_with_a_former_key_is_loaded(settings):
    text = dumps(Thing("a"), bind=BIND)
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "new"
    assert loads(text, bind=BIND) == Thing("a")


def test_a_pickle_is_not_loaded_where_pickles_are_off(settings, bomb):
    settings.FUTURE_CELERY_PICKLE = False
    with pytest.raises(CorruptArguments, match=r"args\[0\]\[0\].*FUTURE_CELERY_PICKLE"):
        loads(bomb, bind=BIND)
    assert Bomb.fuse == 0


def test_a_pickle_whose_class_moved_is_corrupt(monkeypatch):
    text = dumps([Thing("a")], bind=BIND)
    monkeypatch.delitem(globals(), "Thing")
    with pytest.raises(CorruptArguments, match=r"args\[0\] cannot be unpickled: AttributeError.*Thing"):
        loads(text, bind=BIND)


CORRUPT = [
    "",
    "{",
    "[1,",
    "1" * 5000,
    "[" * 100_000,
    '{"$nonsense":1}',
    '{"$tuple":[],"a":1}',
    '{"a":1,"$tuple":[]}',
    '{"$tuple":5}',
    '{"$set":[[1]]}',
    '{"$dict":[[1]]}',
    '{"$dict":[[[],1]]}',
    '{"$bytes":"?"}',
    '{"$bytes":5}',
    '{"$float":"much"}',
    '{"$decimal":"much"}',
    '{"$uuid":"5"}',
    '{"$date":"soon"}',
    '{"$datetime":"2027-01-01"}',
    '{"$datetime":["2027-01-01T00:00:00",2,null]}',
    '{"$datetime":["2027-01-01T00:00:00",0,"No/Where"]}',
    '{"$datetime":["2027-01-01T00:00:00",0,"Europe"]}',
    '{"$timedelta":[1e99]}',
    '{"$str":[1]}',
    '{"$enum":["no.such.Enum","A"]}',
    '{"$enum":["os.getcwd","A"]}',
    '{"$enum":["http.HTTPStatus","NONE"]}',
    '{"$enum":5}',
    '{"$model":["no.model","5","default"]}',
    '{"$model":["auth.group","five","default"]}',
    '{"$model":[]}',
    '{"$pickle":"AAAA"}',
]


@pytest.mark.parametrize("text", CORRUPT, ids=lambda text: text[:40])
def test_text_of_another_kind_is_corrupt(text):
    with pytest.raises(CorruptArguments, match=r"^args "):
        loads(text, bind=BIND)


@given(
    st.text()
    | st.recursive(
        st.none() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(["$tuple", "$set", "$dict", "$datetime", "$enum", "$pickle", "$x", "a"]), inner
            )
        ),
    ).map(json.dumps)
)
def test_any_text_is_read_or_corrupt_and_has_a_preview(text):
    preview(text)
    try:
        loads(text, bind=BIND)
    except CorruptArguments:
        pass


@pytest.mark.django_db
def test_a_model_instance_is_a_reference_fetched_anew():
    group = Group.objects.create(name="old")
    text = dumps({"group": group}, bind=BIND)
    Group.objects.update(name="new")
    assert text == f'{{"group":{{"$model":["auth.group","{group.pk}","default"]}}}}'
    copy = loads(text, bind=BIND)["group"]
    assert (type(copy), copy, copy.name) == (Group, group, "new")


@pytest.mark.django_db
def test_model_instances_may_be_anywhere():
    group, user = Group.objects.create(name="a"), User.objects.create(username="b")
    value = {group: (user, [group]), 1: {user}}
    assert kept(value) == value


@pytest.mark.django_db
def test_deferred_and_lazy_instances_come_back_as_their_model():
    user = User.objects.create(username="a")
    assert kept(User.objects.only("pk").get()) == user
    copy = kept(SimpleLazyObject(lambda: user))
    assert (type(copy), copy) == (User, user)


@pytest.mark.django_db
def test_a_deleted_instance_is_named():
    group = Group.objects.create(name="a")
    text = dumps([group], bind=BIND)
    Group.objects.all().delete()
    with pytest.raises(ObjectGone, match=rf"args\[0\]: auth.Group {group.pk} is gone"):
        loads(text, bind=BIND)


def test_an_unsaved_instance_is_refused():
    for instance in (Group(), Group(pk=5)):
        with pytest.raises(InvalidArguments, match=r"args\[0\] is a auth.Group that is not saved"):
            dumps([instance], bind=BIND)


def test_a_lazy_object_around_something_else_is_refused():
    with pytest.raises(InvalidArguments, match="comes back as a AnonymousUser"):
        dumps(SimpleLazyObject(AnonymousUser), bind=BIND)


def saved(model, **fields):
    instance = model(**fields)
    instance._state.adding = False
    return instance


def test_an_instance_of_a_model_that_is_not_installed_is_refused():
    with isolate_apps("django.contrib.auth"):

        class Stranger(models.Model):
            class Meta:
                app_label = "auth"

    with pytest.raises(InvalidArguments, match="not installed"):
        dumps(saved(Stranger, pk=1), bind=BIND)


def test_an_instance_with_a_composite_key_is_refused():
    with isolate_apps("django.contrib.auth"):

        class Pair(models.Model):
            pk = models.CompositePrimaryKey("one", "two")
            one = models.IntegerField()
            two = models.IntegerField()

            class Meta:
                app_label = "auth"

    with pytest.raises(InvalidArguments, match="composite"):
        dumps(saved(Pair, one=1, two=2), bind=BIND)


@pytest.mark.django_db
def test_a_proxy_keeps_its_class(monkeypatch):
    with isolate_apps("django.contrib.auth") as isolated:

        class Team(Group):
            class Meta:
                app_label = "auth"
                proxy = True

    monkeypatch.setattr(references, "apps", isolated)
    Group.objects.create(name="a")
    assert type(kept(Team.objects.get())) is Team


class Primary:
    """A router in front of replicas, which may be behind."""

    def __init__(self, name):
        self.name = name

    def db_for_write(self, model, **hints):
        return self.name

    def db_for_read(self, model, **hints):
        return "replica"


@pytest.mark.django_db
def test_the_database_is_the_one_that_the_router_writes_to(settings):
    group = Group.objects.create(name="a")
    settings.DATABASE_ROUTERS = [Primary("before")]
    text = dumps(group, bind=BIND)
    assert '"before"' in text
    # A database that is no longer configured leaves the choice to the router.
    settings.DATABASE_ROUTERS = [Primary("default")]
    assert loads(text, bind=BIND) == group


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ((1, "a", None), "(1, 'a', None)"),
        ((1,), "(1,)"),
        (
            [{"a": 1.5}, set(), {1}, frozenset(), frozenset([2])],
            "[{'a': 1.5}, set(), {1}, frozenset(), frozenset({2})]",
        ),
        ({1: (), "$a": True}, "{1: (), '$a': True}"),
        (Thing("a"), "<pickled>"),
        (Colour.BLUE, "Colour.BLUE"),
        ([b"\0", "\ud83d\ude00", math.nan], r"[b'\x00', '\ud83d\ude00', nan]"),
        (datetime(2027, 1, 1, 9, tzinfo=ZoneInfo("Asia/Tokyo")), "datetime(2027-01-01 09:00:00+09:00)"),
        ([date(2027, 1, 1), Decimal("1.5")], "[date(2027-01-01), Decimal(1.5)]"),
        (timedelta(days=5), "timedelta(5 days, 0:00:00)"),
    ],
)
def test_a_preview_reads_like_python(value, shown):
    assert preview(dumps(value, bind=BIND)) == shown


@pytest.mark.django_db
def test_a_preview_names_model_instances_without_fetching(django_assert_num_queries):
    group = Group.objects.create(name="a")
    text = dumps([group], bind=BIND)
    with django_assert_num_queries(0):
        assert preview(text) == f"[<auth.group {group.pk}>]"


def test_a_preview_neither_unpickles_nor_imports(bomb, monkeypatch):
    def refuse(*args):
        raise AssertionError

    monkeypatch.setattr(pickle, "loads", refuse)
    monkeypatch.setattr(references, "resolve", refuse)
    assert preview(bomb) == "[[<pickled>]]"
    assert preview('{"$enum":["shop.Colour","RED"]}') == "Colour.RED"


@pytest.mark.parametrize("text", ["", "{", '{"$nonsense":1}', '{"$date":"soon"}', '{"$a":1,"$b":2}', "[" * 100_000])
def test_a_preview_of_corrupt_text_is_the_text(text):
    assert preview(text) == text


class Forgetful:
    """Whoever pickles it loses what it holds."""

    def __init__(self, held):
        self.held = held

    def __eq__(self, other):
        return self.held == other.held

    __hash__ = None

    def __getstate__(self):
        return {"held": None}


def test_a_pickle_that_loses_something_is_refused():
    with pytest.raises(InvalidArguments, match=r"args\[0\] is a .*Forgetful.* comes back as something else"):
        dumps([Forgetful(1)], bind=BIND)
    assert kept(Forgetful(None)) == Forgetful(None)
