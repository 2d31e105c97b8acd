"""Pipeline stages and parallel sizes."""

import pytest

from kvplan.errors import SettingError
from kvplan.parallel import Parallelism


@pytest.mark.parametrize(
    "layers, stages, sizes",
    [
        (80, 4, [20, 20, 20, 20]),
        (61, 4, [15, 15, 16, 15]),  # one layer over: to the stage before the last
        (62, 4, [15, 16, 16, 15]),
        (63, 4, [16, 16, 16, 15]),  # the last has the head
        (7, 3, [2, 3, 2]),
        (3, 2, [2, 1]),
        (5, 5, [1, 1, 1, 1, 1]),
        (12, 1, [12]),
    ],
)
def test_layers_that_do_not_divide_go_before_the_last_stage(layers, stages, sizes):
    """Stages are uneven as vLLM cuts them: the last, which has the head, is never the longer one."""
    ranges = Parallelism(pipeline=stages).stages(layers)
    assert [len(stage) for stage in ranges] == sizes
    assert [layer for stage in ranges for layer in stage] == list(range(layers))


def test_more_stages_than_layers_are_refused():
    """A stage without a layer is an error that names both figures."""
    with pytest.raises(SettingError, match=r"9 pipeline stages .* 8 layers"):
        Parallelism(pipeline=9).stages(8)


@pytest.mark.parametrize("size", [0, -1, 1.0, True, "2", None, 10**9])
@pytest.mark.parametrize("name", ["tensor", "pipeline", "data", "context"])
def test_a_parallel_size_is_a_whole_number(name, size):
    """Anything else is an error that names the setting and shows the value."""
    with pytest.raises(SettingError, match=f"{name}_parallel(_size)? is"):
        Parallelism(**{name: size})


def test_context_ranks_divide_the_tensor_ranks():
    """Context parallelism splits a tensor-parallel group evenly or is refused."""
    assert Parallelism(tensor=8, context=4).gpus == 8
    with pytest.raises(SettingError, match="does not divide"):
        Parallelism(tensor=8, context=3)
