"""llama-swap's configurations."""

from format_files import at, only, texts, values, workloads

CONFIG = """startPort: 10001
macros:
  server: >
    /app/llama-server
    --port ${PORT}
  ctx: 4096
  sized: --ctx-size ${ctx}
  loop: ${loop} x
groups:
  big: {swap: false, members: [a, b]}
  small: {swap: true, members: [a, c]}
models:
  a:
    macros: {ctx: 16384}
    env: ["CUDA_VISIBLE_DEVICES=0"]
    cmd: |
      # ${server} comes first
      ${server}
      -m '/x y.gguf' \\
      # -c 1
      ${sized} --alias ${MODEL_ID} ${unknown} ${loop}
  b:
    cmd: docker run --gpus all ghcr.io/ggml-org/llama.cpp:server -m /y.gguf
  c: {cmd: [x], proxy: y}
"""


def test_macros_are_put_in():
    """Macros in macros, a model's own before the common ones; comments go, unknown ones stay; values stand where they were set."""
    found = workloads("llama_swap", "config.yaml", CONFIG)[0]
    assert texts(found.command) == [
        "/app/llama-server", "--port", "10001", "-m", "/x y.gguf", "--ctx-size", "16384", "--alias", "a",
        "${unknown}", "${loop}", "x",
    ]  # fmt: skip
    assert at(found.command[0]) == ("config.yaml", 4, 5, "/app/llama-server")
    assert at(found.command[4]) == ("config.yaml", 19, 11, "/x y.gguf")
    assert at(found.command[6]) == ("config.yaml", 14, 19, "16384")
    assert values(found.environment) == {"CUDA_VISIBLE_DEVICES": "0"}
    assert (found.name, found.place.line) == ("model a", 13)


def test_models_that_stay_loaded_together():
    """Groups that do not swap hold their models at the same time; others run one at a time."""
    first, second = workloads("llama_swap", "config.yaml", CONFIG)
    assert first.notes == ("may run at the same time as b",)
    assert second.notes == ("may run at the same time as a",)
    assert texts(second.command)[:3] == ["docker", "run", "--gpus"]


def test_other_yaml_is_none():
    """Lists of models and models without a command are another format's."""
    assert workloads("llama_swap", "config.yaml", "models: [{cmd: x}]\n") == []
    assert workloads("llama_swap", "config.yaml", "models: {a: {url: x}, b: 3}\nmacros: 3\n") == []
    assert texts(
        only("llama_swap", "c.yaml", "macros: [a]\ngroups: {g: 1}\nmodels: {a: {cmd: x, macros: 3, env: 3}}\n").command
    ) == ["x"]
