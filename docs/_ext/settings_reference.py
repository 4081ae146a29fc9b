"""The settings as ``conf.py`` and ``checks.py`` of the package have them: comment, default, what it may be, check.

``{settings-table}`` lists all, ``{settings}`` documents those that it names.
"""

from sphinx.pycode import ModuleAnalyzer
from sphinx.util.docutils import SphinxDirective

from django_future_celery import checks, conf
from django_future_celery.checks import RULES
from django_future_celery.conf import PREFIX, Settings

#: Of each setting, in the order of the file, its two paragraphs: what it means, and when to change it.
COMMENTS = {
    name: [" ".join(paragraph.split()) for paragraph in "\n".join(lines).strip().split("\n\n")]
    for (owner, name), lines in ModuleAnalyzer.for_module(Settings.__module__).find_attr_docs().items()
    if owner == Settings.__name__
}


class Lines(SphinxDirective):
    """Whatever ``lines`` gives, read as if it stood on the page."""

    def run(self):
        for module in (checks, conf):
            self.env.note_dependency(module.__file__)
        return self.parse_text_to_nodes("\n".join(self.lines()))


class SettingsTable(Lines):
    def run(self):
        (table,) = super().run()
        table["classes"].append("settings-table")
        return [table]

    def lines(self):
        yield from (f"| `{PREFIX}…` | default | meaning |", "|---|---|---|")
        for name in COMMENTS:
            yield f"| {{confval}}`{name} <{PREFIX}{name}>` | {default(name)} | {meaning(name)} |"


class SettingsReference(Lines):
    has_content = True

    def lines(self):
        for name in " ".join(self.content).split():
            yield from entry(name)


def entry(name):
    rule = RULES[name]
    yield from (f":::{{confval}} {PREFIX}{name}", f":default: {default(name)}", "")
    yield from (meaning(name), "", f"**Change it**: {COMMENTS[name][1]}", "")
    yield from (f"It may be {rule.words} (`future_celery.{rule.id}`).", ":::", "")


def meaning(name):
    return COMMENTS[name][0]


def default(name):
    return f"`{getattr(Settings, name)!r}`"


def setup(app):
    app.add_directive("settings-table", SettingsTable)
    app.add_directive("settings", SettingsReference)
    return {"parallel_read_safe": True}
