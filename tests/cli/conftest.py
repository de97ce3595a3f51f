"""The command line in processes of its own, as a user starts it, and in this one, which is quicker."""

import os
import subprocess
import sys
from subprocess import CompletedProcess

import pytest

from nasbench.cli.main import main

ESTIMATOR = '''
"""An estimator of a user: more parameters are better, with a texture of the digest."""
import math

from nasbench.model.cost import count


def guess(architecture):
    return 1 - 1 / math.log10(10 + count(architecture).params) - int(architecture.digest, 16) % 1000 / 10_000
'''


@pytest.fixture
def nasbench(tmp_path):
    """Run `nasbench` in an empty folder that holds a user's estimator `mine:guess`; gives the finished process."""
    (tmp_path / "mine.py").write_text(ESTIMATOR)

    def run(*words, check=None, timeout=120):
        done = subprocess.run(
            [sys.executable, "-m", "nasbench", *map(str, words)],
            cwd=tmp_path,
            env={**os.environ, "COLUMNS": "200"},
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        if check is not None:
            assert done.returncode == check, done.stderr
        return done

    run.folder = tmp_path
    return run


@pytest.fixture
def here(tmp_path, monkeypatch, capsys):
    """Do what `nasbench` does, without a process of its own."""
    (tmp_path / "mine.py").write_text(ESTIMATOR)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*words, check=None):
        monkeypatch.setattr(sys, "argv", ["nasbench", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        done = CompletedProcess(words, ended.value.code or 0, said.out, said.err)
        if check is not None:
            assert done.returncode == check, done.stderr
        return done

    run.folder = tmp_path
    return run
