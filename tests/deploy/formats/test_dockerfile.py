"""Dockerfiles: stages, variables, entry points, and what is an image for others."""

import pytest
from format_files import at, only, texts, values, workloads

MODEL = 'CMD ["--model", "a/b"]\n'


def test_cmd_follows_the_entry_point():
    """The words of CMD are appended to those of ENTRYPOINT, each at its place."""
    found = only(
        "dockerfile",
        "Dockerfile",
        'FROM python:3.12\nENTRYPOINT ["vllm", "serve"]\nCMD ["a/b", "--max-model-len", "8192"]\n',
    )
    assert (texts(found.command), texts(found.args)) == (["vllm", "serve"], ["a/b", "--max-model-len", "8192"])
    assert at(found.args[2]) == ("Dockerfile", 3, 33, "8192")


def test_the_images_own_entry_point_is_kept():
    """With CMD alone the image starts itself; its tag is put together from arguments."""
    found = only("dockerfile", "vllm.Dockerfile", f"ARG TAG=v0.8.5\nFROM vllm/vllm-openai:${{TAG:-latest}}\n{MODEL}")
    assert (found.command, texts(found.args), found.image.text) == (None, ["--model", "a/b"], "vllm/vllm-openai:v0.8.5")


def test_shell_forms():
    """A CMD that is no list is a shell's; an ENTRYPOINT that is none leaves CMD out."""
    found = only("dockerfile", "Dockerfile", "FROM x\nENV M=a/b\nCMD vllm serve $M \\\n  # why\n\n  --tp 2\n")
    assert texts(found.args)[:2] == ["/bin/sh", "-c"]
    assert texts(found.args)[2].split() == ["vllm", "serve", "$M", "--tp", "2"]
    assert values(found.environment) == {"M": "a/b"}
    found = only("dockerfile", "Dockerfile", 'FROM x\nCMD ["c"]\nENTRYPOINT vllm serve a/b\n')
    assert (found.script.value, found.command, found.args) == ("vllm serve a/b", None, ())


def test_lists_may_go_over_lines():
    """Lines that go on, comments and empty lines between them are one instruction; places stay right."""
    found = only(
        "dockerfile",
        "Dockerfile",
        'FROM x\nCMD ["vllm", "serve", \\\n  # the model\n  "a/b", \\\n\n  "--max-model-len", "4096"]\n',
    )
    assert texts(found.args) == ["vllm", "serve", "a/b", "--max-model-len", "4096"]
    assert at(found.args[4]) == ("Dockerfile", 6, 23, "4096")


def test_the_last_stage_counts():
    """Stages take over variables and entry points of those that they are built from; an engine of another stage is none."""
    text = """FROM vllm/vllm-openai:v0.8.5 AS base
ENV A=1
ENTRYPOINT ["vllm", "serve", "a/b"]
FROM python:3.12 AS tools
CMD ["vllm", "serve", "no/model"]
FROM base AS final
ENV B=$A
CMD ["--tp", "2"]
"""
    found = only("dockerfile", "Dockerfile", text)
    assert (found.name, found.image.text) == ("stage final", "vllm/vllm-openai:v0.8.5")
    assert (texts(found.command), texts(found.args)) == (["vllm", "serve", "a/b"], ["--tp", "2"])
    assert values(found.environment) == {"A": "1", "B": "1"}


def test_a_new_entry_point_leaves_the_bases_cmd():
    """CMD of a base is dropped where the stage sets an entry point, kept where the stage set CMD itself."""
    base = 'FROM x AS b\nCMD ["old"]\nFROM b\n'
    found = only("dockerfile", "Dockerfile", base + 'ENTRYPOINT ["vllm", "serve", "a/b"]\n')
    assert found.args == ()
    found = only("dockerfile", "Dockerfile", base + 'CMD ["--tp", "2"]\nENTRYPOINT ["vllm", "serve", "a/b"]\n')
    assert texts(found.args) == ["--tp", "2"]


def test_variables_of_all_forms():
    """Several in a line, quotes, blanks in the older form, arguments with defaults, values of one line as before it."""
    text = (
        'FROM vllm/vllm-openai:v1\nARG LEN=8192\nENV A="x y" B=$LEN C=\\$LEN\nENV D the rest \nENV A=2 E=$A\n' + MODEL
    )
    found = only("dockerfile", "Dockerfile", text)
    assert values(found.environment) == {"A": "2", "B": "8192", "C": "$LEN", "D": "the rest", "E": "x y"}
    assert at(found.environment["B"]) == ("Dockerfile", 2, 9, "8192")


def test_here_documents_are_passed_over():
    """What a RUN or COPY writes is no instruction."""
    text = 'FROM vllm/vllm-openai:v1\nCOPY <<EOF /start.sh\nCMD ["--model", "no/model"]\nEOF\n' + MODEL
    assert texts(only("dockerfile", "Containerfile", text).args) == ["--model", "a/b"]


def test_an_engine_that_is_installed_has_its_version():
    """`pip install vllm==...` tells the version where the image does not."""
    found = only(
        "dockerfile", "Dockerfile", "FROM python\nARG V=0.8.4\nRUN pip install \\\n vllm==${V} x\nCMD vllm serve a/b\n"
    )
    assert (found.version.value, at(found.version)) == ("0.8.4", ("Dockerfile", 2, 7, "0.8.4"))


def test_variables_alone_may_configure_the_image():
    """TGI's image with its model in ENV starts that model."""
    text = "FROM ghcr.io/huggingface/text-generation-inference:3.0\nENV MODEL_ID=a/b MAX_TOTAL_TOKENS=4096\n"
    found = only("dockerfile", "Dockerfile", text)
    assert (found.command, found.args, values(found.environment)["MODEL_ID"]) == (None, (), "a/b")


@pytest.mark.parametrize(
    "text",
    [
        "FROM vllm/vllm-openai:v0.8.5\nRUN pip install x\n",
        'FROM nvidia/cuda\nRUN pip install vllm\nENTRYPOINT ["vllm", "serve"]\n',
        'FROM x\nENTRYPOINT ["python3", "-m", "vllm.entrypoints.openai.api_server"]\n',
        'FROM x\nENTRYPOINT ["text-generation-launcher"]\nCMD ["--json-output"]\n',
        'FROM x\nENTRYPOINT ["/bin/ollama", "serve"]\n',
        "FROM python\nENV VLLM_URL=http://x\nCMD uvicorn app:app\n",
        "",
        "CMD nothing\n",
        "FROM\nENV\nARG\nCMD\nENTRYPOINT []\n",
    ],
)
def test_images_for_others_are_none(text):
    """An image that says nothing of a model starts none by itself."""
    assert workloads("dockerfile", "Dockerfile", text) == []


def test_other_files_are_none():
    """Files of other names are not read."""
    assert workloads("dockerfile", "notes.txt", f"FROM vllm/vllm-openai\n{MODEL}") == []


@pytest.mark.parametrize(
    "text, model, place",
    [
        (
            'FROM ollama/ollama:0.5\nARG M=a:1b\nRUN ollama serve & sleep 5 && ollama pull "$M" && kill $!\n',
            "a:1b",
            (2, 7),
        ),
        ('FROM ollama/ollama\nRUN <<EOF\nollama serve &\nollama pull a:1b\nEOF\nCMD ["serve"]\n', "a:1b", (4, 13)),
        ('FROM debian\nRUN x\\\n && ollama run a:1b hi\nENTRYPOINT ["ollama"]\nCMD ["serve"]\n', "a:1b", (3, 16)),
        (
            "FROM ollama/ollama AS m\nRUN ollama pull a:1b\nFROM ollama/ollama\nCOPY --from=m /root/.ollama /root/.ollama\n",
            "a:1b",
            (2, 17),
        ),
    ],
)
def test_a_model_that_is_put_into_an_image_of_ollama(text, model, place):
    """What is pulled while the image is built is what its server serves; the server of the build is none of its own."""
    found = only("dockerfile", "Dockerfile", text)
    assert (found.model.value, at(found.model)[1:3], found.notes) == (model, place, ())


def test_several_models_of_an_image():
    """The first that is pulled counts, and that there are several is said."""
    found = only("dockerfile", "Dockerfile", "FROM ollama/ollama\nRUN ollama pull a:1b && ollama pull b:2b\n")
    assert (found.model.value, found.notes) == ("a:1b", ("several models: a:1b, b:2b",))


@pytest.mark.parametrize(
    "text",
    [
        "FROM ollama/ollama\n",
        'FROM ollama/ollama\nRUN ollama pull a:1b\nENTRYPOINT ["python", "app.py"]\n',
        "FROM ollama/ollama\nRUN ollama create mine -f Modelfile && ollama run mine\n",
        "FROM ollama/ollama\nRUN ollama pull $MODEL\n",
        'FROM python\nRUN ollama pull a:1b\nCMD ["app"]\n',
        "FROM a AS b\nRUN ollama pull a:1b\nFROM python\nCOPY --from=b /root/.ollama /x\n",
    ],
)
def test_images_that_hold_no_model_for_a_server(text):
    """An image without a model that is known, or one that starts something else, is none."""
    assert workloads("dockerfile", "Dockerfile", text) == []


def test_a_command_that_pulls_what_it_serves():
    """A CMD that starts the server and has it load a model says which one is served."""
    text = 'FROM ollama/ollama\nENTRYPOINT []\nCMD ["sh", "-c", "ollama serve & sleep 5; ollama pull a:1b; wait"]\n'
    assert texts(only("dockerfile", "Dockerfile", text).args)[:2] == ["sh", "-c"]


def test_vllms_own_image_takes_the_model_first():
    """`CMD ["org/m", "--flag"]` behind its entry point is a whole command; flags without a model are none."""
    found = only(
        "dockerfile", "Containerfile", 'FROM vllm/vllm-openai:v0.20.2\nCMD ["org/m", "--max-model-len", "880"]\n'
    )
    assert texts(found.args) == ["org/m", "--max-model-len", "880"]
    assert workloads("dockerfile", "Dockerfile", 'FROM vllm/vllm-openai\nCMD ["--port", "80"]\n') == []
