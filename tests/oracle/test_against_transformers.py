"""The installed transformers itself, asked what it builds and caches: `pytest -m oracle`, with the extra `oracle`."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import kvplan
from kvplan.models.hugging_face import read_config

ROOT = Path(__file__).resolve().parents[2]
# Small configurations, one of each way of caching.
MODELS = [
    "llama/base",
    "qwen2/swa",
    "gemma2/base",
    "gemma3_text/base",
    "deepseek_v3/base",
    "mamba2/base",
    "jamba/base",
    "falcon_h1/base",
    "qwen3_next/base",
    "t5/base",
    "gpt_oss/base",
    "mixtral/base",
]


def variants() -> dict[str, dict]:
    text = (ROOT / "tests" / "corpora" / "transformers" / "variants.jsonl").read_text(encoding="utf-8")
    rows = map(json.loads, text.splitlines())
    return {row["model"]: row for row in rows}


@pytest.mark.oracle
def test_kvplan_equals_the_installed_transformers(tmp_path):
    """Parameters and cache sizes of small models equal what the real library builds and fills, here and now."""
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    rows = variants()
    known = [rows[name] for name in MODELS if name in rows]
    assert len(known) >= 8
    for row in known:
        file = tmp_path / f"{row['model'].replace('/', '_')}.json"
        file.write_text(json.dumps(row["config"]), encoding="utf-8")
    output = tmp_path / "rows.jsonl"
    tool = [sys.executable, str(ROOT / "tools" / "transformers_oracle.py"), "--output", str(output)]
    files = map(str, sorted(tmp_path.glob("*.json")))
    subprocess.run([*tool, *files, "--lengths", "64", "300"], check=True, timeout=600)
    measured = [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]
    assert len(measured) == len(known)
    for row in measured:
        config = json.loads((tmp_path / row["source"]).read_text(encoding="utf-8"))
        model = read_config({**config, "dtype": "bfloat16"}, spec_id=row["model"], source="oracle")
        assert model.parameters == row["params_total"], row["model"]
        encoder = {"encoder_tokens": row["encoder_length"]} if row.get("encoder_length") else {}
        assert row["cache_points"], row["model"]
        for point in row["cache_points"]:
            plan = kvplan.estimate(model, None, "transformers", context=point["seq"], engine_args=encoder)
            assert plan.bytes_per_request == point["bytes"], (row["model"], point["seq"])
