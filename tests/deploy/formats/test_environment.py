"""Files of variables that configure an engine alone."""

import pytest
from format_files import at, only, values, workloads


@pytest.mark.parametrize(
    "text, engine",
    [
        ("MODEL_ID=a/b\nMAX_TOTAL_TOKENS=4096\n", "tgi"),
        ("OLLAMA_CONTEXT_LENGTH=8192\nOLLAMA_HOST=x\n", "ollama"),
        ("LLAMA_ARG_HF_REPO=a/b\nLLAMA_ARG_CTX_SIZE=4096\n", "llama.cpp"),
        ("SM_VLLM_MODEL=a/b\n", "vllm"),
        ("HF_MODEL_ID=a/b\nOPTION_MAX_MODEL_LEN=1\n", "vllm"),
        ("MODEL_NAME=a/b\nMAX_MODEL_LEN=8192\nTENSOR_PARALLEL_SIZE=2\n", "vllm"),
        ("NIM_MODEL_PROFILE=x\nNIM_MAX_MODEL_LEN=4096\n", "nim"),
    ],
)
def test_the_engine_that_variables_configure(text, engine):
    """Names that only one engine reads tell whose settings a file holds."""
    found = only("environment", "llm.env", text)
    assert (found.engine, found.place.line) == (engine, 1)


@pytest.mark.parametrize(
    "text",
    [
        "OLLAMA_HOST=http://x\nOLLAMA_MODEL=a\n",
        "MODEL_ID=a/b\n",
        "MODEL_NAME=a/b\nMAX_MODEL_LEN=8192\nMAX_NUM_SEQS=1\nTP_SIZE=2\n",
        "NIM_IMAGE=x\nNIM_TAG=y\n",
        "OLLAMA_NUM_PARALLEL=1\nLLAMA_ARG_CTX_SIZE=1\n",
        "OLLAMA_NUM_PARALLEL=1\n" + "".join(f"OTHER_{n}=1\n" for n in range(9)),
        "A\n",
        "",
    ],
)
def test_other_variables_are_none(text):
    """Addresses of clients, several engines, and files of a whole stack configure no engine by themselves."""
    assert workloads("environment", "llm.env", text) == []


def test_values():
    """Quotes, comments, `export` and variables of lines before are read; values are placed."""
    found = only(
        "environment",
        "a/.env.prod",
        "# c\nexport M='a/b'\nMODEL_ID=${M}\n\nMAX_TOTAL_TOKENS=4096 # why\nX=\"p\\nq\n r\"\n",
    )
    assert values(found.environment) == {"M": "a/b", "MODEL_ID": "a/b", "MAX_TOTAL_TOKENS": "4096", "X": "p\nq\n r"}
    assert at(found.environment["MODEL_ID"]) == ("a/.env.prod", 2, 11, "a/b")
    assert at(found.environment["MAX_TOTAL_TOKENS"]) == ("a/.env.prod", 5, 18, "4096")


def test_files_of_a_compose_project_are_no_units():
    """What a compose file beside it uses is read with that file."""
    text = "MODEL_ID=a/b\nMAX_TOTAL_TOKENS=4096\n"
    used = "services: {a: {image: i, env_file: llm.env}}"
    assert workloads("environment", "llm.env", text, compose__yaml=used) == []
    assert workloads("environment", ".env", text, compose__yaml="services: {}") == []
    assert len(workloads("environment", "other.env", text, compose__yaml=used)) == 1


def test_serving_properties():
    """DJL's properties have the names that they have as variables."""
    text = "engine=Python\n# c\noption.model_id=a/b\noption.rolling_batch = vllm\noption.max_model_len=8192\n"
    found = only("environment", "serving.properties", text)
    assert values(found.environment) == {
        "OPTION_MODEL_ID": "a/b",
        "OPTION_ROLLING_BATCH": "vllm",
        "OPTION_MAX_MODEL_LEN": "8192",
    }
    assert (found.engine, at(found.environment["OPTION_MAX_MODEL_LEN"])) == (
        "vllm",
        ("serving.properties", 5, 22, "8192"),
    )
    assert only("environment", "serving.properties", text.replace("= vllm", "= trtllm")).engine == "tensorrt-llm"
    assert workloads("environment", "serving.properties", "engine=OnnxRuntime\noption.rolling_batch=disable\n") == []
