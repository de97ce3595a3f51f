"""timm's table of accuracies: read strictly, and taken only for the very network and size."""

import pytest

from nasbench.errors import DefinitionError
from nasbench.measure.timm_results import read_timm_results, state_timm
from nasbench.model.foreign import foreign_architecture
from nasbench.space.load import find_architecture
from nasbench.store.published import Published

HEADER = "model,img_size,top1,top1_err,top5,top5_err,param_count,crop_pct,interpolation\n"
TABLE = (
    HEADER
    + "resnet50.a1_in1k,288,81.240,18.760,95.112,4.888,25.56,1.000,bicubic\n"
    + "resnet50.a1_in1k,224,80.382,19.618,94.598,5.402,25.56,0.950,bicubic\n"
    + 'eva_giant.m30m,560,89.790,10.210,98.990,1.010,"1,014.45",1.000,bicubic\n'
)


@pytest.fixture
def table(tmp_path):
    """Write a table, timm's own by default, and give its path."""

    def write(text=TABLE):
        path = tmp_path / "results-imagenet.csv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def timm(name, size=224):
    return foreign_architecture("timm", (3, size, size), 1000, name=name, version="1.0.31")


def test_an_accuracy_is_a_share_of_one_by_name_with_tag_and_size(table):
    assert read_timm_results(table()) == {
        ("resnet50.a1_in1k", 288): 0.8124,
        ("resnet50.a1_in1k", 224): 0.80382,
        ("eva_giant.m30m", 560): 0.8979,
    }


def test_a_network_of_timm_has_what_the_table_states_at_its_own_size(table):
    networks = {"timm/resnet50": timm("resnet50.a1_in1k"), "large": timm("resnet50.a1_in1k", 288)}

    stated = state_timm(networks, table())

    assert stated["timm/resnet50"] == Published(source="timm, results-imagenet.csv", top1=0.80382)
    assert stated["large"].top1 == 0.8124


def test_another_size_another_tag_and_a_network_that_is_not_of_timm_have_nothing(table):
    networks = {
        "resized": timm("resnet50.a1_in1k", 256),
        "retrained": timm("resnet50.tv_in1k"),
        "resnet50.a1_in1k": find_architecture("resnet_50")[1].architecture,
    }

    assert state_timm(networks, table()) == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model,img_size,err\nresnet50,224,20\n", r"csv: lacks the column 'top1'; timm's results-imagenet\.csv"),
        ("", "lacks the column 'model'"),
        (HEADER + "resnet50,224\n", r"csv:2: img_size is '224' and top1 None"),
        (HEADER + "resnet50,large,80\n", r"csv:2: img_size is 'large'"),
        (HEADER + "resnet50,224,nan\n", r"csv:2: .*top1 nan; a name and percent"),
        (HEADER + "resnet50,224,8038.2\n", r"csv:2: .*top1 8038\.2"),
        (HEADER + ",224,80\n", r"csv:2: model is ''"),
        (HEADER + "a,224,80\nb,224,81\na,224,79\n", r"csv:4: has a at 224 pixels again"),
        (b"\xff\xfe\x00", "is no table of text"),
    ],
)
def test_what_is_no_such_table_is_said_with_its_line(table, text, message):
    with pytest.raises(DefinitionError, match=message):
        read_timm_results(table(text))


def test_a_table_that_is_not_there_is_said(tmp_path):
    with pytest.raises(DefinitionError, match=r"absent\.csv: cannot be read: No such file"):
        read_timm_results(tmp_path / "absent.csv")
