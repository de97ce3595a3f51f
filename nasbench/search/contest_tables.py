"""The columns of a comparison of samplers."""

from __future__ import annotations

from nasbench.store.columns import Column

_GAP = "what is missing: with one objective the regret, in its unit; with several a share of the true hypervolume"

STEPS: tuple[Column, ...] = (
    Column("sampler", "string", "-", "name of the sampler", lambda s: s.sampler),
    Column("seed", "int64", "-", "seed of the run", lambda s: s.seed),
    Column(
        "evaluations",
        "int64",
        "count",
        "candidates evaluated so far, repeated ones not counted",
        lambda s: s.evaluations,
    ),
    Column("gap", "double", "-", _GAP, lambda s: s.gap),
    Column("proposing_s", "double", "s", "time that proposing this candidate took", lambda s: s.proposing_s),
)
"""One row an evaluation of a run."""

STANDINGS: tuple[Column, ...] = (
    Column("sampler", "string", "-", "name of the sampler", lambda s: s.sampler),
    Column("seeds", "int64", "count", "runs that it rests on", lambda s: s.seeds),
    Column("evaluations", "int64", "count", "evaluations after which they are compared", lambda s: s.evaluations),
    Column("gap", "double", "-", f"mean over the runs of {_GAP}", lambda s: s.gap),
    Column("gap_low", "double", "-", "lower end of the 95 % interval of that mean, over seeds", lambda s: s.low),
    Column("gap_high", "double", "-", "upper end of the same interval", lambda s: s.high),
    Column(
        "to_best",
        "double",
        "count",
        "median evaluations until nothing was missing; null for never",
        lambda s: s.to_best,
    ),
    Column("proposing_s", "double", "s", "mean time that proposing a candidate took", lambda s: s.proposing_s),
)
"""One row a sampler, the best first."""
