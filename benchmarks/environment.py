"""The Python that is measured: an environment of its own, with every peer and this package's requirements."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.stage import Stage

FOLDER = Path(__file__).parent / ".venv-peers"
PYTHON = FOLDER / ("Scripts" if os.name == "nt" else "bin") / "python"
#: What has a commit wait for the disk.
DURABLE = ("fsync", "full_page_writes", "synchronous_commit")
REQUIREMENTS = Path(__file__).parent / "requirements.txt"


def prepare(interpreter: str | None) -> Path:
    """Make the environment, or bring it up to date; give its Python."""
    if not PYTHON.exists() or (interpreter and home(interpreter) != home(PYTHON)):
        wanted = interpreter or ">=3.12"
        if uv("venv", "--clear", "--python", wanted, str(FOLDER)) and not interpreter:
            print(f"uv finds no Python {wanted}, so peers that need one are left out; --python names one.")
            must(uv("venv", "--clear", "--python", sys.executable, str(FOLDER)))
    must(uv("pip", "install", "--python", str(PYTHON), "-r", str(REQUIREMENTS)))
    return PYTHON


def home(python: str | Path) -> str:
    """Give the folder of the installation that an interpreter belongs to."""
    command = [str(python), "-c", "import sys; print(sys.base_prefix)"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def uv(*arguments: str) -> int:
    return subprocess.run(["uv", *arguments, "--quiet"]).returncode


def must(code: int) -> None:
    if code:
        raise SystemExit("uv could not make the environment of the peers, see above.")


def run(module: str, *arguments: str, cwd: Path) -> None:
    """Run a module of ours that needs a library which only the measured environment has."""
    subprocess.run([str(PYTHON), "-m", module, *arguments], cwd=cwd, check=True)


def versions() -> dict[str, str]:
    listed = subprocess.run(
        ["uv", "pip", "list", "--python", str(PYTHON), "--format", "json"], check=True, capture_output=True
    )
    return {each["name"]: each["version"] for each in json.loads(listed.stdout)}


def python_version() -> str:
    return subprocess.run([str(PYTHON), "-V"], check=True, capture_output=True, text=True).stdout.split()[1]


def machine(stage: Stage) -> dict[str, Any]:
    settings = {name: stage.rows(f"SHOW {name}")[0][0] for name in ("server_version", *DURABLE)}
    durable = all(settings[name] == "on" for name in DURABLE)
    if not durable:
        print(f"WARNING: PostgreSQL's commits are not durable, the figures are no good: {settings}")
    redis = stage.redis.info("server")["redis_version"]
    keeps = stage.redis.config_get("appendonly")["appendonly"]
    return {
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.release()}",
        "python": python_version(),
        "postgresql": "{server_version}, fsync {fsync}, synchronous_commit {synchronous_commit}".format(**settings),
        "durable commits": durable,
        "redis": f"{redis}, appendonly {keeps}",
    }
