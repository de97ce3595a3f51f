"""Do our latencies put architectures in the order in which timm's own CPU benchmarks put them?

    python benchmarks/timm_speeds.py TIMM_FOLDER [--run results/reference/published-cpu-onnx] [--out speeds.png]

TIMM_FOLDER holds `benchmark-infer-*-cpu-*.csv` from the results folder of pytorch-image-models. Nothing is measured:
the run is one of `nasbench bench`. `timm_speeds.csv` says which network of timm is which of ours; one whose name begins
with tf_ pads as TensorFlow does, which timm has at sizes where it has no other. A pair counts only if both took images
of one size in one batch, and if the parameters are equal within 1 %. It does not count where our deployed form has
merged branches that timm timed apart. Intervals are those of a bootstrap over the pairs; variants of one family are
alike, so that they are rather too narrow.
"""

from __future__ import annotations

import argparse
import csv
import sys
import warnings
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from nasbench.errors import DefinitionError, NasbenchError
from nasbench.store.parquet import read_run

PAIRS = Path(__file__).with_suffix(".csv")
RUN = Path(__file__).parents[1] / "results" / "reference" / "published-cpu-onnx"
NEAR = 0.01
DRAWS = 2000
SHOWN = 12
LEAST = 4
_TIMM_COLUMNS = ("model", "infer_img_size", "infer_step_time", "infer_batch_size", "param_count")


def read_pairs(path: Path = PAIRS) -> dict[str, str]:
    """Give the name at timm for each of ours that timm has."""
    with path.open(encoding="utf-8", newline="") as file:
        return {row["ours"]: row["timm"] for row in csv.DictReader(file)}


def read_timm(folder: Path) -> dict[str, pd.DataFrame]:
    """Read timm's CPU benchmarks in a folder, by what tells their files apart: model, size, batch, seconds, params."""
    files = sorted(folder.glob("benchmark-infer-*-cpu-*.csv"))
    if not files:
        raise DefinitionError(f"{folder}: has no benchmark-infer-*-cpu-*.csv of timm")
    found = {}
    for path in files:
        table = pd.read_csv(path, thousands=",")
        missing = [name for name in _TIMM_COLUMNS if name not in table]
        if missing:
            raise DefinitionError(f"{path}: lacks the column {missing[0]!r}")
        found[path.stem.removeprefix("benchmark-infer-")] = pd.DataFrame(
            {
                "timm": table["model"],
                "size": table["infer_img_size"],
                "batch": table["infer_batch_size"],
                "timm_s": table["infer_step_time"] / 1e3,
                "timm_params": table["param_count"] * 1e6,
            }
        ).drop_duplicates(["timm", "size", "batch"])
    return found


def read_ours(folder: Path) -> tuple[pd.DataFrame, Counter[str]]:
    """Read our latencies: name, family, threads, batch, size, seconds, params, merged; and count what is left out."""
    rows = read_run(folder).evaluations
    merged = (rows["deployed_macs"] != rows["macs"]).fillna(False) & rows["deployed_macs"].notna()
    ours = pd.DataFrame(
        {
            "ours": rows["published"],
            "family": rows["family"].fillna(rows["space"]),
            "runtime": rows["runtime"],
            "threads": rows["threads"],
            "batch": rows["batch"],
            "size": rows["input_shape"].map(lambda shape: int(shape[1])),
            "ours_s": rows["latency_s"],
            "params": rows["params"],
            "merged": merged.astype(bool),
        }
    )
    ok = rows["latency_verdict"] == "ok"
    left_out = Counter(f"verdict {word or 'failed'}" for word in rows.loc[~ok, "latency_verdict"].fillna("failed"))
    return ours[ok], left_out


def match(ours: pd.DataFrame, timm: pd.DataFrame, pairs: dict[str, str]) -> tuple[pd.DataFrame, dict[str, list[str]]]:
    """Give the rows that are of one network in both, and the names that are left out by reason."""
    named = ours.assign(timm=ours["ours"].map(pairs))
    known = named[named["timm"].notna()]
    joined = known.merge(timm, on=["timm", "size", "batch"], how="left")
    absent = joined["timm_s"].isna()
    far = ~absent & ((joined["timm_params"] / joined["params"].astype(float) - 1).abs() > NEAR)
    # without a count of ours nothing guards against a wrong pair
    far |= ~absent & joined["params"].isna()
    merged = ~absent & ~far & joined["merged"]
    reasons = {
        "no name at timm": named.loc[named["timm"].isna(), "ours"],
        "timm did not time that size and batch": joined.loc[absent, "ours"],
        f"parameters differ by more than {NEAR:.0%}": joined.loc[far, "ours"],
        "timm timed the branches that we merge": joined.loc[merged, "ours"],
    }
    kept = joined[~absent & ~far & ~merged].reset_index(drop=True)
    return kept, {why: sorted(set(names)) for why, names in reasons.items() if len(names)}


def correlate(ours_s: Any, timm_s: Any, draws: int = DRAWS) -> dict[str, tuple[float, float, float]]:
    """Give Spearman's and Kendall's coefficient, each with the ends of its 95 % interval, of a bootstrap over pairs."""
    ours, theirs = np.asarray(ours_s, float), np.asarray(timm_s, float)
    generator = np.random.default_rng(0)
    samples = generator.integers(len(ours), size=(draws, len(ours)))
    found = {}
    for name, measure in (("Spearman", stats.spearmanr), ("Kendall", stats.kendalltau)):
        with warnings.catch_warnings(action="ignore", category=stats.ConstantInputWarning):  # few pairs, drawn alike
            drawn = [measure(ours[pick], theirs[pick]).statistic for pick in samples]
        low, high = np.nanquantile(drawn, (0.025, 0.975))
        found[name] = (float(measure(ours, theirs).statistic), float(low), float(high))
    return found


def rank(kept: pd.DataFrame) -> pd.DataFrame:
    """Give the pairs with their places in both orders, the largest difference first; 1 is the fastest."""
    ours, theirs = stats.rankdata(kept["ours_s"]), stats.rankdata(kept["timm_s"])
    ranked = kept.assign(our_place=ours, timm_place=theirs, difference=ours - theirs)
    return ranked.reindex(ranked["difference"].abs().sort_values(ascending=False, kind="stable").index)


def show(title: str, kept: pd.DataFrame, left_out: dict[str, list[str]]) -> None:
    print(f"\n{title}: {len(kept)} pairs of {kept['family'].nunique()} families")
    for why, names in left_out.items():
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        print(f"  left out, {why}: {len(names)} ({', '.join(names[:SHOWN])}{more})")
    if len(kept) < LEAST:
        print(f"  too few pairs for a coefficient; {LEAST} are needed")
        return
    for name, (middle, low, high) in correlate(kept["ours_s"], kept["timm_s"]).items():
        print(f"  {name:8} {middle:.3f} ({low:.3f} to {high:.3f}, 95 %, bootstrap over pairs; n={len(kept)})")
    ratio = kept["ours_s"] / kept["timm_s"]
    print(f"  our time is {ratio.median():.2f} of timm's in the median pair")
    ranked = rank(kept)
    print("  largest differences of place (above 0: slower in our order)")
    for row in ranked.head(SHOWN).itertuples():
        print(
            f"    {row.difference:+6.1f}  {row.ours:28} {row.family:16} place {row.our_place:g} here, "
            f"{row.timm_place:g} at timm; {1e3 * row.ours_s:.3g} and {1e3 * row.timm_s:.3g} ms"
        )
    families = ranked.groupby("family")["difference"].agg(["mean", "count"])
    for name, row in families.reindex(families["mean"].abs().sort_values(ascending=False).index).head(SHOWN).iterrows():
        print(f"    {row['mean']:+6.1f}  mean of the {row['count']:g} of {name}")


def draw(found: dict[str, pd.DataFrame], out: Path) -> None:
    """Draw our time against timm's, one plot for each file, runtime, thread count and batch, logarithmic."""
    from nasbench.plot.axes import number_ticks
    from nasbench.plot.style import LOOKS, drawing

    with drawing(out, "double") as figure:
        figure.set_size_inches(3.5 * len(found), 3.3)
        for axes, (title, kept) in zip(figure.subplots(1, len(found), squeeze=False)[0], found.items(), strict=True):
            sizes = kept["family"].value_counts()
            for number, (name, count) in enumerate(sizes.items()):
                own = number < len(LOOKS)
                rows = kept[kept["family"] == name]
                color, marker = (LOOKS[number].color, LOOKS[number].marker) if own else ("0.7", ".")
                label = f"{name} ({count})" if own else "other" if number == len(LOOKS) else None
                axes.scatter(
                    1e3 * rows["timm_s"], 1e3 * rows["ours_s"], s=9, label=label, linewidths=0, c=color, marker=marker
                )
            axes.set(xscale="log", yscale="log", xlabel="timm, ms", ylabel="nasbench, ms")
            axes.set_title(title, fontsize=6)
            for axis in (axes.xaxis, axes.yaxis):
                number_ticks(axis)
            if len(kept):
                axes.legend(frameon=False, fontsize=5)
    print(f"\nwrote {out}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("timm", type=Path, metavar="TIMM_FOLDER", help="Folder of timm's benchmark-infer-*-cpu-*.csv.")
    parser.add_argument("--run", type=Path, default=RUN, help="A stored run of nasbench bench.")
    parser.add_argument("--threads", type=int, help="Only rows with this thread count; else each has its own table.")
    parser.add_argument("--out", type=Path, help="A figure, .png, .pdf or .svg.")
    asked = parser.parse_args()
    try:
        compare(asked.timm, asked.run, asked.threads, asked.out)
    except NasbenchError as error:
        sys.exit(f"error: {error}")


def compare(timm: Path, run: Path, threads: int | None, out: Path | None) -> None:
    """Print how our order and timm's agree, for each of timm's files, runtime, thread count and batch."""
    tables, (ours, failed) = read_timm(timm), read_ours(run)
    if threads is not None:
        ours = ours[ours["threads"] == threads]
    print(f"{run.name}: {len(ours)} rows with the verdict ok" + "".join(f", {n} {word}" for word, n in failed.items()))
    pairs, drawn = read_pairs(), {}
    for (runtime, count, batch), rows in ours.groupby(["runtime", "threads", "batch"]):
        matched = {}
        for file, table in tables.items():
            kept, left_out = match(rows.drop_duplicates("ours"), table, pairs)
            title = f"{file} against {runtime}, threads {count}, batch {batch}"
            show(title, kept, left_out)
            matched[file] = drawn[title] = kept
        show_ceiling(matched)
    if out is not None and drawn:
        draw(drawn, out)


def show_ceiling(matched: dict[str, pd.DataFrame]) -> None:
    """Print how two of timm's files agree on the same networks; no order of ours is bound to do better."""
    names = list(matched)
    for first, second in pairwise(names):
        both = matched[first].merge(matched[second], on="ours", suffixes=("", "_second"))
        if len(both) >= LEAST:
            middle, low, high = correlate(both["timm_s"], both["timm_s_second"])["Spearman"]
            print(
                f"\nfor comparison, {first} against {second}, both timm's: Spearman {middle:.3f} "
                f"({low:.3f} to {high:.3f}; n={len(both)})"
            )


if __name__ == "__main__":
    main()
