"""The figures of the benchmarks: ``{measured} drain`` gives the table of a section, as the last run has written it."""

import json
from pathlib import Path

from sphinx.util.docutils import SphinxDirective

from benchmarks.figures import Figure
from benchmarks.report import RULES, table

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results" / "results.json"

NOT_YET = "*Not measured yet: `uv run python -m benchmarks` writes the figures of this section.*"


class Measured(SphinxDirective):
    required_arguments = 1

    def run(self):
        self.env.note_dependency(str(RESULTS))
        return self.parse_text_to_nodes("\n".join(lines(self.arguments[0])))


class Machine(SphinxDirective):
    def run(self):
        about = read()
        facts = {**about["machine"], **about["options"]} if about else {}
        return self.parse_text_to_nodes("\n".join(f"- {name}: {value}" for name, value in facts.items()) or NOT_YET)


def lines(section):
    about = read()
    found = [Figure(**each) for each in about["figures"] if each["section"] == section] if about else []
    return [RULES[section], "", *table(found, about["peers"])] if found else [NOT_YET]


def read():
    return json.loads(RESULTS.read_text()) if RESULTS.is_file() else None


def setup(app):
    app.add_directive("measured", Measured)
    app.add_directive("measured-on", Machine)
    return {"parallel_read_safe": True}
