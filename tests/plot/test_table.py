"""The table of found and published networks, for people and for programs."""

import re

import pandas as pd
import pytest
from mixtures import REFERENCE, make_bench, make_search

from nasbench.errors import DefinitionError, StoreError
from nasbench.plot.networks import read_networks
from nasbench.plot.table import front_rows, write_table
from nasbench.store.parquet import read_run

STORED = ("mnist_tiny-cpu", "mnist_tiny-cpu-confirmed", "published-cpu-onnx", "runtimes-cpu")


@pytest.fixture(scope="module")
def runs():
    return [read_run(REFERENCE / name) for name in STORED]


@pytest.fixture(scope="module")
def networks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("table")
    return read_networks([make_bench(folder / "bench"), make_search(folder / "search")])


def written(networks, path):
    write_table(networks, path)
    return path.read_text(encoding="utf-8")


def cells_of(line, separator):
    return [cell.strip() for cell in re.split(rf"(?<!\\){re.escape(separator)}", line)]


def test_csv_holds_every_network_and_setting_with_the_stored_figures(runs, tmp_path):
    write_table(read_networks(runs), tmp_path / "all.csv")

    table = pd.read_csv(tmp_path / "all.csv").set_index(["run", "trial"])
    for run in runs:
        rows, trials = table.loc[run.name], run.evaluations.set_index("trial")
        assert set(rows.index) == set(trials.index)
        for name in ("accuracy", "published_top1", "params", "macs", "published_params", "published_macs"):
            stored = trials[name].astype(float).reindex(rows.index)
            assert rows[name].astype(float).equals(stored) or (rows[name].isna() & stored.isna()).all()
        latencies = trials["latency_s"]
        if run.is_confirmed:
            latencies = run.pareto.set_index("trial")["confirmed_latency_s"].combine_first(latencies)
        assert rows["latency_s"].to_dict() == latencies.to_dict()
        assert (rows["architecture"] == trials["architecture"].reindex(rows.index)).all()


def test_csv_says_what_is_left_out_and_why(runs, tmp_path):
    write_table(read_networks(runs), tmp_path / "all.csv")

    table = pd.read_csv(tmp_path / "all.csv")
    reasons = table.groupby("run")["left_out"].value_counts().to_dict()
    assert reasons["published-cpu-onnx", "without a published top-1"] == 23
    assert reasons["runtimes-cpu", "without a published top-1"] == 10
    assert reasons["mnist_tiny-cpu-confirmed", "pruned"] == 4
    assert not table.loc[table["left_out"].notna(), "on_front"].any()
    assert len(table[table["kind"] == "published"]) == 254


def test_the_table_goes_panel_after_panel_in_order_of_latency_and_ends_with_what_is_left_out(networks, tmp_path):
    write_table(networks, tmp_path / "all.csv")
    table = pd.read_csv(tmp_path / "all.csv")

    shown = table[table["left_out"].isna()]
    assert len(shown) == 7 and list(shown["latency_s"]) == sorted(shown["latency_s"])
    assert list(table.index[table["left_out"].notna()]) == [7]


@pytest.mark.parametrize("which", ["runs", "networks"])
def test_rows_of_markdown_have_equally_many_cells(which, request, tmp_path):
    value = request.getfixturevalue(which)
    lines = written(value if which == "networks" else read_networks(value), tmp_path / "all.md").splitlines()

    assert {len(cells_of(line, "|")) for line in lines} == {26}
    assert re.fullmatch(r"(\| -{3}:? )+\|", lines[1])


def test_markdown_has_figures_with_units(networks, tmp_path):
    lines = written(networks, tmp_path / "all.md").splitlines()

    head = cells_of(lines[0], "|")
    found = next(dict(zip(head, cells_of(line, "|"), strict=True)) for line in lines if "| found |" in line)
    stated = next(dict(zip(head, cells_of(line, "|"), strict=True)) for line in lines if line.startswith("| b |"))
    assert found["accuracy found here"] == "65.00 %, digits, validation" and found["published top-1"] == "-"
    assert (found["latency"], found["95 % interval"]) == ("699 us", "693 us to 714 us")
    assert (found["family or space"], found["on the front"], found["batch"]) == ("tiny", "yes", "1")
    assert stated["published top-1"] == "75.00 %" and stated["source"] == "table 1"
    assert stated["latency"].endswith(" ms") and stated["accuracy found here"] == "-"


def test_what_markdown_and_latex_would_read_otherwise_is_escaped(networks, tmp_path):
    odd = networks.assign(network=r"a|b\c & 100% $x_1$ #2 {y} ~z^ <t>", published_source="two\nlines")

    marked = written(odd, tmp_path / "odd.md").splitlines()
    assert {len(cells_of(line, "|")) for line in marked} == {26}
    assert marked[2].startswith(r"| a\|b\\c & 100% $x_1$ #2 {y} ~z^ \<t> |") and "two lines" in marked[2]
    text = written(odd, tmp_path / "odd.tex")
    expected = (
        r"a\textbar{}b\textbackslash{}c \& 100\% \$x\_1\$ \#2 \{y\} \textasciitilde{}z\textasciicircum{} "
        r"\textless{}t\textgreater{} & "
    )
    assert sum(line.startswith(expected) for line in text.splitlines()) == len(odd)


def test_latex_is_a_tabular_with_rules_of_booktabs_and_equally_many_cells(runs, tmp_path):
    lines = written(read_networks(runs), tmp_path / "all.tex").splitlines()

    begin = re.fullmatch(r"\\begin\{tabular\}\{([lr]+)\}", lines[1])
    rules = [line for line in lines if line.startswith("\\") and line.endswith("rule")]
    assert rules == ["\\toprule", "\\midrule", "\\bottomrule"] and lines[-1] == "\\end{tabular}"
    rows = [line for line in lines if line.endswith("\\\\")]
    assert {len(cells_of(row, "&")) for row in rows} == {len(begin[1])}
    for row in rows:
        assert re.search(r"(?<!\\)[%$#_{}~^]", re.sub(r"\\text[a-z]+\{\}", "", row)) is None


@pytest.mark.parametrize("suffix", [".md", ".csv", ".tex"])
def test_the_same_runs_give_the_same_bytes(runs, tmp_path, suffix):
    for name in ("a", "b"):
        write_table(read_networks(runs), tmp_path / f"{name}{suffix}")

    assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()
    assert len(list(tmp_path.iterdir())) == 2


def test_the_front_for_a_terminal_is_what_is_marked(networks):
    columns, rows = front_rows(networks)

    assert [row[columns.index("kind")] for row in rows] == ["found", "published", "published", "found"]
    assert all(len(row) == len(columns) for row in rows)


@pytest.mark.parametrize("name", ["both.txt", "both"])
def test_a_wrong_suffix_is_said(networks, tmp_path, name):
    with pytest.raises(DefinitionError, match=r"; a table is one of \.csv, \.md, \.tex"):
        write_table(networks, tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_a_table_that_cannot_be_written_is_said(networks, tmp_path):
    (tmp_path / "tables").write_text("")

    with pytest.raises(StoreError, match="cannot be written"):
        write_table(networks, tmp_path / "tables" / "both.md")
