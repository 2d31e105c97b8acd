"""The field corpus itself: facts with their source, each log once, and what a row may say."""

import json
import re
from collections import Counter
from dataclasses import replace

import pytest

from kvplan.accuracy.corpus import FIGURES, VLLM_FIELD, Log, entry, folds, read_logs
from kvplan.catalogue import MODELS
from kvplan.errors import SpecError
from kvplan.gpus import find_gpu
from kvplan.units import GIB

LOGGED = {
    "weights_gib", "available_gib", "tokens", "concurrency", "concurrency_len", "blocks", "block_size", "activation_gib",
    "graphs_gib", "graphs_estimated", "graphs_estimate_gib", "non_torch_gib", "consumed_gib", "needed_gib",
    "estimated_max_len",
}  # fmt: skip


def test_every_row_has_its_source_and_says_something(logs):
    """An id of its own, where it was found, and at least one printed figure or the reason that none counts."""
    assert len({log.id for log in logs}) == len(logs) >= 400
    for log in logs:
        assert log.source.strip(), log.id
        assert log.logged or "all" in log.excluded, log.id
        assert log.logged.keys() <= LOGGED, log.id


def test_no_log_is_there_twice(logs):
    """Logs that were collected from two places count once: no two rows print the same figures of one start."""
    starts = Counter(
        (log.gpu, log.tensor, log.context, log.version, json.dumps(log.logged, sort_keys=True))
        for log in logs
        if len(log.logged) > 3
    )
    assert [start for start, count in starts.items() if count > 1] == []


def test_every_exclusion_says_of_what_and_why(logs):
    """A row that is no measure of a figure says so with a reason; reasons that kvplan is off are of figures, too."""
    for log in logs:
        for name, reason in log.excluded.items():
            assert name in (*FIGURES, "all"), log.id
            assert len(reason) > 10, log.id
        assert log.known.keys() <= set(FIGURES), log.id
        assert log.model or "all" in log.excluded, log.id


def test_every_model_is_read_without_a_network(logs):
    """A row that counts names a model of the catalogue: its entry, an alias or a repository that an entry lists."""
    for log in logs:
        if log.model is not None and "all" not in log.excluded:
            assert MODELS.find(log.model) or MODELS.find_checkpoint(log.model), (log.id, log.model)


def test_every_gpu_and_version_is_one(logs):
    """GPUs are catalogue keys or sizes; versions are releases, the build that they stand for beside them."""
    for log in logs:
        if log.gpu is not None:
            assert find_gpu(log.gpu).count == 1, log.id
        if log.version is not None:
            assert re.fullmatch(r"0\.\d+(\.\d+)?", log.version), log.id


def test_rows_that_contradict_themselves_count_for_no_budget(logs):
    """Weights and pool of a log that holds more than its GPU or other weights than its checkpoint are no measure."""
    rows = {log.id: log for log in logs}
    for name in ("ghfile-62864980973-1", "ghfile-38962983769-1", "repo-11"):
        for figure in ("weights", "available", "capacity"):
            assert not rows[name].measures(figure), name


def test_a_line_that_is_no_row_is_named(tmp_path):
    """A broken line says which one it is."""
    file = tmp_path / "field.jsonl"
    first = VLLM_FIELD.read_text(encoding="utf-8").splitlines()[0]
    file.write_text(f"{first}\n{json.dumps({'id': 'x', 'colour': 'red'})}\n", encoding="utf-8")
    with pytest.raises(SpecError, match="line 2"):
        read_logs(file)


def row(**fields) -> Log:
    return Log(**{"id": "a", "source": "s", "quality": "A", "tensor": 1, "logged": {}, **fields})


@pytest.mark.parametrize(
    "fields, kind",
    [
        ({"version": "0.19.0"}, "stated"),
        ({}, "no version"),
        ({"version": "0.19.0", "published": "a fine-tune"}, "architecture"),
        ({"version": "0.19.0", "published": "a fine-tune", "draft": "mtp"}, "speculative"),
    ],
)
def test_a_row_is_of_one_kind(fields, kind):
    """What the source leaves open decides with which rows a row is scored."""
    assert row(**fields).kind == kind


def test_a_printed_size_stands_for_its_rounding():
    """Two digits behind the point unless the row says otherwise; the bounds are half of the last one."""
    low, high = row(logged={"available_gib": 5.25}).bounds("available_gib")
    assert (low, high) == (int(5.245 * GIB), int(5.255 * GIB))
    low, high = row(logged={"available_gib": 5.2}, digits={"available_gib": 1}).bounds("available_gib")
    assert high - low == pytest.approx(0.1 * GIB, abs=2)
    assert row().bounds("available_gib") is None


def test_tokens_of_several_groups_are_told_from_the_log_itself():
    """Before 0.20.2 hybrids print tokens that are not concurrency x length; rounded concurrency alone is no sign."""
    hybrid = {"tokens": 451040, "concurrency": 33.42, "concurrency_len": 131072}
    assert row(logged=hybrid).tokens_are_of_groups
    assert not row(logged={"tokens": 43888, "concurrency": 1.34, "concurrency_len": 32768}).tokens_are_of_groups
    assert not row(logged={"tokens": 43888}).tokens_are_of_groups


@pytest.mark.parametrize("by", ["model", "gpu"])
def test_what_is_scored_was_not_fitted(logs, by):
    """Folds hold out each model or GPU once, and never leave a row of it among those to fit on."""
    scored = Counter()
    for _, fitted, held in folds(logs, by):
        assert not {log.id for log in fitted} & {log.id for log in held}
        assert len(fitted) + len(held) == len(logs)
        scored.update(log.id for log in held)
    assert scored == {log.id: 1 for log in logs}


def test_another_quantisation_does_not_help_to_fit_a_model(logs):
    """Repositories of one catalogue entry are one model for the folds."""
    assert entry(row(model="Qwen/Qwen3-14B-AWQ")) == entry(row(model="Qwen/Qwen3-14B")) == "qwen3-14b"
    one = next(log for log in logs if log.model == "Qwen/Qwen3-14B-AWQ")
    other = replace(one, id="other", model="Qwen/Qwen3-14B")
    assert [len(held) for _, _, held in folds([one, other], "model")] == [2]
