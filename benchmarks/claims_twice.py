"""Do claims that are checked again get the same verdicts?

    python benchmarks/claims_twice.py results/first-claims results/second-claims

Reads two folders of `nasbench claims`. A claim that was undecided in either does not count. A verdict rests on the
interval of a ratio against the claimed one, so it may only change where the truth lies close to that.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from nasbench.cli.tables import print_rows
from nasbench.store.found import read_found

_DECIDED = ("holds", "does not hold")
_KEYS = ["claim", "device"]


def join(first: pd.DataFrame, second: pd.DataFrame) -> pd.DataFrame:
    """Give the claims that both checked, of equal pairs, with `same`: whether two decided verdicts agree, else null."""
    same_pair = [*_KEYS, "first_architecture", "second_architecture", "claimed_ratio"]
    both = first.merge(second, on=same_pair, suffixes=("_1", "_2"))
    decided = both["verdict_1"].isin(_DECIDED) & both["verdict_2"].isin(_DECIDED)
    return both.assign(same=(both["verdict_1"] == both["verdict_2"]).where(decided))


def main(
    first: Annotated[Path, typer.Argument(help="Folder of the first check.")],
    second: Annotated[Path, typer.Argument(help="Folder of the second.")],
) -> None:
    """Compare the verdicts of two checks of the same claims."""
    both = join(read_found(first, "claims"), read_found(second, "claims"))
    for device, some in both.groupby("device", sort=False):
        decided = some["same"].notna()
        measured = some[some["processes_1"].notna() & some["processes_2"].notna()]
        apart = (measured["ratio_2"] / measured["ratio_1"] - 1).abs()
        typer.echo(
            f"{device}: {len(some)} claims in both, {decided.sum()} decided twice, "
            f"{some['same'].eq(True).sum()} alike; "
            f"of {len(measured)} measured ratios the second is {apart.median():.2%} from the first (median), at most "
            f"{apart.max():.1%}"
        )
    changed = both[both["verdict_1"] != both["verdict_2"]]
    rows = [
        (row["claim"], row["device"], f"{row['claimed_ratio']:.3g}", *(_show(row, time) for time in (1, 2)))
        for _, row in changed.iterrows()
    ]
    if rows:
        print_rows("changed", ("claim", "device", "claimed", "first", "second"), rows, keys=2)


def _show(row: pd.Series, time: int) -> str:
    ratio, low, high = (row[f"{name}_{time}"] for name in ("ratio", "ratio_low", "ratio_high"))
    return f"{row[f'verdict_{time}']}, {ratio:.3f} ({low:.3f} to {high:.3f})"


if __name__ == "__main__":
    typer.run(main)
