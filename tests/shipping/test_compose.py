"""docker-compose.yml and the Dockerfile, as far as they can be judged without Docker."""

import re
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest

from tests.shipping.compose import ROOT, TEXT, VARIABLE, argv, example_environment, in_order, read

SERVICES = read(example_environment())
OURS = {name: service for name, service in SERVICES.items() if "build" in service}
DOCKERFILE = (ROOT / "example_project" / "Dockerfile").read_text()
INSTRUCTIONS = [line.split(maxsplit=1) for line in DOCKERFILE.splitlines() if line and not line.startswith("#")]
SECRETS = ("DJANGO_SECRET_KEY", "POSTGRES_PASSWORD", "FLOWER_BASIC_AUTH")


def test_it_fits_the_schema_of_the_compose_specification():
    command = [
        sys.executable,
        "-m",
        "check_jsonschema",
        "--builtin-schema",
        "vendor.compose-spec",
        "docker-compose.yml",
    ]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, done.stdout


def test_there_is_all_that_the_example_needs():
    assert set(SERVICES) == {"postgres", "redis", "migrate", "web", "beat", "worker", "flower"}
    assert SERVICES["beat"]["deploy"]["replicas"] == 2


def test_ports_are_published_to_this_machine_alone():
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert published == {"web": ["127.0.0.1:8000:8000"], "flower": ["127.0.0.1:5555:5555"]}


def test_all_that_goes_on_has_a_health_check_and_is_started_again():
    lasting = {name: service for name, service in SERVICES.items() if name != "migrate"}
    assert {name for name, service in lasting.items() if "test" not in service.get("healthcheck", {})} == set()
    assert {service["restart"] for service in lasting.values()} == {"unless-stopped"}
    assert SERVICES["migrate"]["restart"] == "no"


def test_each_waits_for_the_health_of_what_it_needs():
    waits = {
        name: {other: how["condition"] for other, how in service.get("depends_on", {}).items()}
        for name, service in SERVICES.items()
    }
    migrated = {"migrate": "service_completed_successfully", "redis": "service_healthy"}
    assert waits.pop("migrate") == {"postgres": "service_healthy"}
    assert waits.pop("postgres") == waits.pop("redis") == {}
    assert waits == dict.fromkeys(["web", "beat", "worker", "flower"], migrated)
    assert in_order(SERVICES).index("postgres") < in_order(SERVICES).index("migrate") < in_order(SERVICES).index("web")


@pytest.mark.parametrize("name", SECRETS)
def test_without_a_secret_nothing_starts(name):
    environment = example_environment()
    del environment[name]
    with pytest.raises(KeyError, match=name):
        read(environment)


def test_secrets_come_from_the_environment_alone():
    assert set(VARIABLE.findall(TEXT)) == set(SECRETS) == set(example_environment())
    assert TEXT.replace("$$", "").count("$") == len(VARIABLE.findall(TEXT))
    assert not any(secret in TEXT + DOCKERFILE for secret in example_environment().values())


def test_the_secrets_of_the_example_say_what_they_are():
    assert all("for-development-only" in secret for secret in example_environment().values())


def test_what_is_copied_reaches_the_builder_and_nothing_else_does():
    sources = [words for name, rest in INSTRUCTIONS if name == "COPY" for words in rest.split()[:-1]]
    ignore = (ROOT / ".dockerignore").read_text().splitlines()
    sent = [line.removeprefix("!") for line in ignore if line.startswith("!")]

    assert ignore.index("*") < min(ignore.index(f"!{name}") for name in sent)
    assert sorted(sources) == sorted(sent)
    assert all((ROOT / source).exists() for source in sources)
    assert not any(fnmatch(".env", name) for name in sent)


def test_the_image_does_not_run_as_root():
    *_, (name, user) = INSTRUCTIONS
    assert name == "USER"
    assert re.search(rf"^RUN useradd .* {user}$", DOCKERFILE, re.MULTILINE)
    assert not any("user" in service for service in OURS.values())


def test_the_image_has_each_program_that_is_started():
    programs = {argv(service["command"])[0] for service in OURS.values()}
    assert programs == {"python", "gunicorn", "celery"}
    assert all((Path(sys.executable).parent / program).is_file() for program in programs)
    assert '--group example ".[beat]"' in DOCKERFILE


def test_the_example_has_its_own_key_or_shows_no_insides(tmp_path):
    code = "from config import settings as s; print(s.DEBUG, 'development only' in s.SECRET_KEY)"
    for given, printed in (({}, "True True"), ({"DJANGO_SECRET_KEY": "mine"}, "False False")):
        environment = {"EXAMPLE_VAR": str(tmp_path)} | given
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT / "example_project", env=environment, capture_output=True, text=True
        )
        assert done.stdout.strip() == printed, done.stderr
