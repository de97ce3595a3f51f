"""The surrogate as a sampler of Optuna. It knows nothing of networks and works in any study."""

from __future__ import annotations

import threading
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from nasbench.surrogate.encoding import Encoding, Rows
from nasbench.surrogate.fidelity import foresee
from nasbench.surrogate.fitted import Models, fit_models
from nasbench.surrogate.observations import Observations
from nasbench.surrogate.presence import ByEffect, Effective, by_example
from nasbench.surrogate.proposal import propose

NOISE = "surrogate:noise"
"""The attribute of a trial that holds the standard deviation of each of its values, None where it is not known."""

STANDS_IN = "surrogate:stands_in"
"""The attribute of a trial that lists which of its values are none of its own, by number."""

EXCESS = "surrogate:excess"
"""The attribute of a trial that says by limit how far it is beyond, below 0 when it is within.

Without it the trial's constraints are read. Those cannot be left out for a trial where one is not known."""

CURVES = "surrogate:curves"
"""The attribute of a trial that holds, for some of its values by number, what they were after steps before the end."""

PRELIMINARY = "surrogate:preliminary"
"""The attribute of a trial that lists which of its values are the last of their curve, since it was ended early."""

HINTS = "surrogate:hints"
"""The attribute of a trial that lists what is counted of it without evaluating, none below 0.

Such as how much a network computes. How that hangs on the choices is learned, so a trial says its own, and a value may
grow or shrink with the logarithm of 1 + one of them."""

_FIRST_BATCH = 208
_SHARE_OF_BATCH = 7
_LARGEST_BATCH = 256
"""From `_FIRST_BATCH` trials on, as many are planned together as there are trials / `_SHARE_OF_BATCH`, in powers of
two; the first batch begins where the trials before it end, at a multiple of its size."""

_UNTIL_NEXT_DECISION = 1.5
"""From `_FIRST_BATCH` trials on, kernels, scales and noises are decided on anew when there are so many times more."""

_FILLING = 64
"""Random points of which a starting one is the farthest from all before it."""


@dataclass(frozen=True, slots=True)
class _Told:
    """A finished trial; one that was pruned has no losses, as one that failed. `broken` says that no limit was why."""

    params: Mapping[str, Any]
    distributions: Mapping[str, BaseDistribution]
    losses: Sequence[float] | None
    noise: Sequence[float]
    excess: Mapping[str, float]
    broken: bool
    curves: Mapping[int, Mapping[int, float]]
    preliminary: frozenset[int]
    hints: Sequence[float]


class SurrogateSampler(BaseSampler):
    """Propose what a Gaussian process over the choices expects to improve the front, or the best value, most.

    For categorical choices and numbers in ranges, conditional ones included, one objective or several, constraints
    (set on the trials by `set_constraint`), failed trials and trials under way. It begins with `startup_trials` that
    lie far from one another. Beyond 208 trials several are planned at once, so that a proposal stays cheap.

    A proposal depends on the seed, the trial's number and the trials before it, and on nothing else.
    """

    def __init__(
        self,
        seed: int | None = None,
        *,
        startup_trials: int = 10,
        search_space: Mapping[str, BaseDistribution] | None = None,
        effective: Effective | None = None,
        lag: int | None = None,
    ) -> None:
        """Make one for one study.

        Args:
            seed: of what is drawn; None for a new one each time.
            startup_trials: to finish before a model is asked.
            search_space: every parameter there can be; None takes them from the trials.
            effective: says which of the choices for all of `search_space` exist beside the others; None learns that
                from the trials.
            lag: proposals use the trials that are at least so much older, for runs that are to be repeated exactly
                while several trials are under way; None uses all that are finished.
        """
        self._seed = _draw_entropy() if seed is None else seed
        self._startup = startup_trials
        self._given = dict(search_space or {})
        self._effective = effective
        self._lag = lag
        self._lock = threading.RLock()
        self._told: dict[int, _Told] = {}
        self._open: set[int] = set()
        self._next = 0
        self._encoding = Encoding(self._given)
        self._rows: dict[int, Rows] = {}
        self._complete: Callable[[Rows], Rows] | None = None
        self._handed: dict[int, dict[str, Any]] = {}
        self._plan: tuple[int, list[dict[str, Any]]] = -1, []
        self._decided: tuple[tuple[Any, ...], Models | None] = (), None

    def reseed_rng(self) -> None:
        """Draw otherwise from here on, as Optuna asks of samplers that were copied to another process."""
        self._seed = _draw_entropy()

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Give every parameter that was seen in trials before, or that was said to exist."""
        with self._lock:
            self._read(study, trial.number)
            self._fit_encoding(number for number in self._told if number < trial.number)
            return dict(self._encoding.distributions)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Give a value for every parameter; those that the trial does not ask for are without effect."""
        if not search_space:
            return {}
        with self._lock:
            size = _batch_size(trial.number)
            first = trial.number // size * size
            if self._plan[0] != first:
                self._plan = first, self._make_plan(study, first, size)
            place, planned = trial.number - first, self._plan[1]
            chosen = planned[place] if place < len(planned) else self._fill(study, trial.number)
            self._handed[trial.number] = chosen
            if (
                search_space.keys() - chosen.keys()
            ):  # what is absent gets a value too: the trial may ask for it after all
                chosen = {**self._encoding.decode(self._encoding.draw(self._rng(trial.number, 3), 1)[0]), **chosen}
        return {name: value for name, value in chosen.items() if name in search_space}

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Draw a parameter that was never seen before."""
        seed = int(self._rng(trial.number, zlib.crc32(param_name.encode())).integers(2**31))
        return RandomSampler(seed).sample_independent(study, trial, param_name, param_distribution)

    def _rng(self, *numbers: int) -> np.random.Generator:
        return np.random.default_rng([self._seed, *numbers])

    # ---- memory

    def _read(self, study: Study, upto: int) -> None:
        """Take in what was finished since the last call, of the trials before one."""
        trials = study.get_trials(deepcopy=False)
        aligned = not trials or trials[-1].number == len(trials) - 1
        shown = trials if aligned else _by_number(trials)  # some pruners show a study's trials only in part
        maximized = [direction == StudyDirection.MAXIMIZE for direction in study.directions]
        self._open |= {number for number in range(self._next, upto) if aligned or number in shown}
        self._next = max(self._next, upto)
        for number in sorted(self._open):
            if shown[number].state.is_finished():
                self._told[number] = _told(shown[number], maximized)
                self._handed.pop(number, None)
        self._open -= self._told.keys()

    def _fit_encoding(self, numbers: Iterable[int]) -> None:
        """Have the encoding hold every parameter of some trials; the rows of another encoding are forgotten."""
        distributions = dict(self._given)
        for number in sorted(numbers) if not self._given else ():
            for name, distribution in self._told[number].distributions.items():
                distributions[name] = _merged(distributions.get(name), distribution)
        if list(distributions.items()) != list(self._encoding.distributions.items()):
            self._encoding = Encoding(distributions)
            self._rows = {}
            self._complete = None

    def _encode(self, numbers: Sequence[int]) -> Rows:
        fresh = [number for number in numbers if number not in self._rows]
        encoded = self._encoding.encode(self._told[number].params for number in fresh)
        self._rows.update(zip(fresh, encoded, strict=True))
        return np.array([self._rows[number] for number in numbers]).reshape(-1, len(self._encoding))

    def _completion(self, known: Sequence[int]) -> Callable[[Rows], Rows]:
        """Give what marks absent parameters, by what trials showed or by what is known of the space."""
        if self._effective is None:
            whole = [number for number in known if self._told[number].losses is not None]
            return by_example(self._encoding, self._encode(whole))
        if self._complete is None:
            self._complete = ByEffect(self._encoding, self._effective)
        return self._complete

    # ---- proposals

    def _make_plan(self, study: Study, first: int, count: int) -> list[dict[str, Any]]:
        """Propose so many points by what may be known when trial `first` is; none while there is too little of that."""
        # Where threads ask, one with a higher number may have come to its end before.
        alone = float(first - 1 if count > 1 else np.inf)
        newest = alone if self._lag is None else first - self._lag
        known = sorted(number for number in self._told if number <= newest and self._told[number].params)
        if len(known) < max(self._startup, 2):
            return []
        self._fit_encoding(known)
        pending = self._encode_pending(study, newest, first)
        limits = sorted({name for number in known for name in self._told[number].excess})
        seen, shares = self._observe(study, known, limits, pending)
        like = self._decide(study, known, limits, first)
        models = fit_models(self._encoding, seen, shares, like)
        rows = propose(self._encoding, seen, models, count, self._rng(first), self._completion(known))
        return [self._encoding.decode(row) for row in rows]

    def _observe(
        self, study: Study, known: Sequence[int], limits: Sequence[str], pending: Rows
    ) -> tuple[Observations, tuple[bool, ...]]:
        """Give what some trials tell, and by objective whether it is a share that is maximized."""
        valued = [number for number in known if self._told[number].losses is not None]
        without = [number for number in known if self._told[number].losses is None]
        objectives = len(study.directions)
        losses = np.array([self._told[n].losses for n in valued], dtype=np.float64).reshape(-1, objectives)
        noise = np.array([self._told[n].noise for n in valued], dtype=np.float64).reshape(-1, objectives)
        shares = tuple(
            direction == StudyDirection.MAXIMIZE and _is_share(-values)
            for direction, values in zip(study.directions, losses.T, strict=True)
        )
        preliminary = np.array([bool(self._told[n].preliminary) for n in valued], dtype=bool)
        for index, share in enumerate(shares) if preliminary.any() else ():
            early = np.array([index in self._told[n].preliminary for n in valued])
            curves = [self._told[n].curves.get(index, {}) for n in valued]
            losses[:, index], unsure = foresee(losses[:, index], curves, early, share)
            noise[:, index] = np.hypot(noise[:, index], unsure)
        seen = Observations(
            losses=losses,
            rows=self._encode(valued),
            noise=noise,
            excess=self._excess(valued, limits),
            out=self._encode(without),
            out_excess=self._excess(without, limits),
            broken=np.array([self._told[n].broken for n in without], dtype=bool),
            pending=pending,
            preliminary=preliminary,
            counts=self._list_counts(valued),
            tried=frozenset(self._encoding.keys(np.concatenate([self._encode(known), pending]))),
        )
        return seen, shares

    def _decide(self, study: Study, known: Sequence[int], limits: Sequence[str], first: int) -> Models | None:
        """Give models whose kernels, scales and noises serve for a while; None where each plan decides by itself.

        They hang on no plan made before, so that a study that was taken up again goes on as it would have.
        """
        if first < _FIRST_BATCH:
            return None
        steps = int(np.log(first / _FIRST_BATCH) / np.log(_UNTIL_NEXT_DECISION) + 1e-9)
        since = int(np.ceil(_FIRST_BATCH * _UNTIL_NEXT_DECISION**steps))
        if self._decided[0] != (since, *limits):
            early = [number for number in known if number <= since - (self._lag or 1)]
            seen, shares = self._observe(study, early, limits, np.empty((0, len(self._encoding))))
            self._decided = (since, *limits), fit_models(self._encoding, seen, shares) if early else None
        return self._decided[1]

    def _encode_pending(self, study: Study, newest: float, first: int) -> Rows:
        """Encode the trials before `first` of which nothing may be known yet, as far as their parameters are."""
        late = [self._told[number].params for number in sorted(self._told) if newest < number < first]
        under_way = {number for number in self._open if number < first}
        if self._lag is None:  # of trials that are asked for at the same time, some with a higher number may be first
            under_way |= self._handed.keys() - self._told.keys() - {first}
        if under_way:
            trials = _by_number(study.get_trials(deepcopy=False))
            late += [self._handed.get(number) or trials[number].params for number in sorted(under_way)]
        names = self._encoding.distributions.keys()
        return self._encoding.encode(params for params in late if params and params.keys() <= names)

    def _list_counts(self, numbers: Sequence[int]) -> Rows:
        count = max((len(self._told[number].hints) for number in numbers), default=0)
        if not count:
            return np.empty((len(numbers), 0))
        table = [[*self._told[n].hints, *[np.nan] * (count - len(self._told[n].hints))] for n in numbers]
        return np.array(table, dtype=np.float64)

    def _excess(self, numbers: Sequence[int], limits: Sequence[str]) -> Rows:
        found = np.empty((len(numbers), len(limits)))
        for column, name in enumerate(limits):
            found[:, column] = [self._told[number].excess.get(name, np.nan) for number in numbers]
        return found

    def _fill(self, study: Study, number: int) -> dict[str, Any]:
        """Draw the point, of several random ones, that is least like any before it, those under way included."""
        drawn = self._encoding.draw(self._rng(number, 2), _FILLING)
        newest = number - (self._lag or 1)
        known = sorted(told for told in self._told if told <= newest)
        before = np.concatenate([self._encode(known), self._encode_pending(study, newest, number)])
        if not len(before):
            return self._encoding.decode(drawn[0])
        completed = self._completion(known)(drawn)
        alike = self._encoding.likeness(completed, before).total
        return self._encoding.decode(completed[int(alike.max(axis=1).argmin())])


def _by_number(trials: Sequence[FrozenTrial]) -> Any:
    return {trial.number: trial for trial in trials}


def _told(trial: FrozenTrial, maximized: Sequence[bool]) -> _Told:
    facts = {**trial.system_attrs, **trial.user_attrs}
    excess = dict(facts.get(EXCESS, trial.constraints))
    noise = [value or 0.0 for value in facts.get(NOISE, [0.0] * len(maximized))]
    if trial.state != TrialState.COMPLETE:
        broken = not any(value > 0 for value in excess.values())
        return _Told(trial.params, trial.distributions, None, noise, excess, broken, {}, frozenset(), ())
    losses = [-value if most else value for value, most in zip(trial.values, maximized, strict=True)]
    for index in facts.get(STANDS_IN, ()):
        losses[index] = np.nan
    finite = [loss if np.isfinite(loss) else np.nan for loss in losses]
    curves = {
        int(index): {int(step): -value if maximized[int(index)] else value for step, value in curve}
        for index, curve in facts.get(CURVES, {}).items()
    }
    preliminary = frozenset(facts.get(PRELIMINARY, ()))
    return _Told(
        trial.params, trial.distributions, finite, noise, excess, False, curves, preliminary, facts.get(HINTS, ())
    )


def _merged(known: BaseDistribution | None, further: BaseDistribution) -> BaseDistribution:
    """Give a distribution that holds the values of both; that of categories cannot change in a study."""
    if known is None or known == further or isinstance(further, CategoricalDistribution):
        return further if known is None else known
    assert isinstance(known, IntDistribution | FloatDistribution), "Optuna lets no kind change"
    assert isinstance(further, IntDistribution | FloatDistribution), "Optuna lets no kind change"
    low, high = min(known.low, further.low), max(known.high, further.high)
    if isinstance(known, IntDistribution):
        return IntDistribution(int(low), int(high), log=known.log, step=known.step if not known.log else 1)
    return FloatDistribution(low, high, log=known.log, step=known.step)


def _is_share(values: Rows) -> bool:
    known = values[np.isfinite(values)]
    return bool(len(known) and (known >= 0).all() and (known < 1).all())


def _batch_size(number: int) -> int:
    return 1 if number < _FIRST_BATCH else int(min(2 ** np.floor(np.log2(number / _SHARE_OF_BATCH)), _LARGEST_BATCH))


def _draw_entropy() -> int:
    return int(np.random.SeedSequence().generate_state(1)[0])
