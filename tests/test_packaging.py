"""The wheel that is built from the sdist holds all that the program needs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def run(*words, **options):
    done = subprocess.run([sys.executable, *map(str, words)], capture_output=True, text=True, timeout=300, **options)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_a_wheel_built_from_the_sdist_works_from_another_folder(tmp_path):
    run("-m", "build", "--no-isolation", "--outdir", tmp_path / "dist", ROOT)  # the wheel is built from the sdist
    wheel = next((tmp_path / "dist").glob("*.whl"))
    site, elsewhere = tmp_path / "site", tmp_path / "elsewhere"
    elsewhere.mkdir()
    run("-m", "pip", "install", "--quiet", "--no-deps", "--target", site, wheel)
    environment = {**os.environ, "PYTHONPATH": str(site)}

    where = run("-c", "import nasbench; print(nasbench.__file__)", cwd=elsewhere, env=environment)
    assert where.startswith(str(site))
    spaces = run("-m", "nasbench", "ls", "spaces", cwd=elsewhere, env=environment)
    assert {path.stem for path in (ROOT / "search_spaces").glob("*.yaml")} <= set(spaces.split())
    assert "cpu" in run("-m", "nasbench", "ls", "devices", cwd=elsewhere, env=environment)
    assert "3,504,872 params" in run("-m", "nasbench", "show", "mobilenet_v2_1.0", cwd=elsewhere, env=environment)


def test_the_readme_names_only_commands_that_exist():
    from nasbench.cli.main import app

    commands = {command.name for command in (*app.registered_commands, *app.registered_groups)}
    for name in ("README.md", "CONTRIBUTING.md", "results/README.md", "search_spaces/README.md"):
        for line in (ROOT / name).read_text().splitlines():
            if line.startswith("nasbench "):
                assert line.split()[1] in commands, line


def test_the_makefile_has_the_commands_of_the_readme():
    targets = {line.split(":")[0] for line in (ROOT / "Makefile").read_text().splitlines() if ":" in line}
    readme = (ROOT / "README.md").read_text()

    assert {"install", "search", "test"} <= targets
    assert "make search" in readme and "make test" in readme
