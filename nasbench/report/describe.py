"""What a page says of a run in words: what was found, on what, and the commands that do it again."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nasbench.objectives import find_objective
from nasbench.records import STATUSES
from nasbench.report.document import Command, Member
from nasbench.report.together import RACE, is_search
from nasbench.store.database import DATABASE
from nasbench.store.parquet import Run
from nasbench.units import format_clock, format_seconds, format_size

if TYPE_CHECKING:
    import pandas as pd

Facts = list[tuple[str, str]]

_ENDED = {"complete": "complete", "pruned": "ended early", "infeasible": "beyond a limit", "duplicate": "repeated"}


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
        ("Failed", f"{sum(count for status, count in ended.items() if status not in _ENDED):,}"),
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
    if len(measured):
        first = measured.sort_values(["latency_s", "trial"]).iloc[0]
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
    """Say what the best member of each objective reaches, accuracy first and then the first cost."""
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
    column = objective.column
    if objective.figure == "latency" and member.get("confirmed_on_front") is not None:
        confirmed = member.get(f"confirmed_{column}")
        if confirmed is not None and confirmed == confirmed and member["confirmed_on_front"] is not None:
            column = f"confirmed_{column}"
    value = member[column]
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
    failed = sum(count for status, count in ended.items() if status not in _ENDED)
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
    for names, units in ((("device",), "{}"), (("runtime",), "{}"), (("dtype",), "{}"), (("batch",), "batch {}")):
        values = sorted(set(rows[names[0]].dropna()))
        if values:
            told.append(units.format(", ".join(map(str, values))))
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
    """Give the command that started the run; where it was started otherwise, the same from its settings."""
    command = run.manifest.get("command")
    if isinstance(command, list | tuple) and len(command) > 1 and command[1] in ("search", "bench", "compare", "study"):
        return shlex.join(map(str, command))
    settings = run.manifest.get("settings")
    if is_search(run) and isinstance(settings, Mapping):
        return shlex.join(_search_words(settings))
    return ""


def _search_words(settings: Mapping[str, Any]) -> list[str]:
    """Write the settings of a search as the options of `nasbench search`."""
    words = ["nasbench", "search", str(settings.get("space", ""))]
    devices = settings.get("devices") or ([settings["device"]] if settings.get("device") else [])
    for option, values in (("--device", devices), ("--objective", settings.get("objectives") or ())):
        for value in values:
            words += [option, str(value)]
    for name, limit in (settings.get("limits") or {}).items():
        unit = {"s": "s", "J": "J"}.get(find_objective(name).unit, "")
        words += ["--max", f"{name}={limit!r}{unit}"]
    plain = ("accuracy", "data", "epochs", "sampler", "seed", "batch", "threads", "dtype", "trials", "stop_when_flat")
    for name in plain:
        if settings.get(name) is not None:
            words += [f"--{name.replace('_', '-')}", str(settings[name])]
    if settings.get("seconds") is not None:
        words += ["--time", f"{settings['seconds']}s"]
    for name in ("warm_start", "early_stop", "share_equal"):
        if settings.get(name) is False:
            words.append(f"--no-{name.replace('_', '-')}")
    return words


def row_commands(run: Run) -> list[Command]:
    """Give what can be done with a row: measure it again, export it, build it.

    A run without its log can be asked for the members of its front, and a bench for what has a name. Names may be
    somebody else's, so they are quoted: see `Command`.
    """
    folder, has_log = str(run.folder), (run.folder / DATABASE).is_file()
    again, device = "Measure it again, in 5 to 15 processes", _device_option(run)
    if not is_search(run) and not has_log:
        return [
            Command(again, f"nasbench bench {{shell}}{device}", named=True),
            Command("Build it in Python", _python("{literal}"), named=True),
        ]
    quoted = _doubled(shlex.quote(folder))
    commands = [Command(again, f"nasbench bench {quoted}#{{trial}}{device}")]
    if has_log:
        export = f"nasbench export {quoted} --trial {{trial}}"
        trained = is_search(run) and (run.manifest.get("accuracy") or {}).get("method") == "train"
        if trained:
            commands.append(Command("Train it as the search did and export it as ONNX", f"{export} --train"))
        else:
            commands.append(Command("Export it as ONNX, with initial weights", export))
        commands.append(Command("Write it as a definition", f"{export} --format yaml"))
    return [*commands, Command("Build it in Python", _python(f'{_doubled(json.dumps(folder)[:-1])}#{{trial}}"'))]


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


def _device_option(run: Run) -> str:
    """Name the registered devices of a run; what stands for a table is none."""
    rows = run.evaluations
    real = rows[rows["latency_verdict"].ne("table") & rows["device"].notna()]["device"]
    return _doubled("".join(f" --device {shlex.quote(str(device))}" for device in dict.fromkeys(real)))


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
