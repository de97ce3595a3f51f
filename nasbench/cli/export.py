"""`nasbench export`: a published network or a candidate of a run as a file that others read."""

from __future__ import annotations

import re
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nasbench.errors import DefinitionError, NasbenchError

if TYPE_CHECKING:
    from torch import nn

    from nasbench.model.build import Network
    from nasbench.model.standalone import Origin
    from nasbench.space.architecture import Architecture
    from nasbench.store.candidate import Candidate

MAX_STEPS = 16
"""How far a space around a network reaches at most."""

SUFFIXES = {"onnx": ".onnx", "torch": ".py", "safetensors": ".safetensors", "pytorch": ".pt", "yaml": ".yaml"}
"""The formats, and how the names of their files end."""


@dataclass(frozen=True)
class Chosen:
    """What is to be exported.

    `name` is for people, `stem` for the file; `source` and `published` say where it comes from. `candidate` is the
    trial of a run that it is, and `definition` the text of that of its space, with what errors call it.
    """

    name: str
    stem: str
    architecture: Architecture
    source: str = ""
    published: str = ""
    candidate: Candidate | None = None
    definition: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class GraphForm:
    """How an ONNX file is written: for how many images, None for any, and in which version of its operators."""

    batch: int | None = 1
    opset: int | None = None


def export(
    what: Annotated[
        str,
        typer.Argument(
            metavar="NETWORK",
            help="A published architecture, a .yaml with no choice left, RUN#TRIAL, or a run's folder with --trial.",
        ),
    ],
    trial: Annotated[
        int | None, typer.Option(min=0, help="Number of the trial in the run, as the tables show it.")
    ] = None,
    to: Annotated[
        str | None,
        typer.Option("--format", metavar="|".join(SUFFIXES), help="What to write.  [default: by --out, else onnx]"),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="The file.  [default: the network's name here]")] = None,
    train: Annotated[
        bool, typer.Option("--train", help="Train it again by the run's recipe; else its weights are random.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="Of the random weights.")] = 0,
    batch: Annotated[
        str | None, typer.Option(metavar="N|any", help="Images in one inference of an ONNX file.  [default: 1]")
    ] = None,
    opset: Annotated[
        int | None, typer.Option(min=1, help="Version of ONNX's operators.  [default: torch's choice]")
    ] = None,
    around: Annotated[
        int | None,
        typer.Option(
            metavar="STEPS",
            min=1,
            max=MAX_STEPS,
            help="Write a space around it for `nasbench search`: choices so far off.",
        ),
    ] = None,
) -> None:
    """Write a network as ONNX, as PyTorch source that stands alone, as weights, or as a definition.

    torch is one .py file that needs torch and nothing else, with the weights beside it after --train; safetensors
    holds the weights alone; pytorch is a .pt with weights and rows, which nasbench reads back.
    """
    from nasbench.model.export import check_onnx, check_output, check_safetensors

    to = _find_format(to, out, "onnx" if around is None else "yaml")
    if around is not None and to != "yaml":
        raise DefinitionError(f"--around writes a search space, and {to} holds one network; take --format yaml")
    if to != "onnx" and (batch is not None or opset is not None):
        raise DefinitionError(f"--batch and --opset are of onnx files; {to} has neither")
    graph = GraphForm(_read_batch(batch), opset)
    if train and to == "yaml":
        raise DefinitionError("--train trains weights, and a yaml definition holds none")
    chosen = _choose(what, trial)
    path = out or Path(f"{chosen.stem}{'' if around is None else '-around'}{SUFFIXES[to]}")
    check_output(path)
    if to == "safetensors" or (to == "torch" and train):
        check_safetensors()
    if to == "torch" and train:
        check_output(path.with_suffix(SUFFIXES["safetensors"]))
    if to == "onnx":
        check_onnx()
    if train and (why := _why_not_trained(chosen)):
        raise DefinitionError(f"--train repeats a run's training, and {why}")
    if around is not None:
        typer.echo(_write_space(chosen, path, around))
        return
    said = "" if to == "yaml" else f", {_describe_weights(chosen, train, seed)}"
    typer.echo(f"wrote {_write(chosen, to, path, train, seed, graph)}: {_describe(chosen)}{said}")


def _find_format(to: str | None, out: Path | None, default: str) -> str:
    """Give the format that was asked for, by name or by the suffix of the file, or else the default."""
    from nasbench.registry import unknown_name

    if to is None:
        by_suffix = {suffix: name for name, suffix in SUFFIXES.items()} | {".yml": "yaml"}
        if out is None:
            return default
        if out.suffix not in by_suffix:
            raise DefinitionError(
                f"{out}: its name does not say what to write; end it with {' or '.join(by_suffix)}, or give --format"
            )
        return by_suffix[out.suffix]
    if to not in SUFFIXES:
        raise unknown_name("format", to, SUFFIXES)
    if to == "torch" and out is not None and out.suffix != ".py":
        raise DefinitionError(f"{out}: the format torch is Python source; end the file's name with .py")
    if to == "yaml" and out is not None and out.suffix not in (".yaml", ".yml"):
        raise DefinitionError(f"{out}: the format yaml is a definition; end the file's name with .yaml")
    return to


def _choose(what: str, trial: int | None) -> Chosen:
    """Find what is to be exported."""
    from nasbench.cli.show import describe_figures
    from nasbench.measure.networks import find_network, is_factory, is_timm_name, parse_trial
    from nasbench.space.load import find_architecture

    numbered = parse_trial(what) if trial is None else (Path(what), trial)
    if numbered is not None:
        return _choose_trial(*numbered)
    if Path(what).is_dir():
        raise DefinitionError(f"{what} is a folder; say which trial of the run with --trial N")
    if what.endswith(".onnx"):
        raise DefinitionError(f"{what}: is exported already")
    if is_timm_name(what) or is_factory(what):
        name, architecture = find_network(what)
        return Chosen(name, _stem(what), architecture)
    space, named = find_architecture(what)
    figures = describe_figures(named.published) if named.published else ""
    definition = (Path(space.path).read_text(encoding="utf-8"), space.path) if space.choices else None
    return Chosen(named.name, _stem(named.name), named.architecture, space.source, figures, definition=definition)


def _choose_trial(run: Path, trial: int) -> Chosen:
    from nasbench.measure.networks import find_candidate

    candidate = find_candidate(run, trial)
    name = run.resolve().name
    source = f"trial {trial} of the run {name}"
    if candidate.published is not None:
        source += f", published as {candidate.published}"
    if candidate.accuracy is not None:
        source += f"; accuracy {100 * candidate.accuracy:.2f} % as its search estimated it"
    text = candidate.manifest.get("definition")
    return Chosen(
        candidate.name,
        f"{_stem(name)}-trial{trial}",
        candidate.architecture,
        source,
        candidate=candidate,
        definition=(text, f"the definition in {run}") if isinstance(text, str) else None,
    )


def _stem(name: str) -> str:
    """Give a file's name to a network of any name."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", name).strip(".") or "network"


def _describe(chosen: Chosen) -> str:
    what = chosen.name if chosen.candidate is None else f"trial {chosen.candidate.trial}"
    return f"{what}, architecture {chosen.architecture.digest}"


def _describe_weights(chosen: Chosen, train: bool, seed: int) -> str:
    """Say which weights a file has; a user's function may give trained ones."""
    from nasbench.model.foreign import is_foreign, is_timm

    if train:
        return "trained weights"
    if is_foreign(chosen.architecture) and not is_timm(chosen.architecture):
        return "weights as the function gives them"
    return f"random weights of seed {seed}" + ("" if _why_not_trained(chosen) else " (--train trains it)")


def _why_not_trained(chosen: Chosen) -> str | None:
    """Say why a network's training cannot be repeated; None where it can."""
    from nasbench.model.foreign import is_foreign
    from nasbench.store.parquet import run_trains

    if chosen.candidate is None:
        return f"{chosen.name} is of no run; name it RUN#TRIAL"
    if is_foreign(chosen.architecture):
        return f"{chosen.name} is not made of rows to train"
    if not run_trains(chosen.candidate.manifest):
        return "this run's accuracy was not trained"
    return None


def _write_space(chosen: Chosen, path: Path, steps: int) -> str:
    """Write the space around a network, and give the line that says so."""
    from nasbench.definitions import parse_definition
    from nasbench.model.export import to_space
    from nasbench.model.foreign import is_foreign
    from nasbench.space.load import read_space
    from nasbench.units import format_size

    if is_foreign(chosen.architecture):
        raise DefinitionError(f"{chosen.name} is not made of rows, so there is no space around it")
    root = parse_definition(*chosen.definition) if chosen.definition else None
    text = to_space(chosen.architecture, chosen.stem, steps, root)
    space = read_space(parse_definition(text, str(path)))
    if not space.choices:
        raise DefinitionError(f"nothing of {chosen.name} can be varied, so there is no space around it")
    path.write_text(text, encoding="utf-8")
    return (
        f"wrote {path}: {format_size(space.size())} networks around {_describe(chosen)}. "
        f"Search it: nasbench search {shlex.quote(str(path))}"
    )


def _write(chosen: Chosen, to: str, path: Path, train: bool, seed: int, graph: GraphForm) -> str:
    """Write the file, and give the name of what was written."""
    from nasbench.model.deploy import deploy
    from nasbench.model.export import replacing, to_safetensors, to_torch, to_yaml
    from nasbench.model.foreign import is_foreign
    from nasbench.model.inference import build_inference
    from nasbench.model.standalone import to_source

    architecture = chosen.architecture
    if is_foreign(architecture):
        if to != "onnx":
            raise DefinitionError(f"{chosen.name} is not made of rows; it can be written as onnx, and not as {to}")
        return _write_onnx(build_inference(architecture, seed), path, chosen, graph)
    if to == "yaml":
        path.write_text(to_yaml(architecture), encoding="utf-8")
        return str(path)
    if to == "torch" and not train:
        to_source(architecture, path, _origin(chosen), seed=seed)
        return str(path)
    network = _network(chosen, train, seed)
    if to == "torch":
        with replacing(path) as part:
            to_safetensors(network, architecture, part.with_suffix(SUFFIXES["safetensors"]))
            to_source(architecture, part, _origin(chosen), seed=seed, trained=network)
        return f"{path} and {path.with_suffix(SUFFIXES['safetensors'])}"
    if to == "onnx":
        return _write_onnx(deploy(network), path, chosen, graph)
    if to == "safetensors":
        to_safetensors(network, architecture, path)
    else:
        to_torch(network, architecture, path)
    return str(path)


def _write_onnx(network: nn.Module, path: Path, chosen: Chosen, graph: GraphForm) -> str:
    from nasbench.model.export import replacing, to_onnx
    from nasbench.runtime.agreement import check_agreement

    shape = chosen.architecture.input_shape
    with replacing(path) as part:
        to_onnx(network, part, shape, graph.batch, graph.opset)
        try:
            difference = check_agreement(part, network, shape, (1, 3) if graph.batch is None else (graph.batch,))
        except NasbenchError as error:
            raise NasbenchError(str(error).replace(str(part), f"{path} is not written")) from error
    if difference is None:
        typer.echo("note: onnxruntime is not installed, so the file was not run: pip install nasbench[onnx]", err=True)
    else:
        typer.echo(f"ONNX Runtime gives torch's logits within {difference:.1e} of the largest", err=True)
    return str(path)


def _read_batch(text: str | None) -> int | None:
    """Read `--batch`: a whole number, or None for any."""
    if text == "any":
        return None
    if text is None:
        return 1
    if not re.fullmatch(r"[1-9][0-9]{0,3}", text):
        raise DefinitionError(f"--batch {text!r} is neither a whole number from 1 to 9,999 nor any")
    return int(text)


def _network(chosen: Chosen, train: bool, seed: int) -> Network:
    """Build the network, in its training form, with the weights that were asked for."""
    from nasbench.cli.export_training import train_again
    from nasbench.model.build import build

    if train:
        assert chosen.candidate is not None, "asked before"
        return train_again(chosen.candidate)
    return build(chosen.architecture, seed)


def _origin(chosen: Chosen) -> Origin:
    from nasbench.model.standalone import Origin

    command = shlex.join(["nasbench", *map(_without_folder, sys.argv[1:])])
    return Origin(chosen.name, chosen.source, chosen.published, command)


def _without_folder(word: str) -> str:
    """Leave of an absolute path its name, after `--option=` too: folders of this machine are nobody else's business."""
    option, equals, value = word.partition("=") if word.startswith("--") else ("", "", word)
    return f"{option}{equals}{Path(value).name if Path(value).is_absolute() else value}"
