"""A short storm, its seed told in the output; longer ones are for ``python -m tests.chaos``."""

import random
import subprocess
import sys

import pytest

from tests.chaos import plan
from tests.chaos.__main__ import NOT_HERE
from tests.chaos.planted import BUGS, planted
from tests.chaos.scenarios import SCENARIOS
from tests.chaos.storm import OTHERS, timeline
from tests.processes import ROOT


def chaos(*options):
    """Run it as a command, for its servers and its Django are not those of this process."""
    command = [sys.executable, "-m", "tests.chaos", *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900, check=False)
    print(done.stdout, done.stderr)
    if done.returncode == NOT_HERE:
        pytest.skip(done.stderr)
    return done.returncode


def test_a_storm_loses_doubles_and_misplaces_no_job():
    assert chaos("--jobs", "300", "--seconds", "60", "--kills", "24", "--seed", "7") == 0


def test_the_same_seed_draws_the_same_jobs_and_faults():
    first, second = ((plan.tasks(rng, 60, 10), timeline(rng, 20, 10)) for rng in map(random.Random, (3, 3)))

    assert first == second
    assert first != (plan.tasks(random.Random(4), 60, 10), [])


def test_a_storm_has_the_kills_that_were_asked_for_and_every_other_fault():
    faults = [name for _, name in timeline(random.Random(1), 8, 60)]

    assert sum(name.startswith("kill") for name in faults) == 8
    assert set(OTHERS) < set(faults)


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_a_bug_to_be_planted_fits_the_code(bug):
    text = (ROOT / "django_future_celery" / bug.file).read_text()

    assert planted(bug, text) != text
    assert bug.scenario is None or bug.scenario in SCENARIOS
