"""Optuna as memory: what was tried so far, and what to try next."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.trial import TrialState

from nasbench.objectives import Objective
from nasbench.records import Cost
from nasbench.search.samplers import UniformSampler, make_distributions, make_samplers
from nasbench.space.architecture import Architecture, Scalar
from nasbench.space.choice import Choice, Steps
from nasbench.space.space import SearchSpace

optuna.logging.set_verbosity(optuna.logging.WARNING)


@dataclass(frozen=True)
class Candidate:
    """What a sampler proposes. `number` counts all proposals of a run, from 0."""

    number: int
    choices: Mapping[str, Scalar]
    architecture: Architecture
    trial: optuna.Trial


def hints_of(cost: Cost) -> list[int]:
    """Give what is counted of a network and may tell of its accuracy and latency, for the surrogate."""
    return [cost.macs, cost.params]


class Study:
    """The sampler's memory of one run. It lives in this process only; the run's log can fill it again at any time."""

    def __init__(
        self, space: SearchSpace, objectives: Sequence[Objective], sampler: str, seed: int, lag: int = 1
    ) -> None:
        self._space = space
        self._distributions = make_distributions(space)
        self._sampler_for = make_samplers(sampler, seed, space, lag)
        maximize, minimize = optuna.study.StudyDirection.MAXIMIZE, optuna.study.StudyDirection.MINIMIZE
        directions = [maximize if objective.maximize else minimize for objective in objectives]
        self._storage = optuna.storages.InMemoryStorage()
        self._study = optuna.create_study(storage=self._storage, directions=directions)
        self._known_state: dict[str, Any] = {}

    def ask(self, number: int, start: Mapping[str, Scalar] | None = None) -> Candidate:
        """Propose candidate `number` of the run, which also seeds the sampler; `start` prescribes its choices."""
        return self._ask_of(self._sampler_for(number), number, start)

    def put_beside(self, number: int, architecture: Architecture) -> Candidate:
        """Make candidate `number` a network that no choices of the space stand for, so no sampler can learn of it."""
        self._study.sampler = UniformSampler(number)
        return Candidate(number, {}, architecture, self._study.ask())

    def _ask_of(
        self, sampler: optuna.samplers.BaseSampler, number: int, start: Mapping[str, Scalar] | None
    ) -> Candidate:
        self._study.sampler = sampler
        if start is not None:
            self._study.enqueue_trial(dict(start))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            trial = self._study.ask()
            chosen: dict[str, Scalar] = {}  # `trial.params` is a deep copy each time

            def pick(choice: Choice) -> Scalar:
                # What `suggest_categorical` and its like do, without making the distribution anew.
                value: Any = trial._suggest(choice.name, self._distributions[choice.name])
                chosen[choice.name] = value  # as the sampler remembers it, to the last bit
                return choice.values.nearest(value) if isinstance(choice.values, Steps) else value

            architecture = self._space.decode(pick)
        return Candidate(number, chosen, architecture, trial)

    def mark(self, candidate: Candidate, violation: float, facts: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Note how far a candidate is beyond the limits, 0 when it is within, and what else a sampler reads of it.

        Returns:
            What the sampler knows of the candidate besides its choices and values; `replay` wants it back.
        """
        candidate.trial.set_constraint("limits", violation)
        for name, fact in (facts or {}).items():
            self._storage.set_trial_system_attr(candidate.trial._trial_id, name, fact)
        return dict(self._storage.get_trial(candidate.trial._trial_id).system_attrs)

    def tell(self, candidate: Candidate, values: Sequence[float] | None) -> None:
        """Say what became of a candidate: its objectives' values, or None when it failed."""
        # What `optuna.Study.tell` does, without the deep copy of the trial that it returns.
        trial_id = candidate.trial._trial_id
        state = TrialState.FAIL if values is None else TrialState.COMPLETE
        told = None if values is None else [float(value) for value in values]
        try:
            self._study.sampler.after_trial(self._study, self._storage.get_trial(trial_id), state, told)
        finally:
            self._storage.set_trial_state_values(trial_id, state, told)

    def changed_state(self) -> dict[str, Any] | None:
        """Give what the sampler noted down about the whole study, or None when nothing of it is new."""
        state = self._storage.get_study_system_attrs(self._study._study_id)
        if len(state) == len(self._known_state):
            return None
        self._known_state = dict(state)
        return self._known_state

    def replay(self, choices: Mapping[str, Scalar], values: Sequence[float] | None, state: Mapping[str, Any]) -> None:
        """Add a candidate of an earlier process, as if it had been asked and told here."""
        distributions = {name: self._distributions[name] for name in choices}
        self._study.add_trial(
            optuna.trial.create_trial(
                state=TrialState.FAIL if values is None else TrialState.COMPLETE,
                values=None if values is None else list(values),
                params=dict(choices),
                distributions=distributions,
                system_attrs=dict(state),
            )
        )

    def replay_asked(
        self,
        number: int,
        choices: Mapping[str, Scalar],
        state: Mapping[str, Any],
        beside: Architecture | None = None,
    ) -> Candidate:
        """Propose a candidate of an earlier process again, as if it had been asked here; it is still to be told.

        The sampler of the run is not asked: it knows more by now than it did then. `beside` is what `put_beside` took.
        """
        if beside is not None:
            candidate = self.put_beside(number, beside)
        else:
            candidate = self._ask_of(UniformSampler(number), number, choices)
        for key, value in state.items():
            self._storage.set_trial_system_attr(candidate.trial._trial_id, key, value)
        return candidate

    def replay_state(self, state: Mapping[str, Any]) -> None:
        """Put back what `changed_state` gave last."""
        for key, value in state.items():
            self._storage.set_study_system_attr(self._study._study_id, key, value)
        self._known_state = dict(state)
