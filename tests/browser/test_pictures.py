"""The pictures of the README."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
MOST_BYTES = 150_000


def test_the_command_takes_the_pictures_that_the_readme_shows(executable, tmp_path):
    subprocess.run([sys.executable, ROOT / "docs" / "pictures", tmp_path], check=True, timeout=120)
    shown = set(re.findall(r"docs/(\S+\.png)", (ROOT / "README.md").read_text()))
    assert {each.name for each in tmp_path.iterdir()} == shown == {each.name for each in (ROOT / "docs").glob("*.png")}
    assert all(each.stat().st_size < MOST_BYTES for each in (*tmp_path.iterdir(), *(ROOT / "docs").glob("*.png")))
