"""How rows become figures: what counts, what counts once, and that a wrong plan shows."""

from dataclasses import replace

import pytest

from kvplan.accuracy.corpus import Log
from kvplan.accuracy.geometry import geometry
from kvplan.accuracy.measures import MEASURES, Error
from kvplan.accuracy.plans import Planned
from kvplan.accuracy.scoring import score, summarise
from kvplan.units import GIB

START = Log(
    id="a",
    source="made up",
    quality="A",
    version="0.19.0",
    model="llama-3.1-8b",
    gpu="h100",
    tensor=1,
    context=8192,
    args={"gpu_memory_utilization": 0.9},
    logged={},
)


def printing(**logged: float) -> Log:
    return replace(START, logged=logged)


def error(planned: float, **fields) -> Error:
    return Error(log=replace(START, **fields), measure=MEASURES["weights"], planned=planned, logged=1.0)


def test_a_group_counts_once_by_its_median():
    """Ten logs of one machine weigh as much as one of another."""
    many = [error(1.10, id=str(index)) for index in range(9)] + [error(3.0, id="outlier")]
    summary = summarise([*many, error(0.98, gpu="l4")])
    assert (summary.logs, summary.groups) == (11, 2)
    assert summary.median == pytest.approx((0.10 + 0.02) / 2)
    assert summary.bias == pytest.approx((0.10 - 0.02) / 2)
    assert summary.p90 == pytest.approx(0.10)
    assert summarise([]) is None


def test_the_logs_own_weights_take_the_place_of_the_planned_ones():
    """A GiB more of logged weights is a GiB less of cache, whatever was planned for the weights."""
    plan = Planned(printing()).whole
    cache, weights = plan.kv_cache_bytes / GIB, plan.weights.bytes / GIB
    scored = score([printing(available_gib=cache - 1, weights_gib=weights + 1)])
    errors = {one.measure.name: one.relative for one in scored.errors}
    assert errors["available_given_weights"] == pytest.approx(0, abs=1e-6)
    assert errors["available"] == pytest.approx(cache / (cache - 1) - 1, abs=1e-6)


def test_a_figure_counts_where_the_source_gives_what_it_needs():
    """No budget without GPU and fraction, no pool where nothing is left, nothing that the row excludes."""
    logged = {
        "available_gib": 50.0,
        "tokens": 400_000,
        "weights_gib": 14.99,
        "concurrency": 48.8,
        "concurrency_len": 8192,
    }

    def names(log: Log) -> set[str]:
        return {one.measure.name for one in score([log]).errors}

    assert names(printing(**logged)) == set(MEASURES)
    assert names(replace(printing(**logged), gpu=None)) == {"weights"}
    assert names(replace(printing(**logged), args={})) == {"weights"}
    assert names(printing(**{**logged, "available_gib": -0.5})) == {"weights", "tokens", "concurrency"}
    assert names(replace(printing(**logged), excluded={"weights": "no repository is named"})) == set(MEASURES) - {
        "weights"
    }
    assert names(replace(printing(**logged), excluded={"all": "a fork of vLLM"})) == set()


def test_a_pool_that_was_given_outright_is_no_budget():
    """With the cache's bytes stated, the printed tokens are held to them and the interval is no claim."""
    scored = score([replace(printing(tokens=81_920), gpu=None, args={}, kv_cache_memory=10 * GIB)])
    assert [(one.measure.name, one.relative) for one in scored.errors] == [("tokens", 0.0)]
    assert scored.covered == ()


def test_bytes_per_token_are_met_to_the_rounding_and_not_beyond():
    """128 KiB a token: 10.00 GiB may be 81,879 to 81,960 tokens in blocks of 16, and not one block more."""
    for tokens, met in ((81_872, True), (81_952, True), (81_856, False), (81_968, False)):
        found = geometry(Planned(printing(available_gib=10.0, tokens=tokens)))
        assert (found.what, found.determined, found.met) == ("tokens", True, met), tokens


def test_a_refusals_figures_are_held_to_the_plan_too():
    """The memory that one request needs is exact, as printed; so is the longest length that would have fitted."""
    needed = geometry(Planned(replace(printing(needed_gib=16.0), context=131_072)))
    assert (needed.what, needed.met) == ("needed", True)
    assert not geometry(Planned(replace(printing(needed_gib=16.1), context=131_072))).met
    refused = replace(printing(available_gib=10.0, estimated_max_len=81_920), context=131_072)
    assert geometry(Planned(refused)).what == "longest"


def test_a_refused_start_that_fits_is_named():
    """A start that failed and that the plan says fits stands in the list by its id; no other does."""
    refused = replace(START, refused="one request needs more")
    assert [one.log.id for one in score([refused]).false_fits] == ["a"]
    assert score([replace(refused, args={"gpu_memory_utilization": 0.1})]).false_fits == ()
    assert score([START]).false_fits == ()


def test_a_low_end_above_the_log_is_named():
    """The interval promised more than there was."""
    promised = score([printing(concurrency=3.0, concurrency_len=8192)])
    assert [one.log.id for one in promised.promises] == ["a"]
    plan = Planned(START).whole
    kept = score([printing(concurrency=round(plan.capacity.max_concurrency, 2), concurrency_len=8192)])
    assert kept.promises == ()
    assert [one.inside for one in kept.covered] == [True]


def test_a_printed_total_that_is_another_cards_counts():
    """Shared memory has the size that its owner gave it, a modified card its own; equal ones stay the catalogue's."""
    ours = Planned(START).whole.budget.budget_bytes
    total = Planned(START).whole.deployment.group.gpu.torch_bytes / GIB
    assert Planned(replace(START, total_gib=round(total, 2))).whole.budget.budget_bytes == ours
    assert Planned(replace(START, total_gib=40.0)).whole.budget.budget_bytes == round(0.9 * 40 * GIB)


def test_a_row_that_kvplan_refuses_is_told_with_its_reason():
    """No plan is no error of zero: the row is named."""
    scored = score([replace(printing(weights_gib=14.99), kv_dtype="int3")])
    assert scored.errors == ()
    assert [(log.id, "int3" in reason) for log, reason in scored.refusals] == [("a", True)]


def test_constants_are_refitted_on_other_rows():
    """Two machines that both have a GiB less than planned: each is right by the other's runtime; one alone stays as planned."""

    def start(model: str) -> Log:
        plan = Planned(replace(START, model=model)).whole
        cache, weights = plan.kv_cache_bytes / GIB, plan.weights.bytes / GIB
        return replace(printing(available_gib=cache - 1, weights_gib=weights), id=model, model=model)

    starts = [start("llama-3.1-8b"), start("qwen3-8b")]
    both = score(starts).refitted["model"]
    assert [one.relative for one in both] == pytest.approx([0, 0], abs=1e-9)
    assert all(one.inside and one.low < one.planned < one.high for one in both)
    (alone,) = score(starts[:1]).refitted["model"]
    assert alone.planned - alone.logged == pytest.approx(GIB, abs=2)
    assert not alone.inside
