"""The figures of the benchmarks: ``{measured} drain`` gives the table of a section, as the last run has written it.

``{measured-on}`` tells of the machine, ``{measured-with}`` how each that took part was configured.
"""

import json
import re
from pathlib import Path

from sphinx.util.docutils import SphinxDirective

from benchmarks.figures import Figure
from benchmarks.report import configured, measured

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
        facts = about["machine"] if about else {}
        return self.parse_text_to_nodes("\n".join(f"- {name}: {value}" for name, value in facts.items()) or NOT_YET)


class Configured(SphinxDirective):
    def run(self):
        about = read()
        return self.parse_text_to_nodes("\n".join(configured(about) if about else [NOT_YET]))


def lines(section):
    about = read()
    if not about or section not in about["runs"]:
        return [NOT_YET]
    return map(with_spreads, measured(section, [Figure(**each) for each in about["figures"]], about))


def with_spreads(line):
    """Mark the lowest and the highest of the rounds, which the style sheet keeps together and small."""
    return re.sub(r"(?<=\d) (\(\S+\N{EN DASH}\S+\))", r'<span class="spread">\1</span>', line)


def read():
    return json.loads(RESULTS.read_text()) if RESULTS.is_file() else None


def setup(app):
    app.add_directive("measured", Measured)
    app.add_directive("measured-on", Machine)
    app.add_directive("measured-with", Configured)
    return {"parallel_read_safe": True}
