"""What a page says of a run in words: what was found, on what, and the commands that do it again."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from nasbench.objectives import MEASURED, find_objective, split_objective
from nasbench.pareto import UNUSABLE_VERDICTS
from nasbench.records import CONFIRM, FAILURES, STATUSES
from nasbench.report.document import Command, Member
from nasbench.report.together import RACE, is_search
from nasbench.store.database import DATABASE
from nasbench.store.parquet import Run, run_devices, run_trains
from nasbench.store.published import KEY
from nasbench.units import format_clock, format_seconds, format_size

if TYPE_CHECKING:
    import pandas as pd

Facts = list[tuple[str, str]]

_ENDED = {"complete": "complete", "pruned": "ended early", "infeasible": "beyond a limit", "duplicate": "repeated"}

_USUAL = {
    "accuracy": "train",
    "batch": 1,
    "workers": 1,
    "worker_gpus": 0.0,
    "confirm_processes": CONFIRM.max_processes,
}
"""What `nasbench search` does by itself and some searches refuse to be told, such as a batch where tables answer."""


def describe_run(
    run: Run, rows: pd.DataFrame, members: Sequence[Member], hypervolume: float | None, shared: bool
) -> tuple[Facts, str]:
    """Give the lines of the summary, and a sentence of what was found.

    Args:
        run: the run.
        rows: those that the page shows.
        members: its stored front.
        hypervolume: at its end.
        shared: whether the box of the hypervolume is that of several runs.
    """
    facts, sentence = _search(run, rows, members, hypervolume, shared) if is_search(run) else _bench(run, rows)
    return [(what, _for_eyes(text)) for what, text in facts], _for_eyes(sentence)


def _for_eyes(text: str) -> str:
    """Write microseconds and microjoules with the letter that a page has and a terminal may not."""
    return re.sub(r"(?<=\d )u(?=[sJ]\b)", "µ", text)


def _search(
    run: Run, rows: pd.DataFrame, members: Sequence[Member], hypervolume: float | None, shared: bool
) -> tuple[Facts, str]:
    manifest = run.manifest
    stays = [member for member in members if not member.fell]
    ended = _count_statuses(rows)
    extremes = _extremes(run)
    fell = len(members) - len(stays)
    sentence = f"{_number(len(rows), 'candidate')} {'was' if len(rows) == 1 else 'were'} tried{_in_words(ended)}."
    if stays:
        front = "confirmed front" if run.is_confirmed else "front"
        sentence += f" {len(stays)} {'is' if len(stays) == 1 else 'are'} on the {front}"
        sentence += f", {fell} fell off when it was confirmed." if fell else "."
        sentence += "".join(f" {text}" for text in extremes)
        if hypervolume is not None:
            box = "the box that all runs share" if shared else "its box"
            sentence += f" The front covers {100 * hypervolume:.2f} % of {box} (hypervolume)."
    elif len(rows):
        sentence += " None was complete and within the limits, so there is no front."
    facts: Facts = [
        ("Kind", "search"),
        ("Search space", _space(manifest)),
        ("Sampler", f"{manifest.get('sampler', '-')}, seed {manifest.get('seed', '-')}"),
        ("Objectives", ", ".join(objective.name for objective in run.objectives)),
        ("Limits", ", ".join(f"{n} at most {find_objective(n).show(v)}" for n, v in run.limits.items()) or "none"),
        ("Accuracy", _accuracy(rows)),
        ("Device", _device(rows, manifest)),
        ("Candidates", f"{len(rows):,}{_in_words(ended)}"),
        (
            "On the front",
            f"{len(stays)}{', confirmed' if run.is_confirmed else ''}{f', {fell} fell off' if fell else ''}",
        ),
        *((what, figures) for what, figures in _extreme_figures(run)),
        ("Hypervolume", "-" if hypervolume is None else f"{hypervolume:.4f} of 1{', in one box' if shared else ''}"),
        ("Failed", f"{sum(count for status, count in ended.items() if status in FAILURES):,}"),
        *_when(rows, manifest),
    ]
    return facts, sentence


def _bench(run: Run, rows: pd.DataFrame) -> tuple[Facts, str]:
    raced = raced_rows(run, rows)
    measured = rows[rows["latency_s"].notna() & ~raced]
    verdicts = {str(verdict): int(count) for verdict, count in measured["latency_verdict"].value_counts().items()}
    networks = rows["architecture"].nunique()
    sentence = (
        f"{_number(networks, 'network')} {'was' if networks == 1 else 'were'} measured in {_number(len(rows), 'row')}"
    )
    told = ", ".join(f"{count} {verdict}" for verdict, count in sorted(verdicts.items()))
    if raced.any():
        sentence += (
            f", of which {int(raced.sum()):,} {'is an estimate' if raced.sum() == 1 else 'are estimates'} of a race"
        )
    sentence += f"; verdicts: {told}." if told else "."
    facts: Facts = [
        ("Kind", str(run.manifest.get("kind", "bench"))),
        ("Networks", f"{networks:,}"),
        ("Rows", f"{len(rows):,}"),
        ("Device", _device(rows, run.manifest)),
        ("Verdicts", told or "-"),
        ("Failed", f"{int((rows['status'] != 'complete').sum()):,}"),
        *_when(rows, run.manifest),
    ]
    usable = measured[~measured["latency_verdict"].isin(UNUSABLE_VERDICTS)]
    if len(usable):
        first = usable.sort_values(["latency_s", "trial"]).iloc[0]
        sentence += f" The fastest is {_name(first)} with {format_seconds(first['latency_s'])}."
        facts.insert(5, ("Fastest", f"{format_seconds(first['latency_s'])}, {_name(first)}"))
    return facts, sentence


def raced_rows(run: Run, rows: pd.DataFrame) -> pd.Series[bool]:
    """Mark the rows of a bench that hold what a race estimated, which orders networks and is no latency to report."""
    import pyarrow.compute as pc

    table = run.table("measurements").select(["trial", "plan_level"])
    raced = table.filter(pc.equal(table["plan_level"], RACE))["trial"].to_pylist()
    return rows["trial"].isin(raced)


def _extremes(run: Run) -> list[str]:
    """Say what the best members in the first two objectives reach, in the order asked for."""
    told = []
    for objective, best, other in _best(run):
        figure = objective.show(_figure(best, objective))
        beside = f" at {other.show(_figure(best, other))}" if other else ""
        word = f"The best {objective.name} is" if objective.maximize else f"The lowest {objective.name} is"
        told.append(f"{word} {figure}{beside}.")
    return told[:2]


def _extreme_figures(run: Run) -> Iterable[tuple[str, str]]:
    for objective, best, _ in _best(run):
        words = f"{objective.show(_figure(best, objective))}, {_name(best)}"
        yield f"{'Best' if objective.maximize else 'Lowest'} {objective.name}", words


def _best(run: Run) -> Iterable[tuple[Any, Any, Any]]:
    front = run.pareto[run.pareto["fell_off"].isna()] if len(run.pareto) else run.pareto
    if front.empty:
        return
    for objective in run.objectives:
        values = [_figure(member, objective) for _, member in front.iterrows()]
        known = [index for index, value in enumerate(values) if value is not None]
        if known:
            at = min(known, key=lambda index: objective.loss(values[index]))
            other = next((one for one in run.objectives if one.name != objective.name), None)
            yield objective, front.iloc[at], other


def _figure(member: Any, objective: Any) -> Any:
    """Give a member's figure, as confirmed where confirming decided on it."""
    value = member[objective.column]
    if objective.figure == "latency" and member.get("confirmed_on_front") is not None:
        confirmed = member.get(f"confirmed_{objective.column}")
        value = value if confirmed is None or confirmed != confirmed else confirmed
    return None if value is None or value != value else float(value)


def _name(row: Any) -> str:
    published = row["published"]
    return published if isinstance(published, str) else f"trial {row['trial']}"


def _number(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _count_statuses(rows: pd.DataFrame) -> dict[str, int]:
    counts = rows["status"].value_counts()
    return {status: int(counts[status]) for status in STATUSES if status in counts}


def _in_words(ended: Mapping[str, int]) -> str:
    """Say what became of candidates, failures together."""
    told = [f"{count:,} {_ENDED[status]}" for status, count in ended.items() if status in _ENDED]
    failed = sum(count for status, count in ended.items() if status in FAILURES)
    told += [f"{failed:,} failed"] if failed else []
    return f": {', '.join(told)}" if told else ""


def _space(manifest: Mapping[str, Any]) -> str:
    size = str(manifest.get("space_size") or "")
    return f"{manifest.get('space', '-')}{f', {format_size(int(size))} points' if size.isdigit() else ''}"


def _accuracy(rows: pd.DataFrame) -> str:
    words = []
    for columns in (("accuracy_metric",), ("accuracy_method",), ("dataset", "split")):
        values = [sorted(set(rows[column].dropna())) for column in columns]
        if all(values):
            words.append(" ".join("/".join(map(str, one)) for one in values))
    return ", ".join(words) or "-"


def _device(rows: pd.DataFrame, manifest: Mapping[str, Any]) -> str:
    told = []
    for column, word in (("device", ""), ("runtime", ""), ("dtype", ""), ("batch", "batch ")):
        values = sorted(set(rows[column].dropna()))
        if values:
            told.append(word + ", ".join(map(str, values)))
    threads = sorted(set(rows["threads"].dropna()))
    told += [f"{', '.join(map(str, threads))} thread{'' if threads == [1] else 's'}"] if threads else []
    return "; ".join(told) or ", ".join(device["name"] for device in manifest.get("devices") or ()) or "-"


def _when(rows: pd.DataFrame, manifest: Mapping[str, Any]) -> Facts:
    facts = (
        [("Started", str(manifest["created_at"]).replace("T", " ").replace("+00:00", " UTC"))]
        if manifest.get("created_at")
        else []
    )
    if len(rows) and rows["started_at"].notna().any():
        ended = (rows["started_at"] - rows["started_at"].min()).dt.total_seconds() + rows["duration_s"].astype(float)
        facts.append(("Trials took" if is_timed(rows) else "Took", format_clock(float(ended.max()))))
    return facts


def is_timed(rows: pd.DataFrame) -> bool:
    """Say whether the trials have durations of their own."""
    return bool((rows["duration_s"].astype(float) > 0).any())


def repeat_command(run: Run) -> str:
    """Give the command that started the run; where it was started otherwise, the same from its settings.

    The manifest may be somebody else's, so nothing is given but a command of nasbench in printable words.
    """
    command, settings = run.manifest.get("command"), run.manifest.get("settings")
    words: list[str] = []
    if isinstance(command, list | tuple):
        words = [str(word) for word in command]
    if words[:1] != ["nasbench"] or words[1:2] not in (["search"], ["bench"], ["compare"], ["study"]):
        words = _search_words(settings) if is_search(run) and isinstance(settings, Mapping) else []
    return shlex.join(words) if all(word.isprintable() for word in words) else ""


def _search_words(settings: Mapping[str, Any]) -> list[str]:
    """Write the settings of a search as the options of `nasbench search`."""
    words = ["nasbench", "search", str(settings.get("space", ""))]
    objectives, limits = settings.get("objectives") or (), settings.get("limits") or {}
    measures = any(split_objective(name)[0] in MEASURED for name in (*objectives, *limits))
    devices = settings.get("devices") or ([settings["device"]] if settings.get("device") else [])
    for option, values in (("--device", devices if measures else ()), ("--objective", objectives)):
        for value in values:
            words += [option, str(value)]
    for name, limit in limits.items():
        unit = {"s": "s", "J": "J"}.get(find_objective(name).unit, "")
        words += ["--max", f"{name}={limit!r}{unit}"]
    for name in (
        *("accuracy", "data", "epochs", "sampler", "seed", "batch", "threads", "dtype", "trials", "stop_when_flat"),
        *("workers", "cluster", "worker_gpus", "confirm_processes", "start_from"),
    ):
        value = settings.get(name)
        if value not in (None, _USUAL.get(name)) and (name, value) != ("dtype", "unknown"):  # as a table's is
            words += [f"--{name.replace('_', '-')}", str(value)]
    if settings.get("seconds") is not None:
        words += ["--time", f"{settings['seconds']}s"]
    if settings.get("fresh"):
        words.append("--fresh")
    for name in ("warm_start", "early_stop", "share_equal"):
        # A run that says nothing of equal functions is from before they were trained once.
        if settings.get(name, name != "share_equal") is False:
            words.append(f"--no-{name.replace('_', '-')}")
    return words


def row_commands(run: Run) -> list[Command]:
    """Give what can be done with rows: measure them again, export them, build them; each for the rows that allow it.

    A search without its log can be asked for the members of its front, and a bench without it for names that everybody
    has. A user's own file or function is nobody else's, and what timm makes has no rows to write or to build from.
    Names may be somebody else's, so they are quoted: see `Command`.
    """
    rows, folder, has_log = run.evaluations, str(run.folder), (run.folder / DATABASE).is_file()
    own, timm = _foreign(rows)
    by_name = not is_search(run) and not has_log
    network, literal = f"{_doubled(shlex.quote(folder))}#{{trial}}", f'{_doubled(json.dumps(folder)[:-1])}#{{trial}}"'
    if by_name:
        reached, network, literal = _is_known(run), "{shell}", "{literal}"
    else:
        reached = ~own if has_log else rows["trial"].isin(run.pareto["trial"])
    commands = [
        Command(
            "Measure it again, in 5 to 15 processes", f"nasbench bench {network}{_doubled(options)} --fresh", trials
        )
        for options, trials in _group_by_options(run, rows[reached]).items()
    ]
    every, made = (rows["trial"][mask].tolist() for mask in (reached, reached & ~timm))
    if has_log:
        export = f"nasbench export {_doubled(shlex.quote(folder))} --trial {{trial}}"
        if is_search(run) and run_trains(run.manifest):
            commands.append(Command("Train it as the search did and export it as ONNX", f"{export} --train", every))
        else:
            commands.append(Command("Export it as ONNX, with initial weights", export, every))
        commands.append(Command("Write it as a definition", f"{export} --format yaml", made))
    commands.append(Command("Build it in Python", _python(literal), made))
    return [
        replace(one, named=by_name, trials=None if len(one.trials or ()) == len(rows) else one.trials)
        for one in commands
    ]


def _foreign(rows: pd.DataFrame) -> tuple[pd.Series[bool], pd.Series[bool]]:
    """Mark the networks of a user's own file or function, and those of timm; all others are of a search space."""
    foreign = rows["space"].eq("")
    # By RUN#TRIAL nothing foreign is found but what is timm's.
    timm = foreign & _names(rows).str.contains("^timm/|#")
    return foreign & rows["classes"].eq(0).fillna(False).astype(bool) & ~timm, timm


def _is_known(run: Run) -> pd.Series[bool]:
    """Mark the rows of a bench whose network everybody finds by its name: a published architecture, or one of timm."""
    rows = run.evaluations
    # An earlier bench does not say which networks are published: not samples, and not trials of runs.
    published = rows["family"].notna() if KEY in run.manifest else ~_names(rows).str.contains("[/#]")
    return published & rows["space"].ne("") | _names(rows).str.startswith("timm/")


def _names(rows: pd.DataFrame) -> pd.Series[str]:
    return rows["published"].where(rows["published"].notna(), "").astype(str)


def _group_by_options(run: Run, rows: pd.DataFrame) -> dict[str, list[int]]:
    """Group trials by the options with which `nasbench bench` measures as their rows say.

    What was read from a table is in no group, nor what has a setting that cannot be typed. A candidate of a search that
    was not measured goes with the others, where those are one group.
    """
    import pandas as pd

    settings = run.manifest.get("settings") or {}
    if several := run_devices(run.manifest):
        return _group_together(run, rows, settings, several)
    left = {name for name in ("runtime", "threads", "dtype") if name in settings and not settings[name]}
    if settings.get("runtime"):
        left -= {"dtype"}  # best measures eager in fp32 where the device's own format is none of its
    names = ("device", "batch", "dtype", "runtime", "threads")
    found: dict[str, list[int]] = {}
    unmeasured: list[int] = []
    columns = rows[["trial", "latency_verdict", "choices", *names]]
    for trial, verdict, choices, *values in columns.itertuples(index=False):
        told = {name: value for name, value in zip(names, values, strict=True) if pd.notna(value)}
        if not is_search(run) and isinstance(choices, str):
            told |= json.loads(choices)
        if "device" not in told:
            unmeasured.append(int(trial))
        elif verdict != "table":
            options = _options([told["device"]], {name: value for name, value in told.items() if name not in left})
            found.setdefault(options, []).append(int(trial))
    if len(found) == 1:
        found = {options: sorted(trials + unmeasured) for options, trials in found.items()}
    return {options: trials for options, trials in found.items() if options}


def _group_together(
    run: Run, rows: pd.DataFrame, settings: Mapping[str, Any], devices: Sequence[str]
) -> dict[str, list[int]]:
    """Give the trials of a search on several devices their options; the rows have the settings of the first alone."""
    verdicts = {device: run.evaluations.get(f"latency_verdict@{device}") for device in devices}
    real = [device for device, given in verdicts.items() if given is not None and given.dropna().ne("table").any()]
    batches = run.evaluations["batch"].dropna()
    asked = {"batch": next(iter(batches), 1), **{name: settings.get(name) for name in ("dtype", "threads")}}
    options = _options(real, asked) if real else ""
    return {options: rows["trial"].tolist()} if options else {}


def _options(devices: Sequence[str], told: Mapping[str, Any]) -> str:
    """Write the options of a measuring, as far as `nasbench bench` would do otherwise; nothing if one cannot be typed.

    A terminal acts on what is not printable, and a leading dash makes an option.
    """
    words = [word for device in devices for word in ("--device", str(device))]
    for name, usual in (("batch", 1), ("dtype", None), ("runtime", None), ("threads", None), ("cache", "hot")):
        if told.get(name, usual) not in (None, usual):
            words += [f"--{name}", str(told[name])]
    typed = all(word.isprintable() and not word.startswith("-") for word in words[1::2])
    return f" {shlex.join(words)}" if typed else ""


def _doubled(text: str) -> str:
    """Double the braces of a text of the run, which would else be places of a format string."""
    return text.replace("{", "{{").replace("}", "}}")


def _python(literal: str) -> str:
    return (
        "from nasbench.measure.networks import find_network\n"
        "from nasbench.model.build import build\n\n"
        f"name, architecture = find_network({literal})\n"
        "model = build(architecture)  # a torch.nn.Module with initial weights"
    )


def environment_of(run: Run) -> Facts:
    """Give the machine, the versions and the state of the checkout, as the manifest has them."""
    manifest = run.manifest
    facts: Facts = []
    for section in ("versions", "host", "git"):
        known = manifest.get(section)
        if isinstance(known, Mapping):
            prefix = {"versions": "", "host": "", "git": "checkout "}[section]
            facts += [
                (f"{prefix}{name}".replace("_", " "), _text(value))
                for name, value in known.items()
                if value is not None
            ]
    return facts


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping | list | tuple):
        return json.dumps(value)
    return f"{value:,}" if isinstance(value, int) and value > 9999 else str(value)
