"""The languages of the admin: the catalogues have all that the sources say, and the pages say nothing else."""

import re
from datetime import timedelta
from gettext import NullTranslations
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path

import pytest
from babel.messages.extract import DEFAULT_KEYWORDS, extract
from babel.messages.mofile import read_mo
from babel.messages.pofile import read_po
from django.contrib.contenttypes.models import ContentType
from django.utils import timezone, translation
from django.utils.translation import trans_real
from django.utils.translation.template import templatize

import django_future_celery
from django_future_celery.admin import chunks
from django_future_celery.clock import SECOND, database_now
from django_future_celery.models import Process, ScheduledJob
from django_future_celery.states import Kind, Status
from tests.factories import MINUTE, due_job, job_in, started_job
from tests.shop.models import Order
from tests.test_admin import LIST, admin_client  # noqa: F401

PACKAGE = Path(django_future_celery.__file__).parent
LANGUAGES = sorted(path.name for path in (PACKAGE / "locale").iterdir())
DB = "default"
MINUTE_IN_MICROS = 60 * SECOND
ADD = f"{LIST}add/?callable_name=tests.shop.jobs.add"

in_each_language = pytest.mark.parametrize("language", LANGUAGES)

# -- the catalogues ---------------------------------------------------------------------------------------------------

#: Django's names for the functions of gettext, with the places of what they take.
KEYWORDS = DEFAULT_KEYWORDS | {
    f"{name}_{suffix}": DEFAULT_KEYWORDS[name]
    for name in ("gettext", "ngettext", "pgettext", "npgettext")
    for suffix in ("lazy", "noop")
}


def python_of(path):
    """The source, or what Django makes of a template for gettext; that is no Python, but for its words."""
    text = path.read_text()
    if path.suffix == ".html":
        text = "\n".join(line.strip() for line in templatize(text, origin=path).splitlines())
    return BytesIO(text.encode())


def said_in(path):
    """The messages of a file, each with its context."""
    for _line, words, _comments, context in extract("python", python_of(path), KEYWORDS):
        yield context, words


def said():
    sources = [*PACKAGE.rglob("*.py"), *PACKAGE.rglob("*.html")]
    return {message for path in sources for message in said_in(path)}


def file_of(language, suffix):
    return PACKAGE / "locale" / language / "LC_MESSAGES" / f"django.{suffix}"


def catalogue(language, read=read_po, suffix="po"):
    with file_of(language, suffix).open("rb") as file:
        return read(file)


def messages(language):
    return [message for message in catalogue(language) if message.id]


def forms(value):
    return tuple(value) if isinstance(value, list | tuple) else (value,)


def content(read):
    return {(message.context, forms(message.id)): forms(message.string) for message in read if message.id}


def places(text):
    return sorted(re.findall(r"%(?:\(\w+\))?.", text) + re.findall(r"\{\w*\}", text))


def test_the_admin_speaks_three_languages_beside_english():
    assert {"de", "es", "fr"} <= set(LANGUAGES)


def test_messages_are_found_in_code_and_templates():
    found = said()
    assert {(None, "Run now"), ("jobs", "due"), ("verb", "Schedule"), (None, "Latest failures")} <= found
    assert (None, ("%(number)s scheduled job", "%(number)s scheduled jobs")) in found
    assert (None, "%(value)r is empty.") in found


@in_each_language
def test_a_catalogue_has_the_messages_of_the_sources_and_no_others(language):
    known = {(message.context, message.id) for message in messages(language)}
    assert said() - known == set(), "run makemessages and translate these"
    assert known - said() == set(), "run makemessages, which drops these"


@in_each_language
def test_every_message_is_translated_in_all_its_forms(language):
    translated = catalogue(language)
    for message in messages(language):
        assert not message.fuzzy, message.id
        number = translated.num_plurals if message.pluralizable else 1
        assert len(forms(message.string)) == number, message.id
        assert all(forms(message.string)), message.id


@in_each_language
def test_a_translation_has_the_places_and_the_edges_of_its_message(language):
    for message in messages(language):
        source = forms(message.id)[-1]
        for text in forms(message.string):
            assert places(text) == places(source), text
            assert [text[0].isspace(), text[-1].isspace()] == [source[0].isspace(), source[-1].isspace()], text
            assert ("…" in text) == ("…" in source), text


@in_each_language
def test_the_compiled_catalogue_says_what_the_written_one_does(language):
    assert content(catalogue(language, read_mo, "mo")) == content(catalogue(language))


@in_each_language
def test_a_catalogue_names_files_of_the_package_and_nobody(language):
    named = {name for message in messages(language) for name, _line in message.locations}
    assert named
    assert {name for name in named if not (PACKAGE / name).is_file()} == set()
    head = file_of(language, "po").read_text().partition("\n\n")[0]
    assert "@" not in head
    assert '"Report-Msgid-Bugs-To: \\n"' in head


# -- the pages --------------------------------------------------------------------------------------------------------

#: Attributes with words for people.
SPEAKING = ("title", "aria-label", "placeholder", "alt", "data-pause", "data-resume", "data-gone", "data-filter-title")


class Pieces(HTMLParser):
    """Collects what a page says: its texts, and the words in attributes and on buttons."""

    def __init__(self, html):
        super().__init__()
        self.found, self.silent = [], 0
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.silent += tag in ("script", "style")
        self.found += [attributes[name] for name in SPEAKING if attributes.get(name)]
        if tag == "input" and attributes.get("type") == "submit":
            self.found.append(attributes["value"])

    def handle_endtag(self, tag):
        self.silent -= tag in ("script", "style")

    def handle_data(self, data):
        if not self.silent:
            self.found.append(data)


def pieces(html):
    return {" ".join(each.split()).strip("› :") for each in Pieces(html).found if each.strip()}


@pytest.fixture
def jobs():
    """One job for each thing that a page can say of one."""
    order, now, soon = Order.objects.create(), timezone.now(), database_now(DB) + MINUTE_IN_MICROS
    of_order = {"content_type": ContentType.objects.get_for_model(Order), "object_id": str(order.pk)}
    made = [job_in(status, DB) for status in (*Status, Status.FAILED)]
    due_job(DB, **of_order, max_attempts=3, retry_backoff=1.5, unique_key="x", rescheduled_from=made[0].pk)
    due_job(DB, **of_order | {"object_id": "0"}, time_slot_start=now + timedelta(days=3, hours=2), rescheduled_from=0)
    due_job(DB, time_slot_start=now + timedelta(hours=5), queue="q", kwargs_text='{"n": 1}')
    sent, often, over, again, unknown, lost = (due_job(DB, max_attempts=2) for _ in range(6))
    rows = ScheduledJob.objects
    rows.filter(pk=sent.pk).update(dispatched_at=now, dispatches=1, wake_at=soon)
    rows.filter(pk=often.pk).update(dispatched_at=now, dispatches=7, wake_at=soon)
    rows.filter(pk=over.pk).update(time_slot_end=now - MINUTE)
    rows.filter(pk=unknown.pk).update(unknown_since=now - MINUTE, error="shop.jobs is not here")
    rows.try_again(rows.start(again.pk, 0, worker="w", task_id="t"), "boom", now, soon)
    rows.filter(pk=rows.start(lost.pk, 0, worker="w", task_id="t").pk).update(wake_at=1)
    started_job(DB).cancel()
    for kind in Kind:
        seen = soon - (2 if kind == Kind.WORKER else 60) * MINUTE_IN_MICROS
        Process.objects.create(name=f"p{kind[0]}", kind=kind, host="h", pid=7, since=seen, seen=seen)
    return list(rows.order_by("pk"))


def act(client, action, query="", **data):
    ids = list(ScheduledJob.objects.order_by("-pk").values_list("pk", flat=True))
    return client.post(f"{LIST}{query}", {"action": action, "_selected_action": ids} | data, follow=True)


def looks(client, jobs):
    """The pages that change nothing."""
    for query in ("", "?q=note", "?q=nowhere", "?state=failed", "?timing=late"):
        yield client.get(LIST + query)
    for query in ("", "?q=nowhere"):
        yield client.get(f"{LIST}overview/{query}")
    for job in jobs:
        yield client.get(f"{LIST}{job.pk}/change/")
    failed = next(job for job in jobs if job.status == Status.FAILED)
    yield client.get(f"{LIST}overview/retry/{failed.pk}/")
    yield client.get(f"{LIST}overview/retry/0/", follow=True)
    yield client.get(f"{LIST}add/")
    yield client.get(ADD)
    yield client.get(f"/admin/shop/order/{Order.objects.get().pk}/change/")
    yield client.get("/admin/")


def refusals(client):
    """The form with all that can be wrong in it."""
    whole = {"args": "[2]", "kwargs": "{}", "date": "1h", "expires": "1d", "priority": "0"}
    years = f"{10**6 * 4}d"
    times = (
        "5",
        "-5m",
        "P1Y",
        "2030-01-01",
        "soon",
        "1d1d",
        f"{10**9}d",
        years,
        "2030-13-01T09:00",
        "2030-03-31T02:30",
    )
    for date in (*times, " "):
        yield client.post(ADD, whole | {"date": date}, follow=True)
    for data in ({"expires": "0s"}, {"args": "["}, {"object_id": "1"}, {"priority": "1000"}):
        yield client.post(ADD, whole | data)


ACTIONS = ("run_now", "reschedule", "change_priority", "retry", "cancel", "terminate", "delete_selected")


def questions(client):
    """What the actions ask."""
    for action in ACTIONS:
        yield act(client, action, select_across="1")
    yield act(client, "terminate")


def deeds(client, monkeypatch):
    """How far the actions have come, and what they tell in the end."""
    with monkeypatch.context() as patch:
        patch.setattr(chunks, "SECONDS", 0)
        patch.setattr(chunks, "CHUNK", 2)
        yield act(client, "retry", select_across="1", sure="1")
    for action in ACTIONS:
        yield act(client, action, sure="1", date="1h", priority="7")
    yield act(client, "retry", query="?q=nowhere", select_across="1", sure="1")


def html_of(*responses):
    assert {response.status_code for response in responses} == {200}
    return [response.content.decode() for response in responses]


@pytest.fixture
def boss(admin_client, settings):  # noqa: F811
    settings.FUTURE_CELERY_ALLOWED_CALLABLES = ["tests.shop.jobs.add", "tests.shop.jobs.note"]
    return admin_client


class Brackets(NullTranslations):
    """A language in which each message is itself, in brackets."""

    def gettext(self, message):
        return f"⟦{message.rpartition(trans_real.CONTEXT_SEPARATOR)[2]}⟧"

    def ngettext(self, singular, plural, number):
        return self.gettext(singular if number == 1 else plural)

    def language(self):
        return "en"

    to_language = language


@pytest.fixture
def brackets():
    with translation.override("en"):
        trans_real._active.value = Brackets()
        yield


def without_brackets(text):
    while (rest := re.sub(r"⟦[^⟦⟧]*⟧", "", text)) != text:
        text = rest
    return re.sub(r"^Shop( \| \w+)?$", "", text.strip(" .,:|()›*0123456789"))


#: What the pages say in no language: names and code of these tests, what a row says of its end, a word of Django's.
DATA = {
    *("tests.shop.jobs.add", "tests.shop.jobs.note", "first, second=", "job, entry='done'", "shop.jobs", "boss"),
    *("Order object", "Orders", "Parcels", "order", "Note", "pb", "pc", "pw", '{"n": 1}'),
    *("result", "Traceback", "boom", "host", "task", "shop.jobs is not here"),
    *("Cancelled while it waited", "Expired: its slot was over before a worker could start it", "Search"),
}


@pytest.mark.django_db
@pytest.mark.urls("tests.test_admin_add")
def test_the_pages_say_nothing_that_cannot_be_translated(boss, jobs, monkeypatch, brackets):
    pages = html_of(*looks(boss, jobs), *questions(boss), *refusals(boss), *deeds(boss, monkeypatch))
    found = set().union(*map(pieces, pages))
    assert len(found) > 300
    fixed = {rest for piece in found if re.search(r"[^\W\d_]{2}", rest := without_brackets(piece))}
    assert fixed - DATA == set()


def pattern(message):
    words = " ".join(message.replace("%%", "%").split())
    return ".+".join(re.escape(part) for part in re.split(r"%\(\w+\).", words))


def patterns(texts):
    """Those that have a word of their own."""
    return {each for text in texts if re.search(r"\w{2}", (each := pattern(text)))}


@pytest.mark.django_db
@pytest.mark.urls("tests.test_admin_add")
@in_each_language
def test_the_pages_say_nothing_in_english(boss, jobs, language):
    with translation.override(language):
        found = set().union(*map(pieces, html_of(*looks(boss, jobs), *questions(boss))))
    own = patterns(text for message in messages(language) for text in forms(message.string))
    english = patterns(text for message in messages(language) for text in forms(message.id)) - own
    assert len(english) > 250
    of_own, of_english = (re.compile("|".join(each), re.IGNORECASE) for each in (own, english))
    assert {piece for piece in found - DATA if of_english.fullmatch(piece) and not of_own.fullmatch(piece)} == set()


@pytest.mark.django_db
@in_each_language
def test_what_a_program_reads_has_no_separators(boss, settings, language):
    settings.USE_THOUSAND_SEPARATOR = True
    failed = job_in(Status.FAILED, DB, id=1234567)
    with translation.override(language):
        asked = boss.get(f"{LIST}overview/retry/{failed.pk}/").content.decode()
        listed = boss.get(LIST).content.decode()
    assert re.findall(r'name="_selected_action" value="([^"]*)"', asked) == ["1234567"]
    assert re.findall(r'name="_selected_action" value="([^"]*)"', listed) == ["1234567"]
