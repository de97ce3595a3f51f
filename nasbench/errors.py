"""Every error that nasbench raises on purpose.

    NasbenchError
    ├── DefinitionError          a YAML definition, a name or an option is wrong; what the user wrote must change
    │   ├── UnknownNameError     no such space, device, block, sampler, data set ...
    │   └── RunNameError         a run cannot be named so: the folder holds no run, or a new one would overwrite it
    ├── DatasetError             a data set is absent, damaged or of another shape
    ├── DeviceError              a device cannot be used at all; trying the next candidate on it is useless
    │   └── DeviceLost           a device somewhere else stopped answering
    ├── StoreError               a run folder cannot be read or written
    │   ├── RunLockedError       another process writes this run
    │   └── DamagedRunError      the log or a parquet file is truncated or altered
    ├── SearchError              a search cannot go on, such as when every candidate fails
    └── CandidateError           one candidate failed; it becomes a row and the search goes on
        ├── BuildError           status build_error
        │   └── ShapeError       status shape_error
        ├── NanOutputError       status nan_output
        ├── OutOfMemory          status out_of_memory
        ├── TimeLimitExceeded    status timeout
        ├── Crashed              status crashed
        └── MeasurementError     status invalid: the clock or the output contradicts itself

Every class takes one string, so that an error survives pickling. Libraries raise; only the CLI prints and exits.
"""

from __future__ import annotations


class NasbenchError(Exception):
    """Base of all errors raised on purpose; its text is one line for the user."""


class DefinitionError(NasbenchError):
    """A definition or an option is wrong. The text says where, what came and what is allowed."""


class UnknownNameError(DefinitionError):
    """A name is not registered. The text suggests the closest and lists the known ones."""


class RunNameError(DefinitionError):
    """A folder holds no run where one is asked for, or is taken or misnamed where a new one is to be."""


class DatasetError(NasbenchError):
    """A data set is absent, damaged or of another shape than the network expects."""


class DeviceError(NasbenchError):
    """A device cannot be used; the caller should not try it again."""


class DeviceLost(DeviceError):
    """A device somewhere else, or the cluster it belongs to, stopped answering; the text says when and which."""


class StoreError(NasbenchError):
    """A run folder cannot be read or written."""


class RunLockedError(StoreError):
    """Another process writes this run; the text says which."""


class DamagedRunError(StoreError):
    """A log or a parquet file is truncated or altered; the text says how to recover."""


class SearchError(NasbenchError):
    """A search cannot go on."""


class CandidateError(NasbenchError):
    """One candidate failed. `status` is what its row says, `side` its number among several in one process, if known."""

    status = "failed"
    side: int | None = None


class BuildError(CandidateError):
    """A network cannot be built from its rows."""

    status = "build_error"


class ShapeError(BuildError):
    """A block does not accept the shape it is given; the text names the row."""

    status = "shape_error"


class NanOutputError(CandidateError):
    """A network's output or loss is NaN or infinite."""

    status = "nan_output"


class OutOfMemory(CandidateError):
    """A candidate went over its memory cap."""

    status = "out_of_memory"


class TimeLimitExceeded(CandidateError):
    """A candidate did not finish a phase in time."""

    status = "timeout"


class Crashed(CandidateError):
    """The process that ran a candidate died or answered nonsense."""

    status = "crashed"


class MeasurementError(CandidateError):
    """A measurement contradicts itself: a clock that runs backwards, an output that changes."""

    status = "invalid"


CANDIDATE_ERRORS: dict[str, type[CandidateError]] = {
    error.status: error
    for error in (
        CandidateError,
        BuildError,
        ShapeError,
        NanOutputError,
        OutOfMemory,
        TimeLimitExceeded,
        Crashed,
        MeasurementError,
    )
}
