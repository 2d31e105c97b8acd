"""What loading a model takes in vLLM: worked against start-up logs, to the last printed digit."""

import pytest

import kvplan
from kvplan.engines.vllm.rope import RopeTable, rope_tables
from kvplan.units import GIB

# (model, version, tensor parallel, logged GiB, digits printed): lines `Model loading took` / `Loading model weights took`
# of the field corpus (kvplan/accuracy/vllm_field.jsonl); the allocator's rule changed at 0.21.
LOGS = [
    ("Qwen/Qwen2.5-7B-Instruct", "0.8.5", 1, 14.2487, 4),
    ("Qwen/Qwen2.5-7B-Instruct", "0.19.0", 1, 14.25, 2),
    ("Qwen/Qwen2.5-7B-Instruct", "0.19.0", 2, 7.12, 2),
    ("Qwen/Qwen2.5-7B-Instruct", "0.22.0", 1, 14.29, 2),
    ("Qwen/Qwen2.5-32B-Instruct", "0.7", 2, 30.7098, 4),
    ("Qwen/Qwen2.5-72B-Instruct", "0.19.0", 2, 67.80, 2),
    ("meta-llama/Llama-3.1-8B-Instruct", "0.8.5", 1, 14.9889, 4),
    ("meta-llama/Meta-Llama-3-8B", "0.8.5", 1, 14.96, 2),
    ("Qwen/Qwen3-8B", "0.9.2", 1, 15.2683, 4),
    ("Qwen/Qwen3-14B", "0.18.0", 1, 27.5185, 4),
    ("Qwen/Qwen3-30B-A3B", "0.19.0", 1, 56.88, 2),
    ("Qwen/Qwen1.5-MoE-A2.7B", "0.19.0", 1, 26.67, 2),
    ("google/gemma-2-9b-it", "0.19.0", 1, 17.22, 2),
    ("google/gemma-2-2b-it", "0.19.0", 1, 4.90, 2),
    ("microsoft/phi-2", "0.19.0", 1, 5.19, 2),
    ("codellama/CodeLlama-7b-hf", "0.19.0", 1, 12.56, 2),
    ("Qwen/Qwen3-Next-80B-A3B-Instruct", "0.10.2", 2, 74.2812, 4),
]


@pytest.mark.parametrize("model, version, tensor, logged, digits", LOGS)
def test_a_log_is_met_to_the_digit(model, version, tensor, logged, digits):
    """Stored weights, rotary tables and torch's rounding together are what the log prints."""
    plan = kvplan.estimate(model, engine=f"vllm@{version}", tensor_parallel=tensor, context=1024)
    figure = plan.to_dict()["memory"]["weights_bytes"] / GIB
    # Half of the last digit, and 300 KiB of buffers too small to have a rule.
    assert abs(figure - logged) <= 0.5 * 10**-digits + 0.0003


def tables(model: str) -> tuple[RopeTable, ...]:
    """Return a model's rotary tables in 16 bits."""
    return rope_tables(kvplan.load_model(model), 2, (0, 33))


@pytest.mark.parametrize(
    "model, expected",
    [
        ("llama-3.1-8b", [(131_072, 128, 2)]),
        ("phi-2", []),  # through the Transformers backend: no table
        ("phi-4-mini", [(131_072 + 4_096, 96, 2)]),  # short and long factors, three quarters of a head of 128
        ("deepseek-v3.2", [(163_840, 64, 4)] * 2),  # the indexer turns another way
        ("glm-5", [(202_752, 64, 2)]),  # or the same
        ("deepseek-v4-flash", [(1_048_576, 64, 4)] * 2),  # layers that pool, and layers that slide
        ("mimo-v2-flash", [(262_144, 64, 2)] * 2),  # windows turn by a base of their own
        ("gemma-3-27b", [(131_072, 128, 2), (8 * 131_072, 128, 2)]),  # windows turn unscaled, the rest by a factor of 8
        ("qwen2.5-vl-7b", [(4 * 128_000, 128, 2)]),  # four times the positions for videos
        ("deepseek-v3", [(163_840, 64, 4)]),  # scaled latents: float32
        ("gpt-oss-20b", [(131_072, 64, 4)]),
        ("opt-6.7b", []),
        ("mamba-2.8b", []),
    ],
)
def test_rotary_tables(model, expected):  # vLLM 0.33's own: tests/corpora/vllm_weights
    """Positions x width x bytes, one table for each kind of attention that turns by its own rule."""
    assert sorted((t.positions, t.width, t.number_bytes) for t in tables(model)) == sorted(expected)


def loaded(model: str, version: str, item: str, gpu: str = "h100", **settings) -> int:
    """Return the bytes of one item that loading adds."""
    plan = kvplan.estimate(model, gpu, f"vllm@{version}", context=1024, **settings)
    return sum(each.bytes for each in plan.weights.items if each.name == item)


def test_triton_keeps_one_copy_of_mxfp4_scales_from_0_25_on():
    """gpt-oss-20b: 24 layers x 32 experts x (2 x 2,880 x 90 + 2,880 x 90) scales of a byte, freed by 0.25.

    An expert's width of 2,880 is a multiple of 64 already, so loaded scales are those of the file.
    """
    before, after = (loaded("gpt-oss-20b", version, "kernels' layouts") for version in ("0.24", "0.25"))
    assert before - after == 24 * 32 * 3 * 2_880 * 90


def test_drafts_input_is_kept_for_drafts_alone_from_0_27_on():
    """DeepSeek-V4-Flash: 8,192 tokens x 4 streams x 4,096 numbers of 2 B, whether a draft reads them or not until 0.26."""
    before, after = (
        loaded("deepseek-v4-flash", version, "draft's input", "8xh200", tensor_parallel=8)
        for version in ("0.26", "0.27")
    )
    assert (before, after) == (8_192 * 4 * 4_096 * 2, 0)


def test_rotary_tables_of_later_qwens_are_as_long_as_the_model_from_0_32_on():
    """Qwen3.5: a quarter from 0.32 on; Qwen2.5-VL keeps four times the positions."""
    model = kvplan.load_model("qwen3.5-27b")
    (before,), (after,) = rope_tables(model, 2, (0, 31)), rope_tables(model, 2, (0, 32))
    assert before.positions == 4 * after.positions == 4 * 262_144
    assert rope_tables(kvplan.load_model("qwen2.5-vl-7b"), 2, (0, 32)) == tables("qwen2.5-vl-7b")


@pytest.mark.parametrize("model, since", [("olmo-3-7b", (0, 29)), ("phi-2", (0, 32)), ("starcoder2-15b", (0, 25))])
def test_the_transformers_backend_keeps_no_table(model, since):
    """From the release on that lists the architecture there is none; before, the model's own code has one."""
    spec = kvplan.load_model(model)
    assert rope_tables(spec, 2, since) == ()
    assert rope_tables(spec, 2, (0, since[1] - 1)) != ()
