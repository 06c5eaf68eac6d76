"""Run benchmarks, each in a process of its own, and print their rows as one table."""

import importlib
import os
import platform
import subprocess
import sys
from pathlib import Path

NAMES = (
    "likeness",
    "adding",
    "reference",
    "one_more",
    "commands",
    "memory",
    "large",
    "duplicates",
    "holding",
    "relations",
    "looking",
    "growing",
    "themes",
    "serving",
)


def machine() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
        flags = next(line for line in lines if line.startswith("flags")).split()
        amx = "with AMX" if "amx_bf16" in flags else "without AMX"
    except (OSError, StopIteration):
        name, amx = platform.processor(), "AMX unknown"
    return f"{os.cpu_count()} cores of {name}, {amx}; Python {platform.python_version()}, {platform.system()}"


def main() -> None:
    if sys.argv[1:2] == ["--one"]:
        for row in importlib.import_module(f"tests.benchmarks.{sys.argv[2]}").rows():
            print("|", " | ".join(row), "|", flush=True)
        return
    unknown = {*sys.argv[1:]} - {*NAMES}
    if unknown:
        sys.exit(f"There is no benchmark {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}.")
    print(f"On {machine()}.\n\n| what | measured | asked for |\n|---|---|---|", flush=True)
    failed = [
        name
        for name in sys.argv[1:] or NAMES
        if subprocess.run([sys.executable, "-m", "tests.benchmarks", "--one", name], check=False).returncode
    ]
    if failed:
        sys.exit(f"These did not finish: {', '.join(failed)}.")


if __name__ == "__main__":
    main()
