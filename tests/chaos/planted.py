"""Plant one bug at a time into a copy of the package, and see whether the chaos test catches it."""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from tests.processes import ROOT

#: Longest time for one run, in seconds.
LIMIT = 1200

#: What a run says that found no violation.
NOTHING = "nothing"

#: What the storm needs to find what is planted for it.
STORM = ("--jobs", "200", "--seconds", "40", "--seed", "1", "--limit", "120")


@dataclass(frozen=True)
class Bug:
    name: str
    file: str
    old: str
    new: str
    #: What is to find it; None: the storm.
    scenario: str | None = None
    #: The other places of the file that ask the same, each with what comes there.
    more: tuple[tuple[str, str], ...] = ()


TAKE_DUE_AND_SEND = """
    claim = take_due(using, now)
    sent, broken = send(claim.ready, publish, using, claim.more)
"""
SEND_INSIDE = """
    with transaction.atomic(using=using):
        claim = take_due(using, now)
        sent, broken = send(claim.ready, publish, using, claim.more)
        time.sleep(0.2)  # As a commit of many rows may take.
"""

BUGS = [
    Bug(
        "complete without its fence",
        "querysets.py",
        ', attempts=_given(rows, "attempts", "done_attempts"))',
        ")",
        "frozen",
    ),
    Bug(
        "complete recorded after the commit",
        "runner.py",
        "if has_begun(connection):",
        "if False:",
        "frozen",
    ),
    Bug("a lost claim is not rolled back", "runner.py", "raise ClaimLost(", "logger.warning(", "frozen"),
    Bug(
        "start without the status check",
        "querysets.py",
        "self.scheduled().filter(pk=pk, attempts=attempts)",
        "self.filter(pk=pk, attempts=attempts)",
        "stale",
        more=(("row = rows.scheduled().filter(", "row = rows.filter("),),
    ),
    Bug("start without the slot check", "querysets.py", "if not is_open(job, moment):", "if False:", "stale"),
    Bug("start by one statement without the slot check", "runner.py", "is_open(job, now or to", "(now or to", "stale"),
    Bug(
        "start without the attempts check",
        "querysets.py",
        "filter(pk=pk, attempts=attempts)",
        "filter(pk=pk)",
        "copies",
    ),
    Bug("lost runs are not looked for", "dispatcher.py", "= recover(using, now)", "= Recovered()", "killed"),
    Bug("lost runs are always tried again", "attempts.py", "job.attempts >= job.max_attempts", "False", "killed"),
    Bug("lost runs are never tried again", "attempts.py", "job.attempts >= job.max_attempts", "True", "killed"),
    Bug(
        "a dispatch lease lasts for ever",
        "querysets.py",
        "dispatch_patience(dispatches) * SECOND",
        "1e6 * SECOND",
        "flushed",
    ),
    Bug("sent rows are not looked at again", "dispatcher.py", "objects.woken(now).sent()", "objects.none()", "flushed"),
    Bug("the claim is not recorded", "dispatcher.py", "objects.lease(claim.ready, now)", "claim.ready", "calm"),
    Bug("messages are sent before the claim is committed", "dispatcher.py", TAKE_DUE_AND_SEND, SEND_INSIDE, "calm"),
    Bug("renewal of any attempt's lease", "querysets.py", " if (job.pk, job.attempts) in mine", "", "revenant"),
    Bug("jobs that were started expire", "querysets.py", "over.filter(attempts=0).update", "over.update", "overdue"),
    Bug(
        "the next one is started without the status check",
        "querysets.py",
        "row = rows.scheduled().filter(",
        "row = rows.filter(",
        "between",
    ),
    Bug(
        "the next one is started without the attempts check",
        "querysets.py",
        '        attempts=_given(rows, "attempts", "read_attempts"),\n',
        "",
        "between",
    ),
    Bug("the next one is started without the slot check", "batch.py", "not is_open(job, ", "not (", "between"),
    Bug(
        "the rest of a message is not released when its process dies",
        "tasks.py",
        "    release_rest(sender, args, kwargs)\n",
        "",
        "orphaned",
    ),
    Bug(
        "the rest of a message is not sent again",
        "querysets.py",
        "dispatch_patience(dispatches) * SECOND",
        "1e6 * SECOND",
        "killed",
    ),
    Bug(
        "nothing is released behind a long job",
        "heartbeat.py",
        "[each for each in _held if each.is_over()]",
        "[]",
        "behind",
    ),
    Bug(
        "a start whose commit was not answered is not taken on",
        "batch.py",
        "if self.tried is None:",
        "if True:",
        "unanswered",
    ),
    Bug("in the storm: lost runs are not looked for", "dispatcher.py", "= recover(using, now)", "= Recovered()"),
    Bug(
        "in the storm: sent rows are not looked at again",
        "dispatcher.py",
        "objects.woken(now).sent()",
        "objects.none()",
    ),
]


def main(arguments=None):
    options = parse(arguments)
    bugs = [bug for bug in BUGS if options.only in bug.name]
    for bug in bugs:
        planted(bug, (ROOT / "django_future_celery" / bug.file).read_text())
    controls = [(None, scenario) for scenario in dict.fromkeys(bug.scenario for bug in bugs)]
    with ThreadPoolExecutor(options.parallel) as pool:
        runs = [pool.submit(verdict, *run) for run in [*controls, *((bug, bug.scenario) for bug in bugs)]]
        found = [run.result() for run in tqdm(runs, "runs", leave=False, disable=None)]
    alarms = sum(each != NOTHING for each in found[: len(controls)])
    caught = sum(each != NOTHING for each in found[len(controls) :])
    print(f"{caught} of {len(bugs)} bugs caught; {alarms} false alarms in {len(controls)} controls.")
    return 0 if caught == len(bugs) and not alarms else 1


def parse(arguments):
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.planted", description=__doc__)
    parser.add_argument("--only", default="", metavar="TEXT", help="only the bugs with this in their name")
    parser.add_argument("--parallel", type=int, default=2, help="runs at a time (default: %(default)s)")
    return parser.parse_args(arguments)


def verdict(bug, scenario):
    """Run the scenario on a copy of the package; tell and give the first violation that was found."""
    with tempfile.TemporaryDirectory(prefix="planted-") as folder:
        for name in ("django_future_celery", "tests"):
            shutil.copytree(ROOT / name, Path(folder) / name, ignore=shutil.ignore_patterns("__pycache__"))
        if bug:
            path = Path(folder) / "django_future_celery" / bug.file
            path.write_text(planted(bug, path.read_text()))
        found = first_violation(chaos(scenario, folder))
    tqdm.write(f"{bug.name if bug else '(no bug)':<62}{scenario or 'storm':<12}{found}", file=sys.stdout)
    return found


def planted(bug, text):
    """Give the text of the file with the bug in it; what the bug replaces must be there once."""
    for old, new in ((bug.old, bug.new), *bug.more):
        if text.count(old) != 1:
            raise SystemExit(f"{bug.name!r}: this bug no longer fits the code; {bug.file} has {old!r} not just once.")
        text = text.replace(old, new)
    compile(text, bug.file, "exec")
    return text


def chaos(scenario, folder):
    """Give the report of a run in ``folder``, whose package comes before the installed one."""
    options = ["--scenario", scenario] if scenario else STORM
    done = subprocess.run(
        [sys.executable, "-m", "tests.chaos", *options],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    if done.returncode not in (0, 1) or "\nviolations" not in done.stdout:
        raise SystemExit(f"The chaos test itself broke:\n{done.stdout}\n{done.stderr}")
    return done.stdout


def first_violation(output):
    """Give the line below the number of violations."""
    number, _, rest = output.partition("\nviolations")[2].lstrip().partition("\n")
    return NOTHING if number == "0" else rest.partition("\n")[0].strip()


if __name__ == "__main__":
    sys.exit(main())
