"""Weights as loaded against published start-up logs of vLLM: 139 logs of real GPUs, before any fitting."""

import statistics

import pytest
import score_weights as field

from kvplan.engines import find_engine

LOGS = field.read_logs()
# Rows whose weights are not met within 1.5 %, and why.
UNMET = {
    "ghfile-60491628666-1": "25.8 GiB is more than the repository holds in 16 bits (the source says: treat with care)",
    "repo-338": "ROCm on an APU: 78.4 GiB of a 60 GiB checkpoint; what ROCm's kernels add is not modelled",
    "more-b-77": "the same start as repo-338",
    "repo-266": "a development build on four GB10, 42.5 GiB where another build logs 40.6 with a draft model",
    "repo-79": "the file's size by the source, larger than the published files",
    "repo-314": "an EP build of GLM-5.3-Flash without towers; another start of the model is met within 1.2 %",
    "repo-164": "1.6 %: 0.33 GiB of 4-bit experts cut in eight under 0.20; the same cut by whole experts is met",
    "repo-165": "the same start as repo-164",
    "repo-166": "the same start as repo-164",
    # The log names no version: the latest is planned, and what loading takes has changed.
    "vllm-23278-1": "no version: Marlin's layout, kept scales",
    "llmdbench-gptoss120b": "no version: before 0.33 the loaded scales are kept",
    "llmdbench-gptoss20b": "no version: as the 120B",
    "ghfile-68365991216-1": "no version",
    "ghfile-70275095242-1": "no version: before 0.33 the rotary table has four times the positions",
    "ghfile-69080973712-1": "no version: as above",
    "repo-76": "no version: as above",
    "repo-319": "no version: as above",
    "repo-19": "no version: before 0.21 torch's blocks are split",
    "ghfile-58922366826-1": "no version: as above",
    "vllm-6746-1": "no version, a figure copied by hand as GB",
    "more-b-106": "no version, printed as GB",
    "more-b-130": "no version: a V0 engine",
}


@pytest.mark.parametrize("log", LOGS, ids=lambda log: log.row["id"])
def test_a_log_is_met_or_its_difference_is_explained(log):
    """Within 1.5 % of what vLLM printed, or the reason stands above; a reason does not outlive its difference."""
    if log.error is None:
        pytest.skip("vLLM's paging of the model is not built: no plan, no claim")
    assert (abs(log.error) > 0.015) == (log.row["id"] in UNMET), f"{log.error:+.2%}"


def test_the_error_over_all_logs():
    """Each (model, GPU, tensor parallel) once: median at most 0.2 %, nine of ten at most 4 %, before any fitting."""
    sizes = field.errors_by_group(LOGS)
    assert len(sizes) >= 100
    assert statistics.median(sizes) <= 0.002
    assert sizes[int(0.9 * len(sizes))] <= 0.04


def test_the_spread_of_the_weights_is_that_of_the_logs():
    """Nine of ten starts that name their version lie within the bounds that plans give the weights, each counted once."""
    low, high = find_engine("vllm")[0].weights_spread
    assert (low, high) == (990, 1010)
    sizes = field.errors_by_group(log for log in LOGS if log.row["version"])
    assert len(sizes) >= 60
    assert sum(size <= 0.01 for size in sizes) / len(sizes) >= 0.9
