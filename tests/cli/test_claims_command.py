"""`nasbench claims` as a user types it; what is counted takes no time to check."""

import json

import pyarrow.parquet as pq
import pytest

COUNTED = ("ge_resnet_50_params", "mobilenet_v1_full_convolutions", "efficientvim_shvit")


def test_claims_are_checked_stored_and_written_as_a_page(here):
    done = here("claims", *COUNTED, "--run", "results/a", "--page", "page.md", check=0)

    table = pq.read_table(here.folder / "results/a/claims.parquet").to_pydict()
    verdicts = dict(zip(table["claim"], table["verdict"], strict=True))
    assert verdicts == {COUNTED[0]: "holds", COUNTED[1]: "holds", COUNTED[2]: "not comparable here"}
    assert "cpu: 2 holds, 1 not comparable here" in done.stdout
    assert "wrote results/a/claims.parquet and page.md" in done.stdout
    assert "SHViT is not built" in (here.folder / "page.md").read_text()


def test_findings_are_printed_as_json(here):
    said = json.loads(here("claims", COUNTED[0], "--json", check=0).stdout)

    (finding,) = said["findings"]
    assert (finding["figure"], finding["ratio"], finding["ratio_low"]) == ("params", 1.0, 1.0)


def test_a_list_measures_nothing(here):
    done = here("claims", "--family", "hardnet,", "--list", check=0)

    assert "hardnet_68_resnet_50" in done.stdout and "0.7" in done.stdout
    assert not (here.folder / "results").exists()


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
