"""What the repository's host reads: workflows, forms for issues, and what people look for at the top."""

import re
import subprocess
import sys

import pytest
import yaml

from tests.documents import ROOT, Document

GITHUB = ROOT / ".github"
SCHEMAS = {
    "workflows/ci.yml": "github-workflows",
    "workflows/release.yml": "github-workflows",
    "dependabot.yml": "dependabot",
    "ISSUE_TEMPLATE/bug.yml": "github-issue-forms",
    "ISSUE_TEMPLATE/idea.yml": "github-issue-forms",
    "ISSUE_TEMPLATE/config.yml": "github-issue-config",
}


def workflow(name):
    # YAML 1.1 takes the key "on" for true.
    return {("on" if key is True else key): value for key, value in yaml.safe_load((GITHUB / name).read_text()).items()}


CI, RELEASE = workflow("workflows/ci.yml"), workflow("workflows/release.yml")


def test_each_file_has_a_schema():
    assert {str(path.relative_to(GITHUB)) for path in GITHUB.rglob("*.yml")} == set(SCHEMAS)


@pytest.mark.parametrize("name", SCHEMAS)
def test_each_file_fits_its_schema(name):
    schema = f"vendor.{SCHEMAS[name]}"
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, str(GITHUB / name)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, done.stdout


def commands(job):
    return [step["run"] for step in job.get("steps", ()) if "run" in step]


def test_ci_does_what_ci_run_does_for_each_change_and_before_a_release():
    assert commands(CI["jobs"]["all"])[-1] == ".ci/run"
    assert set(CI["on"]) == {"push", "pull_request", "workflow_call"}
    assert RELEASE["jobs"]["checks"]["uses"] == "./.github/workflows/ci.yml"
    assert RELEASE["jobs"]["build"]["needs"] == "checks"
    assert RELEASE["jobs"]["publish"]["needs"] == "build"


@pytest.mark.parametrize("name", ["workflows/ci.yml", "workflows/release.yml"])
def test_the_scripts_that_are_called_are_there_and_can_be_started(name):
    for job in workflow(name)["jobs"].values():
        for script in re.findall(r"\.ci/\w+", "\n".join(commands(job))):
            assert (ROOT / script).stat().st_mode & 0o111, script


def test_only_the_job_that_publishes_may_do_more_than_read_and_no_secret_is_used():
    assert CI["permissions"] == RELEASE["permissions"] == {"contents": "read"}
    allowed = {name: job["permissions"] for name, job in (CI["jobs"] | RELEASE["jobs"]).items() if "permissions" in job}
    assert allowed == {"publish": {"id-token": "write"}}
    assert RELEASE["jobs"]["publish"]["environment"] == "release"
    assert commands(RELEASE["jobs"]["publish"]) == []
    assert "secrets." not in "".join(path.read_text() for path in (GITHUB / "workflows").iterdir())


def test_actions_of_others_are_named_by_commit_and_tag():
    lines = [line for path in (GITHUB / "workflows").iterdir() for line in path.read_text().splitlines()]
    used = [line.partition("uses: ")[2] for line in lines if "uses: " in line]
    foreign = [name for name in used if not name.startswith("./")]
    assert [name for name in foreign if not re.fullmatch(r"[\w/-]+@[0-9a-f]{40}  # v[\d.]+", name)] == []


def release(tag, folder):
    command = [ROOT / ".ci" / "release", tag, folder]
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def test_a_tag_that_is_not_the_version_is_refused(tmp_path):
    done = release("v99.0.0", tmp_path)
    assert done.returncode == 1
    assert "The tag is v99.0.0, but pyproject.toml has the version" in done.stdout


def test_a_version_of_which_the_changelog_says_nothing_is_refused(tmp_path):
    version = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)[1]
    if f"## [{version}]" in (ROOT / "CHANGELOG.md").read_text():
        pytest.skip("this version is in the changelog")
    done = release(f"v{version}", tmp_path)
    assert done.returncode == 1
    assert f"no section '## [{version}] - DATE'" in done.stdout


def test_what_contributors_are_told_to_run_is_what_is_run():
    run = (ROOT / ".ci" / "run").read_text()
    told = [command for line in Document("CONTRIBUTING.md").shell_lines for command in line.split(" && ")]
    assert [command for command in told if command.startswith("uv run")]
    assert all(command in run for command in told if command.startswith("uv run"))


def test_a_hole_is_reported_by_the_form_of_the_host_and_to_no_address():
    text = (ROOT / "SECURITY.md").read_text()
    assert "Report a vulnerability" in text
    assert not re.search(r"\S+@\S+", text + (ROOT / "CODE_OF_CONDUCT.md").read_text())
