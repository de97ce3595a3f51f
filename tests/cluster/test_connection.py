"""The node that Ray connects this process through has to be where this process is."""

import pytest

from nasbench.cluster.connection import check_home
from nasbench.errors import DeviceError


@pytest.mark.parametrize("host", ["127.0.0.1", ""])
def test_a_node_on_this_machine_will_do(host):
    check_home(host, "127.0.0.1:6379")


def test_a_node_in_another_network_is_refused_with_what_to_do():
    with pytest.raises(DeviceError, match=r"at 192\.0\.2\.7, .* or start a node here with: ray start --address=head:1"):
        check_home("192.0.2.7", "head:1")
