"""Scores the weights that kvplan plans for vLLM against published start-up logs and prints the README's table.

python tools/score_weights.py            the table
python tools/score_weights.py --rows 20  and the rows furthest off
"""

import argparse
import json
import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import kvplan
from kvplan.units import GIB

FIELD = Path(__file__).resolve().parents[1] / "tests" / "corpora" / "field" / "weights.jsonl"


@dataclass(frozen=True)
class Log:
    """One log that counts, with the error of the plan; None where no plan is made."""

    row: dict[str, Any]
    error: float | None

    @property
    def group(self) -> tuple[Any, ...]:
        """What counts once, however many logs there are of it."""
        return self.row["model"], self.row["gpu"], self.row["tensor"]


def planned_error(row: dict[str, Any]) -> float | None:
    """Return planned over logged weights less one; None where vLLM's paging of the model is not built."""
    try:
        plan = kvplan.estimate(
            row["model"],
            row["gpu"],
            engine=f"vllm@{row['version']}" if row["version"] else "vllm",
            tensor_parallel=row["tensor"],
            pipeline_parallel=row["pipeline"],
            context=1024,
            quantization=row.get("quantization"),
            engine_args=row.get("args"),
        )
    except kvplan.UnsupportedArchitectureError:
        return None
    return None if plan.weights is None else plan.weights.bytes / GIB / row["weights_gib"] - 1


def read_logs() -> list[Log]:
    """Return the rows that are a measure of the weights."""
    rows = [json.loads(line) for line in FIELD.read_text(encoding="utf-8").splitlines()]
    return [Log(row, planned_error(row)) for row in rows if "excluded" not in row]


def errors_by_group(logs: Iterable[Log]) -> list[float]:
    """Return the median size of the error of each (model, GPU, tensor parallel), smallest first."""
    groups: dict[tuple[Any, ...], list[float]] = {}
    for log in logs:
        if log.error is not None:
            groups.setdefault(log.group, []).append(abs(log.error))
    return sorted(statistics.median(group) for group in groups.values())


def table(logs: list[Log]) -> str:
    """Return the README's table."""
    lines = [
        "| weights per GPU against vLLM's start-up logs | logs | counted once | median error | 90th percentile | within 1 % |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for name, some in (
        ("logs that name their version", [log for log in logs if log.row["version"]]),
        ("all logs (no version: planned as the latest)", logs),
    ):
        sizes = errors_by_group(some)
        within = sum(size <= 0.01 for size in sizes) / len(sizes)
        lines.append(
            f"| {name} | {len(some)} | {len(sizes)} | {statistics.median(sizes):.2%} | {sizes[int(0.9 * len(sizes))]:.2%} |"
            f" {within:.0%} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Print the table, and the worst rows where they are asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=0, help="print this many of the rows furthest off")
    asked = parser.parse_args()
    logs = read_logs()
    print(table(logs))
    for log in sorted(logs, key=lambda log: -abs(log.error or 0))[: asked.rows]:
        print(
            f"{log.error or 0:+.2%} {log.row['id']}: {log.row['model']}, {log.row['gpu']}, {log.row['weights_gib']} GiB"
        )


if __name__ == "__main__":
    main()
