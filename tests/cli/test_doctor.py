"""`nasbench doctor` as a user types it."""

import json

import pytest
from typer.testing import CliRunner

from nasbench.cli.main import app
from nasbench.doctor import examine
from nasbench.doctor.finding import Finding
from nasbench.doctor.stability import Stability

COMMAND = "echo 1 | sudo tee /sys/devices/system/cpu/intel_pstate/no_turbo && a command longer than any line is wide"
WARNING = Finding("turbo", "warning", "on", "the clock depends on the temperature", "switch it off", COMMAND)
PROBLEM = Finding("live", "problem", "nothing runs", "nothing can be measured", "install it", device="cpu")
FINE = Finding("clock source", "ok", "tsc, " + "and a long tale of what it is " * 6)


@pytest.fixture
def doctor(monkeypatch):
    """Run `nasbench doctor` where the examination finds what the test says."""

    def run(*words, findings=(FINE,), columns=80):
        stability = {"cpu": Stability((0.01, 0.011), ("ok", "ok"), (), 3.5)}
        asked = []

        def look(specs, quick, say):
            asked.append(([spec.name for spec in specs], quick))
            return examine.Report(tuple(findings), stability)

        monkeypatch.setattr(examine, "examine", look)
        done = CliRunner(env={"COLUMNS": str(columns)}).invoke(app, ["doctor", *words])
        done.asked = asked
        return done

    return run


@pytest.mark.parametrize(
    ("findings", "code", "line"),
    [
        ((FINE,), 0, "fit to measure on: yes (no problems, no warnings in 1 check)"),
        ((FINE, WARNING), 0, "fit to measure on: with care (no problems, 1 warning in 2 checks)"),
        ((PROBLEM, WARNING, WARNING), 1, "fit to measure on: no (1 problem, 2 warnings in 3 checks)"),
    ],
)
def test_the_last_line_is_the_verdict_and_the_exit_code_says_whether_it_is_fit(doctor, findings, code, line):
    done = doctor(findings=findings)

    assert done.exit_code == code
    assert done.stdout.splitlines()[-1] == line


def test_the_cpu_is_looked_at_by_default_and_a_device_named_twice_once(doctor):
    assert doctor().asked == [(["cpu"], False)]
    assert doctor("--device", "cpu", "--device", "cpu", "--quick").asked == [(["cpu"], True)]


def test_text_folds_at_80_columns_and_a_command_stays_on_its_line(doctor):
    lines = [line.rstrip() for line in doctor(findings=(FINE, WARNING, PROBLEM)).stdout.splitlines()]

    assert f"        {COMMAND}" in lines
    assert max(len(line) for line in lines if COMMAND not in line) <= 80
    assert " 1. turbo: The clock depends on the temperature. Switch it off:" in lines
    assert " 2. live: Nothing can be measured. Install it." in lines


def test_json_is_one_object_with_everything_found(doctor):
    done = doctor("--json", findings=(FINE, WARNING, PROBLEM))
    said = json.loads(done.stdout)

    assert (said["fit"], said["warnings"], said["problems"], done.exit_code) == ("no", 1, 1, 1)
    assert said["checks"][1]["command"] == COMMAND
    assert said["stability"]["cpu"]["medians_s"] == [0.01, 0.011]


def test_this_machine_is_looked_at_without_measuring(nasbench):
    done = nasbench("doctor", "--quick", "--json")
    said = json.loads(done.stdout)

    assert done.returncode == (said["fit"] == "no")
    assert {"cores", "timer", "memory", "runtime"} <= {check["name"] for check in said["checks"]}


def test_an_unknown_device_is_refused_with_the_list(nasbench):
    assert "no device is named 'cpuu'. Did you mean 'cpu'?" in nasbench("doctor", "--device", "cpuu", check=2).stderr
