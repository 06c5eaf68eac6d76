"""The layers of the design, as pyproject.toml lists them."""

import subprocess
import sys
from pathlib import Path


def test_rooms_import_only_from_lower_levels():
    lint = Path(sys.executable).parent / "lint-imports"
    done = subprocess.run(
        [lint, "--no-cache"], cwd=Path(__file__).parents[1], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
