"""Run the storm, or one scenario, and tell what was violated."""

import argparse
import random
import sys
import tempfile
from collections import Counter

from tqdm import tqdm

from tests.chaos import oracle, plan, report
from tests.chaos.scenarios import SCENARIOS
from tests.chaos.stage import Stage
from tests.chaos.storm import Storm, timeline
from tests.servers import installed
from tests.services import available

#: Jobs that are surely scheduled within a second, so that none is due before the run begins.
SCHEDULED_A_SECOND = 400

#: The exit code where servers are missing; 2 is that of wrong options.
NOT_HERE = 3


def main(arguments=None):
    options = parse(arguments)
    if not possible(options.broker):
        print("Not run: it needs Linux, PostgreSQL's programs, and redis-server or a RabbitMQ.", file=sys.stderr)
        return NOT_HERE
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        found = run_scenario(options, folder) if options.scenario else run_storm(options, folder)
    return 1 if found else 0


def possible(broker):
    """Whether the servers are here, and Linux, which tells the children of a process and ends them with it."""
    with_broker = installed("redis-server") if broker == "redis" else available(broker)
    return sys.platform == "linux" and installed("initdb", "pg_ctl") and with_broker


def parse(arguments):
    parser = argparse.ArgumentParser(
        prog="python -m tests.chaos",
        description=(
            "Run jobs on two beats and two workers while these, the broker and the database are killed, frozen and "
            "flushed at moments that the seed draws; then check, from witnesses that do not depend on the package, "
            "that no job was lost, doubled, early or late. Exit code 1: something was violated; 3: servers are missing."
        ),
        epilog="A big run: python -m tests.chaos --jobs 10000 --seconds 800 --kills 200",
    )
    parser.add_argument("--jobs", type=int, default=400, help="how many jobs become due (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=60, help="length of the storm (default: %(default)s)")
    parser.add_argument(
        "--kills",
        type=int,
        help="SIGKILLs of workers, children and beats; other faults come in proportion (default: one in 3 seconds)",
    )
    parser.add_argument("--seed", type=int, default=1, help="draws jobs and faults (default: %(default)s)")
    parser.add_argument(
        "--broker",
        choices=["redis", "rabbitmq"],
        default="redis",
        help="a private Redis that is killed too, or the RabbitMQ of the tests, whose queue is purged",
    )
    parser.add_argument(
        "--limit",
        type=float,
        default=180,
        help="seconds for the last jobs to end after the storm (default: %(default)s)",
    )
    parser.add_argument("--scenario", choices=SCENARIOS, help="instead of the storm: one fault, at its worst moment")
    options = parser.parse_args(arguments)
    if options.kills is None:
        options.kills = max(1, round(options.seconds / 3))
    return options


def run_storm(options, folder):
    rng = random.Random(options.seed)
    tasks = plan.tasks(rng, options.jobs, options.seconds)
    faults = timeline(rng, options.kills, options.seconds, with_redis=options.broker == "redis")
    with Stage(folder, options.broker) as stage:
        storm = Storm(
            stage,
            rng,
            workers=[stage.worker(f"worker{number}") for number in (1, 2)],
            beats=[stage.beat(f"beat{number}") for number in (1, 2)],
        )
        lead = 2 + len(tasks) / SCHEDULED_A_SECOND
        jobs = stage.schedule(
            *tasks, lead=lead, progress=lambda chunks: tqdm(chunks, "schedule", leave=False, disable=None)
        )
        cancels = [(task.cancel, job) for task, job in zip(tasks, jobs, strict=True) if task.cancel is not None]
        with tqdm(total=len(jobs), desc="jobs ended", unit="job", disable=None) as bar:
            progress = Progress(bar)
            storm.rage(faults, cancels, progress)
            settled = storm.settle(options.limit, progress)
        return tell(options.seed, stage, storm.tally, settled, [oracle.commits_start_the_next_job])


def run_scenario(options, folder):
    scenario = SCENARIOS[options.scenario]
    with Stage(folder, options.broker, **scenario.settings) as stage:
        print(f"{options.scenario}: {scenario.play.__doc__}")
        missed = play(scenario, stage)
        stage.wait_for_ends(scenario.limit)
        return tell(options.scenario, stage, Counter(), 0.0, scenario.checks, missed)


def play(scenario, stage):
    """Give what the scenario waited for in vain."""
    try:
        scenario.play(stage)
    except AssertionError as error:
        return [str(error)]
    return []


def tell(seed, stage, tally, settled, checks=(), missed=()):
    """Print the report; give the violations."""
    evidence = stage.evidence()
    found = [*missed, *oracle.violations(evidence, [*oracle.CHECKS, *checks])]
    print("\n".join(report.lines(seed, tally, evidence, found, settled)), flush=True)
    if found:
        stage.project.show_logs()
    return found


class Progress:
    """Shows the jobs that have ended, a few times a second at most."""

    def __init__(self, bar):
        self.bar = bar
        self.steps = 0

    def __call__(self, storm):
        self.steps += 1
        ended = storm.stage.ended() if self.steps % 20 == 0 else None
        if ended is not None:
            self.bar.set_postfix(faults=sum(storm.tally.values()), refresh=False)
            self.bar.update(ended - self.bar.n)


if __name__ == "__main__":
    sys.exit(main())
