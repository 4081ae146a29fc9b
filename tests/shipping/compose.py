"""docker-compose.yml as Docker would read it, and its services as processes of this machine."""

import os
import re
import shlex
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docker-compose.yml").read_text()
VARIABLE = re.compile(r"\$\{(\w+):\?[^}]+\}")


def example_environment():
    """What a copy of .env.example says."""
    lines = (ROOT / ".env.example").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def read(environment):
    """Give the services by name, with the variables filled in.

    Raises:
        KeyError: a variable is not there, of which Docker would say that it is required.
    """
    filled = VARIABLE.sub(lambda found: environment[found[1]], TEXT)
    return yaml.safe_load(filled)["services"]


def in_order(services):
    """The names of the services, each after those that it waits for."""
    return [
        *TopologicalSorter({name: service.get("depends_on", {}) for name, service in services.items()}).static_order()
    ]


def argv(words):
    """A command as Docker starts it: a list, or a line; a doubled dollar is one that the shell sees."""
    words = shlex.split(words) if isinstance(words, str) else words
    return [word.replace("$$", "$") for word in words]


def health_argv(service):
    kind, *words = argv(service["healthcheck"]["test"])
    return words if kind == "CMD" else ["/bin/sh", "-c", *words]


@dataclass
class Containers:
    """Processes in place of containers: the same commands and variables, but for where they find one another.

    Args:
        places: what to write instead of hosts and ports.
        environment: what the image has, beside what the file says of a service.
    """

    folder: Path
    places: dict[str, str]
    environment: dict[str, str]
    processes: dict[str, list] = field(default_factory=dict)

    def __post_init__(self):
        bin_folder = str(Path(sys.executable).parent)
        self.environment = {"PATH": f"{bin_folder}:{os.environ['PATH']}", "HOME": str(self.folder)} | self.environment

    def here(self, text):
        return re.sub("|".join(map(re.escape, self.places)), lambda found: self.places[found[0]], text)

    def options(self, service):
        own = {name: self.here(value) for name, value in service.get("environment", {}).items()}
        return {
            "cwd": ROOT / "example_project",
            "env": self.environment | own,
            "stdin": subprocess.DEVNULL,
            "stderr": subprocess.STDOUT,
        }

    def start(self, name, service):
        for number in range(service.get("deploy", {}).get("replicas", 1)):
            with self.log(f"{name}-{number + 1}").open("wb") as log:
                command = [self.here(word) for word in argv(service["command"])]
                process = subprocess.Popen(command, stdout=log, start_new_session=True, **self.options(service))
            self.processes.setdefault(name, []).append(process)

    def is_healthy(self, service):
        """Run the check of a service, to its end or for as long as it may take."""
        command = [self.here(word) for word in health_argv(service)]
        seconds = int(service["healthcheck"]["timeout"].removesuffix("s"))
        with suppress(subprocess.TimeoutExpired), self.log("health").open("ab") as log:
            return subprocess.run(command, stdout=log, timeout=seconds, **self.options(service)).returncode == 0
        return False

    def has_ended_well(self, name):
        """Whether all processes of the service ended with 0; complains if one ended otherwise."""
        codes = [process.poll() for process in self.processes[name]]
        assert set(codes) <= {0, None}, f"{name} ended with {codes}"
        return None not in codes

    def stop(self):
        everything = [process for processes in self.processes.values() for process in processes]
        for process in reversed(everything):
            process.terminate()
        for process in everything:
            with suppress(subprocess.TimeoutExpired):
                process.wait(20)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)

    def log(self, name):
        return self.folder / f"{name}.log"

    def show_logs(self):
        for path in sorted(self.folder.glob("*.log")):
            print(f"--- {path.name}\n{path.read_text(errors='replace')[-4000:]}")
