"""`nasbench claims` as a user types it; what is counted takes no time to check."""

import json

import pyarrow.parquet as pq
import pytest

from nasbench.claims.check import check
from nasbench.errors import BuildError
from tests.measure.turning_device import TurningDevice

COUNTED = ("ge_resnet_50_params", "mobilenet_v1_full_convolutions", "convfirst_convnext")


def test_claims_are_checked_stored_and_written_as_a_page(here):
    done = here("claims", *COUNTED, "--run", "results/a", "--page", "page.md", check=0)

    table = pq.read_table(here.folder / "results/a/claims.parquet").to_pydict()
    verdicts = dict(zip(table["claim"], table["verdict"], strict=True))
    assert verdicts == {COUNTED[0]: "holds", COUNTED[1]: "holds", COUNTED[2]: "not comparable here"}
    assert "cpu: 2 holds, 1 not comparable here" in done.stdout
    assert "wrote results/a/claims.parquet and page.md" in done.stdout
    assert "no runtime here fuses the layers" in (here.folder / "page.md").read_text()


def test_findings_are_printed_as_json(here):
    said = json.loads(here("claims", COUNTED[0], "--json", check=0).stdout)

    (finding,) = said["findings"]
    assert (finding["figure"], finding["ratio"], finding["ratio_low"]) == ("params", 1.0, 1.0)


def test_a_list_measures_nothing(here):
    done = here("claims", "--family", "hardnet,", "--list", check=0)

    assert "hardnet_68_resnet_50" in done.stdout and "0.7" in done.stdout
    assert not (here.folder / "results").exists()


MINE = """
schema: 1
claims:
"""
ONE = """
  {name}:
    families: [resnet]
    source: A paper
    says: it is smaller
    claimed_on: a phone
    equal: accuracy
    first: resnet_18
    second: resnet_34
    at_most: 0.9
    {more}
"""


def test_a_device_is_opened_for_each_runtime_and_its_findings_stay_together(here, monkeypatch):
    opened, compared = [], []

    class Opened(TurningDevice):
        def __init__(self, spec):
            super().__init__({})
            self.spec = spec

        def open(self):
            opened.append(self.spec.runtime)

        def close(self):
            opened.append("closed")

    def fail(device, first, second, plan, **options):
        compared.append((device.spec.runtime, plan.batch))
        raise BuildError("not today")

    monkeypatch.setattr("nasbench.device.load.open_device", Opened)
    monkeypatch.setattr(check, "__kwdefaults__", {**check.__kwdefaults__, "comparing": fail})
    more = {
        "a": "",
        "b": "figure: params",
        "c": "runtime: channels_last\n    batch: 4",
        "d": "runtime: cuda_graph",
        "e": "batch: 2",
    }
    text = MINE + "".join(ONE.format(name=name, more=words) for name, words in more.items())
    (here.folder / "mine.yaml").write_text(text)

    done = here("claims", "--file", "mine.yaml", "--run", "results/a", "--page", "page.md", check=0)

    table = pq.read_table(here.folder / "results/a/claims.parquet").to_pydict()
    assert opened == ["eager", "closed", "channels_last", "closed", "eager", "closed"]
    assert compared == [("eager", 1), ("channels_last", 4), ("eager", 2)]
    assert list(zip(table["claim"], table["runtime"], table["verdict"], strict=True)) == [
        ("a", "eager", "failed"),
        ("b", "eager", "holds"),
        ("c", "channels_last", "failed"),
        ("d", "eager", "not comparable here"),
        ("e", "eager", "failed"),
    ]
    assert "cpu: 1 holds, 1 not comparable here, 3 failed" in done.stdout
    assert (here.folder / "page.md").read_text().count("## On ") == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("hardnet_68_resnet_5",), "no claim is named 'hardnet_68_resnet_5'. Did you mean 'hardnet_68_resnet_50'?"),
        (("--family", "hardnets"), "no family with claims is named 'hardnets'. Did you mean 'hardnet'?"),
        (("--device", "gpu"), "no device is named 'gpu'"),
        ((COUNTED[0], "--page", "nowhere/page.md"), "--page nowhere/page.md: there is no folder nowhere"),
        ((COUNTED[0], "--run", "."), "is there already; choose another name"),
        (("--file", "mine.yaml"), "mine.yaml: cannot be read"),
    ],
)
def test_bad_input_ends_with_one_line(here, words, message):
    done = here("claims", *words)

    assert done.returncode == 2
    assert message in done.stderr
    assert len([line for line in done.stderr.splitlines() if line]) == 1


def test_what_was_found_is_shown_again_and_nothing_is_measured(here):
    here("claims", *COUNTED, "--run", "results/a", check=0)

    done = here("claims", "--from", "results/a", "--page", "again.md", check=0)

    assert "cpu: 2 holds, 1 not comparable here" in done.stdout and "wrote again.md" in done.stdout
    assert "## On `cpu`: 2 holds" in (here.folder / "again.md").read_text()
    assert json.loads(here("claims", "--from", "results/a", "--json", check=0).stdout)["findings"][0]["verdict"]


@pytest.mark.parametrize(
    ("words", "told"), [(["--device", "cpu"], "leave out --device"), (["--family", "hardnet"], "leave out --family")]
)
def test_nothing_can_be_chosen_of_what_was_found(here, words, told):
    assert told in here("claims", "--from", "results/a", *words, check=2).stderr
