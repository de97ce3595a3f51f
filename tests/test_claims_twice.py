"""The benchmark that holds two checks of the same claims against each other."""

import importlib.util
from pathlib import Path

import pandas as pd

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "claims_twice.py"
SPEC = importlib.util.spec_from_file_location("claims_twice", SCRIPT)
MODULE = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(MODULE)


def checked(**verdicts):
    rows = [
        {
            "claim": name,
            "device": "cpu",
            "first_architecture": "a",
            "second_architecture": "b",
            "claimed_ratio": 0.5,
            "verdict": verdict,
        }
        for name, verdict in verdicts.items()
    ]
    return pd.DataFrame(rows)


def test_decided_verdicts_are_compared_and_undecided_ones_do_not_count():
    first = checked(a="holds", b="does not hold", c="undecided", d="holds", only_first="holds")
    second = checked(a="holds", b="holds", c="holds", d="undecided")

    found = MODULE.join(first, second).set_index("claim")["same"]

    assert found.dropna().to_dict() == {"a": True, "b": False}
    assert set(found.index) == {"a", "b", "c", "d"}


def test_a_claim_whose_networks_changed_is_another_claim():
    first, second = checked(a="holds"), checked(a="does not hold").assign(first_architecture="c")

    assert MODULE.join(first, second).empty
