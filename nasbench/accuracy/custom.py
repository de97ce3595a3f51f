"""Accuracy by a function of the user's own: `--accuracy package.module:function`.

    def ink(architecture):                      # my_estimator.py, in the working directory
        network = nasbench.model.build.build(architecture, seed=0)
        return 0.9                              # a share of one, higher is better

    nasbench search ... --accuracy my_estimator:ink

The function gets an `Architecture` and gives a number from 0 to 1, or a mapping with `value` and, if it likes, `metric`
(a word) and `details` (JSON data). It runs in a child process that is kept, so what it loads once stays loaded; what it
raises becomes the error of that candidate.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import math
import re
import time
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, SupportsFloat

from nasbench.accuracy.base import ChildAccuracy, GoOn
from nasbench.errors import CandidateError, DefinitionError, NanOutputError
from nasbench.isolation import Link, MakeWorker, Worker
from nasbench.records import Score
from nasbench.registry import unknown_name
from nasbench.space.architecture import Architecture

_PLACE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*", re.ASCII)
_RESULT_KEYS = ("value", "metric", "details")


class CustomAccuracy(ChildAccuracy):
    """What a user's function says of a network. It has no middle, so `go_on` is never asked."""

    name = "custom"

    def __init__(
        self,
        place: str,
        *,
        threads: int = 1,
        cpus: tuple[int, ...] | None = None,
        memory_limit_bytes: int | None = None,
        limit_s: float = 3600.0,
        make_worker: MakeWorker = Worker,
    ) -> None:
        """Prepare; nothing is imported before `open`.

        Args:
            place: `module:function`; the module is found as `import` finds it, the working directory included.
            threads: that the function's libraries may use.
            cpus: cores to stay on.
            memory_limit_bytes: of the child.
            limit_s: for one call.
            make_worker: makes what runs the child, here or on a node.
        """
        if not _PLACE.fullmatch(place):
            raise DefinitionError(f"--accuracy {place}: write package.module:function, or the name of a method")
        self.place = place
        self._threads = threads
        self._limits_s = {"import": 300.0, "estimate": limit_s}
        self._facts: dict[str, Any] | None = None
        self._worker = make_worker(
            "nasbench.accuracy.custom:serve", threads=threads, cpus=cpus, memory_limit_bytes=memory_limit_bytes
        )

    def open(self) -> None:
        """Import the function in the child.

        Raises:
            DefinitionError: the module cannot be imported, or has no such function.
        """
        try:
            self._facts = self._worker.call({"place": self.place}, limits_s=self._limits_s)
        except CandidateError as error:
            raise DefinitionError(f"--accuracy {self.place} cannot be imported: {error}") from error

    @property
    def description(self) -> Mapping[str, Any]:
        """Give the function's place and the digest of its file: an estimator that was changed gives other scores."""
        if self._facts is None:
            self.open()
        assert self._facts is not None
        return {"method": self.name, "function": self.place, "threads": self._threads, **self._facts}

    def estimate(self, architecture: Architecture, go_on: GoOn) -> Score:
        """Call the function once.

        Raises:
            NanOutputError: it gave NaN or infinity.
            CandidateError: it raised, or gave no number from 0 to 1; the subclass says when it crashed or hung.
        """
        request = {"place": self.place, "architecture": architecture.as_dict()}
        answer = self._worker.call(request, limits_s=self._limits_s)
        return Score(
            value=answer["value"],
            metric=answer["metric"],
            method=self.name,
            dataset="",
            split="",
            seconds=answer["seconds"],
            details=answer["details"],
        )


def serve(request: dict[str, Any], link: Link) -> dict[str, Any]:
    """Answer one request in the child: without an architecture it says what the function is, with one it calls it."""
    if "architecture" not in request:
        link.phase("import")
        function = _find(request["place"])
        file = getattr(importlib.import_module(function.__module__), "__file__", None)
        digest = hashlib.sha256(Path(file).read_bytes()).hexdigest() if file else None
        return {"file_sha256": digest}
    link.phase("import")
    function = _find(request["place"])
    architecture = Architecture.from_dict(request["architecture"])
    link.phase("estimate")
    started = time.perf_counter()
    result = function(architecture)
    seconds = time.perf_counter() - started
    return {**_checked(request["place"], result), "seconds": seconds}


@lru_cache(maxsize=1)
def _find(place: str) -> Any:
    name, _, attribute = place.partition(":")
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        folder = "the working directory and the installed packages were searched"
        raise DefinitionError(f"--accuracy {place}: there is no module {error.name!r}; {folder}") from error
    except Exception as error:  # any code of the user may run here
        raise DefinitionError(f"--accuracy {place}: importing it raised {type(error).__name__}: {error}") from error
    if not hasattr(module, attribute):
        functions = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        raise unknown_name(f"function of the module {name}", attribute, functions)
    function = getattr(module, attribute)
    if not callable(function):
        raise DefinitionError(f"--accuracy {place}: it is {type(function).__name__}, and a function is needed")
    return function


def _checked(place: str, result: Any) -> dict[str, Any]:
    given = dict(result) if isinstance(result, Mapping) else {"value": result}
    if "value" not in given or any(key not in _RESULT_KEYS for key in given):
        raise CandidateError(f"{place} gave a mapping with {sorted(map(str, given))}; it takes {_RESULT_KEYS}")
    value, metric, details = given["value"], given.get("metric", "custom"), given.get("details", {})
    if isinstance(value, bool | str | bytes) or not isinstance(value, SupportsFloat):
        raise CandidateError(f"{place} gave {value!r}; a number from 0 to 1 is needed")
    number = float(value)
    if not math.isfinite(number):
        raise NanOutputError(f"{place} gave {number}")
    if not 0 <= number <= 1:
        raise CandidateError(f"{place} gave {number}; a share from 0 to 1 is needed, higher being better")
    if not isinstance(metric, str) or not isinstance(details, Mapping):
        raise CandidateError(
            f"{place} gave the metric {metric!r} and details {details!r}; a word and a mapping are needed"
        )
    try:
        json.dumps(dict(details), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise CandidateError(f"{place} gave details that are no JSON data: {error}") from error
    return {"value": number, "metric": metric, "details": dict(details)}
