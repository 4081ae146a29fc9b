"""How the documentation is built. One command, no network, warnings are errors:

uv run --group docs sphinx-build --fail-on-warning docs docs/_build/html
"""

import sys
from pathlib import Path

import django
from django.conf import settings

HERE = Path(__file__).parent
# The extensions of this documentation, and the benchmarks, whose figures it shows.
sys.path[:0] = [str(HERE / "_ext"), str(HERE.parent)]

settings.configure(
    INSTALLED_APPS=[
        "django.contrib.admin",
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.messages",
        "django_future_celery",
    ],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3"}},
)
django.setup()

project = "django-future-celery"
author = "The django-future-celery founders"
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "settings_reference",
    "benchmark_results",
]
exclude_patterns = ["_build"]

nitpicky = True
# What others document: nothing is fetched to find it.
nitpick_ignore_regex = [(r"py:.*", r"(?!django_future_celery\.).*")]

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "none"
autodoc_preserve_defaults = True

html_theme = "furo"
html_title = "django-future-celery"
html_static_path = ["_static"]
html_css_files = ["extra.css"]
html_copy_source = False
html_show_copyright = False
html_show_sphinx = False


def with_its_colons(app, what, name, item, options, lines):
    """Keep Napoleon from taking what stands before a colon for a type: an empty comment is the first line instead."""
    if what in ("attribute", "data", "property"):
        lines[:0] = ["..", ""]


def setup(app):
    app.connect("autodoc-process-docstring", with_its_colons, priority=400)
