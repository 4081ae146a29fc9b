"""Documentation with code in it, and a project in which a reader follows it word for word."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import NamedTuple

from tests.processes import transport_options

ROOT = Path(__file__).parent.parent

#: What whoever follows has in his project already, or chooses: the app with the jobs, and a broker.
CHOSEN = """
INSTALLED_APPS += ["shop"]
if "MAILERS" not in globals():  # From Django 6.1 on, a new project has a backend that prints.
    EMAIL_BACKEND = "django.core.mail.backends.console.EmailBackend"
CELERY_BROKER_URL = "filesystem://"
CELERY_BROKER_TRANSPORT_OPTIONS = {options!r}
"""

BEFORE_THE_EXAMPLES = """
import django
django.setup()
from shop.models import Order
order = Order.objects.create(email="ada@example.com")
"""


class Block(NamedTuple):
    language: str
    text: str

    @property
    def path(self):
        """The file that the block belongs into; the first line of the block names it."""
        named = re.match(r"# (\S+\.py)\n", self.text)
        return named and named[1]


class Document:
    """A file of Markdown, by its path from the root of the repository."""

    def __init__(self, path):
        self.path = path
        self.text = (ROOT / path).read_text()

    def blocks(self, language):
        found = re.findall(r"^( *)```([\w-]*)\n(.*?)^\1```$", self.text, re.DOTALL | re.MULTILINE)
        return [Block(name, textwrap.dedent(text)) for _, name, text in found if name == language]

    @property
    def files(self):
        return [block for block in self.blocks("python") if block.path]

    @property
    def examples(self):
        return [block.text for block in self.blocks("python") if not block.path]

    @property
    def shell_lines(self):
        return [line for block in self.blocks("shell") for line in block.text.splitlines()]

    def commands(self, start):
        return [shlex.split(line)[1:] for line in self.shell_lines if line.startswith(start)]


class Project:
    """A Django project in a folder of its own, and the processes that were started in it."""

    def __init__(self, folder):
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("DJANGO_", "CELERY_"))}
        self.folder, self.started = folder, []
        self.options = {
            "cwd": folder,
            "env": inherited | {"DJANGO_SETTINGS_MODULE": "mysite.settings"},
            "stdin": subprocess.DEVNULL,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.STDOUT,
            "text": True,
        }

    def __enter__(self):
        return self

    def __exit__(self, *error):
        for process in self.started:
            process.terminate()
            process.wait(30)

    def run(self, *command):
        """Run Python to its end, which must be a good one; give what it printed."""
        done = subprocess.run([sys.executable, *command], timeout=120, **self.options)
        assert done.returncode == 0, done.stdout
        return done.stdout

    def start(self, *command):
        """Leave Python running."""
        with (self.folder / f"{command[-1]}.log").open("w") as log:
            process = subprocess.Popen([sys.executable, *command], **self.options | {"stdout": log})
        self.started.append(process)
        return process

    def make(self, document):
        """Do what a document says that begins with nothing."""
        self.run("-m", "django", "startproject", "mysite", ".")
        self.run("manage.py", "startapp", "shop")
        (self.folder / "shop" / "tests.py").unlink()
        (self.folder / "shop" / "models.py").unlink()
        self.write(document.files)
        with (self.folder / "mysite" / "settings.py").open("a") as file:
            file.write(CHOSEN.format(options=transport_options("filesystem://", self.folder)))
        if os.environ.get("TEST_WITHOUT_BEAT") == "1":
            settings = self.folder / "mysite" / "settings.py"
            settings.write_text(re.sub(r".*django_celery_beat.*\n", "", settings.read_text()))
        self.migrate()

    def write(self, files):
        """Append each block to its file."""
        for block in files:
            (self.folder / block.path).parent.mkdir(exist_ok=True)
            with (self.folder / block.path).open("a") as file:
                file.write(f"\n{block.text}")

    def migrate(self):
        self.run("manage.py", "makemigrations", "shop")
        self.run("manage.py", "migrate")

    def copy(self, folder):
        """Give a project that goes on where this one is."""
        shutil.copytree(self.folder, folder, dirs_exist_ok=True)
        return Project(folder)

    def follow(self, examples):
        """Run the examples one after the other, in one process; give what they printed."""
        return self.run("-c", BEFORE_THE_EXAMPLES + "\n".join(examples))
