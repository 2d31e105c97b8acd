"""The scored corpus as one JSON document, `kvplan.accuracy/1`."""

import re
from typing import TYPE_CHECKING, Any

from kvplan.accuracy.corpus import KINDS, Log
from kvplan.accuracy.measures import MEASURES, Error
from kvplan.accuracy.scoring import Accuracy, Summary, summarise

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from kvplan.accuracy.crossval import RefittedError

SCHEMA = "kvplan.accuracy/1"

# What the breakdowns go by.
BREAKDOWNS = ("version", "gpu", "family")


def breakdown(accuracy: Accuracy, by: str) -> dict[str, Accuracy]:
    """Return the rows by vLLM's minor version, GPU or model type; unnamed ones last."""
    keys: Mapping[str, Callable[[Log], str]] = {
        "version": lambda log: _minor(log.version) or "not named",
        "gpu": lambda log: "by size alone" if (log.gpu or "").endswith("GiB") else log.gpu or "not named",
        "family": lambda log: accuracy.families.get(log.id, "not planned"),
    }
    found = accuracy.by(keys[by])
    order = sorted(found, key=lambda name: (name == "not named", [int(n) for n in re.findall(r"\d+", name)], name))
    return {name: found[name] for name in (order if by == "version" else sorted(found, key=_named_first))}


def without_draft(accuracy: Accuracy) -> Accuracy:
    """Return the rows that say something of memory and load no draft, whatever else their source leaves open."""
    return accuracy.where(lambda log: log.kind != "speculative" and log.quality in "AB")


def to_document(accuracy: Accuracy, *, version: str) -> dict[str, Any]:
    """Return the document; `version` is kvplan's own."""
    return {
        "schema": SCHEMA,
        "kvplan": version,
        "engine": "vllm",
        "corpus": {
            "rows": len(accuracy.logs),
            "planned": len(accuracy.families),
            "refused": len(accuracy.refusals),
            "excluded": len(accuracy.logs) - len(accuracy.families) - len(accuracy.refusals),
        },
        "kinds": {kind: _figures(accuracy.of_kind(kind)) for kind in KINDS},
        "without_draft": _figures(without_draft(accuracy)),
        "by": {by: {name: _figures(some) for name, some in breakdown(accuracy, by).items()} for by in BREAKDOWNS},
        "false_fits": [{"id": one.log.id, "context_tokens": one.context} for one in accuracy.false_fits],
        "promises": [
            {"id": one.log.id, "what": one.what, "low": one.low, "logged": one.logged} for one in accuracy.promises
        ],
        "refusals": [{"id": log.id, "reason": reason} for log, reason in accuracy.refusals],
        "rows": [_row(accuracy, log) for log in accuracy.logs],
    }


def _figures(some: Accuracy) -> dict[str, Any]:
    determined = [one for one in some.geometry if one.determined]
    return {
        "measures": {name: _summary(some.summary(name)) for name in MEASURES},
        "refitted": {f"without_{by}": _refitted(errors) for by, errors in some.refitted.items()},
        "bytes_per_token": {
            "rows": len(determined),
            "met": sum(one.met for one in determined),
            "undetermined_rows": len(some.geometry) - len(determined),
            "undetermined_met": sum(one.met for one in some.geometry if not one.determined),
        },
        "interval": {"rows": len(some.covered), "inside": sum(one.inside for one in some.covered)},
    }


def _summary(summary: Summary | None) -> dict[str, Any] | None:
    if summary is None:
        return None
    return {
        "logs": summary.logs,
        "groups": summary.groups,
        "bias": round(summary.bias, 5),
        "median": round(summary.median, 5),
        "p90": round(summary.p90, 5),
    }


def _refitted(errors: "Sequence[RefittedError]") -> dict[str, Any] | None:
    summary = _summary(summarise(errors))
    return None if summary is None else {**summary, "inside_interval": sum(one.inside for one in errors)}


def _row(accuracy: Accuracy, log: Log) -> dict[str, Any]:
    geometry = next((one for one in accuracy.geometry if one.log is log), None)
    interval = next((one for one in accuracy.covered if one.log is log), None)
    return {
        "id": log.id,
        "source": log.source,
        "kind": log.kind,
        "model": log.model or log.published,
        "gpu": log.gpu,
        "tensor_parallel": log.tensor,
        "version": log.version,
        "excluded": dict(log.excluded),
        "errors": {one.measure.name: _error(one) for one in accuracy.errors if one.log is log},
        "bytes_per_token": None
        if geometry is None
        else {"what": geometry.what, "met": geometry.met, "determined": geometry.determined},
        "interval": None
        if interval is None
        else {"what": interval.what, "low": interval.low, "high": interval.high, "logged": interval.logged},
    }


def _error(error: Error) -> dict[str, Any]:
    return {
        "planned": error.planned,
        "logged": error.logged,
        "relative": round(error.relative, 5),
        "known": error.known,
    }


def _minor(version: str | None) -> str | None:
    return None if version is None else ".".join(version.split(".")[:2])


def _named_first(name: str) -> tuple[bool, bool, str]:
    return name == "not named", name.startswith("by "), name
