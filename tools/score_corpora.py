"""Score kvplan against the corpora of reality in `tests/corpora/`, and print the table of the README.

Each row of `tests/corpora/transformers/*.jsonl` is a configuration with what transformers 5.18.0 really built and cached on
torch's meta device (`tools/transformers_oracle.py`): parameters, and bytes of its cache after so many tokens. A row that
differs is explained in `exceptions.json`, or it is a defect.

Run it as `python tools/score_corpora.py [--misses]`.
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import kvplan
from kvplan.models.hugging_face import read_config

CORPORA = Path(__file__).resolve().parents[1] / "tests" / "corpora"
TRANSFORMERS = {
    "measured": "models as published, measured for kvplan",
    "hub": "other published configurations",
    "defaults": "the default configuration of every language-model type",
    "variants": "small configurations with flags flipped",
}


@dataclass
class Score:
    """How many figures of a corpus are equal, and what differs."""

    rows: int = 0
    refused: int = 0
    figures: dict[str, int] = field(default_factory=dict)
    equal: dict[str, int] = field(default_factory=dict)
    misses: dict[str, list[str]] = field(default_factory=dict)

    def count(self, model: str, what: str, got: Any, want: Any) -> None:
        """Count one figure."""
        self.figures[what] = self.figures.get(what, 0) + 1
        if got == want:
            self.equal[what] = self.equal.get(what, 0) + 1
        else:
            self.misses.setdefault(model, []).append(f"{what}: {got} instead of {want}")


def rows(corpus: str) -> Iterator[dict[str, Any]]:
    """Yield the rows of a corpus of transformers."""
    with (CORPORA / "transformers" / f"{corpus}.jsonl").open(encoding="utf-8") as file:
        yield from map(json.loads, file)


def exceptions() -> dict[str, str]:
    """Return why rows differ that are known to, by `corpus:model`."""
    text = (CORPORA / "transformers" / "exceptions.json").read_text(encoding="utf-8")
    known: dict[str, str] = json.loads(text)
    return known


def score_row(row: dict[str, Any], score: Score) -> None:
    """Count every figure of a row."""
    score.rows += 1
    try:
        # Everything was measured in bfloat16, whatever the checkpoint's own format.
        model = read_config({**row["config"], "dtype": "bfloat16"}, spec_id=row["model"], source="corpus")
    except kvplan.KvplanError as error:
        score.refused += 1
        score.misses[row["model"]] = [f"refused: {error}"]
        return
    if "parameters" in row:
        score.count(row["model"], "parameters", model.parameters, row["parameters"])
    # Whisper's encoder has a length of its own.
    encoder = {"encoder_tokens": row["encoder_tokens"]} if "encoder_tokens" in row and not model.encoder_tokens else {}
    for key, implementation in (("cache", "dynamic"), ("static_cache", "static")):
        for tokens, want in row.get(key, ()):
            args = {**encoder, "cache_implementation": implementation}
            plan = kvplan.estimate(model, None, "transformers", context=tokens, engine_args=args)
            score.count(row["model"], f"{implementation} cache at {tokens}", plan.bytes_per_request, want)


def score_corpus(corpus: str) -> Score:
    """Return the score of one corpus of transformers."""
    score = Score()
    for row in rows(corpus):
        score_row(row, score)
    return score


def table() -> str:
    """Return the README's table."""
    known = exceptions()
    lines = [
        "| corpus (transformers 5.18.0, meta device) | configurations | cache sizes equal | parameters equal | refused |",
        "|---|--:|--:|--:|--:|",
    ]
    for corpus, words in TRANSFORMERS.items():
        score = score_corpus(corpus)
        parameters = f"{score.equal.get('parameters', 0)} of {score.figures.get('parameters', 0)}"
        sizes = sum(n for what, n in score.figures.items() if what != "parameters")
        equal = sum(n for what, n in score.equal.items() if what != "parameters")
        lines.append(f"| {words} | {score.rows} | {equal:,} of {sizes:,} | {parameters} | {score.refused} |")
    lines += ["", f"Each of the {len(known)} rows that differ or are refused is explained in"]
    lines.append("`tests/corpora/transformers/exceptions.json`.")
    return "\n".join(lines)


def main() -> None:
    """Print the table, or with `--misses` every figure that differs."""
    if "--misses" not in sys.argv:
        print(table())
        return
    known = exceptions()
    for corpus in TRANSFORMERS:
        for model, misses in score_corpus(corpus).misses.items():
            print(f"{corpus}:{model}: {'; '.join(misses)[:200]}  [{known.get(f'{corpus}:{model}', 'NOT EXPLAINED')}]")


if __name__ == "__main__":
    main()
