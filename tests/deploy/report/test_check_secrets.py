"""What is kept from logs."""

import pytest
from report_samples import RULES, at, finding

from kvplan.launch.text import Source
from kvplan.report.check import formats
from kvplan.report.check.secrets import is_secret, masked, spans
from kvplan.rules.finding import Checked, Label


def hide(text):
    found = spans(text)
    for start, end in reversed(found):
        text = f"{text[:start]}****{text[end:]}"
    return text


@pytest.mark.parametrize(
    "text, shown",
    [
        ("vllm serve M --api-key s3cret --max-model-len 8", "vllm serve M --api-key **** --max-model-len 8"),
        ("vllm serve M --api_key=s3cret -tp 2", "vllm serve M --api_key=**** -tp 2"),
        ('args: ["--api-key", "s3cret", "--max-model-len=8"]', 'args: ["--api-key", "****", "--max-model-len=8"]'),
        ('args: ["--api-key=s3cret","--max-model-len=8"]', 'args: ["--api-key=****","--max-model-len=8"]'),
        ("- --api-key\n- s3cret\n- --max\n- 8", "- --api-key\n- ****\n- --max\n- 8"),
        ("  --api-key \\\n  s3cret \\\n  -tp 2", "  --api-key \\\n  **** \\\n  -tp 2"),
        ("- --token\n- --max\n", "- --token\n- --max\n"),
        ("HF_TOKEN: s3cret", "HF_TOKEN: ****"),
        ("  hf-token: a long secret # why", "  hf-token: ****"),
        ('"password": "s3 cret",', '"password": ****'),
        ("db_password: 123456", "db_password: ****"),
        ("ENV HF_TOKEN s3cret", "ENV HF_TOKEN ****"),
        ("export HF_TOKEN=s3cret; vllm serve", "export HF_TOKEN=****; vllm serve"),
        ('HF_TOKEN = "s3cret"', 'HF_TOKEN = "****"'),
        ("docker run -e HF_TOKEN=s3cret image", "docker run -e HF_TOKEN=**** image"),
        ("${HF_TOKEN:-s3cret}", "${HF_TOKEN:-****}"),
        (
            "- name: HF_TOKEN\n  value: s3cret\n- name: B\n  value: 1",
            "- name: HF_TOKEN\n  value: ****\n- name: B\n  value: 1",
        ),
        ("- value: s3cret\n  name: HF_TOKEN", "- value: ****\n  name: HF_TOKEN"),
        ("- name: A\n  value: 1\n- name: HF_TOKEN\n", "- name: A\n  value: 1\n- name: HF_TOKEN\n"),
        ("- {name: HF_TOKEN, value: s3cret}", "- {name: HF_TOKEN, value: ****}"),
        ("token: |\n  s3cret\n  more\nb: 1", "token: |\n  ****\n  ****\nb: 1"),
        ("x: hf_abcdefghij", "x: ****"),
        ("x sk-abcdefghijklmnop y", "x **** y"),
        ("ghp_abcdefghijklmnopqrst", "****"),
        ("-H 'Authorization: Bearer abcdefghijk'", "-H 'Authorization: **** ****'"),
        ("git clone https://me:s3cret@host/x", "git clone https://me:****@host/x"),
    ],
)
def test_secrets_are_masked(text, shown):
    """Values are masked wherever a file may hold them, and what stands beside them stays."""
    masked_text = hide(text)
    assert "s3cret" not in masked_text
    assert masked_text == shown


@pytest.mark.parametrize(
    "text",
    [
        "--max-num-batched-tokens 8192",
        "--max-num-batched-token 8192",
        "max_total_tokens: 4096",
        "tokenizer: org/model",
        "- key: nvidia.com/gpu",
        "topologyKey: kubernetes.io/hostname",
        "HF_TOKEN: ${HF_TOKEN}",
        'HF_TOKEN: "$(HF_TOKEN)"',
        "token: {{ .Values.token }}",
        "secretName: hf",
        "trust-remote-code: true",
        "--cache-type-k q8_0 --kv-cache-dtype fp8",
    ],
)
def test_settings_are_seen(text):
    """Counts of tokens, tokenizers, label keys and references are no secrets."""
    assert hide(text) == text


def test_names():
    """A name that holds key, token, secret or password is a secret's."""
    for name in ("api-key", "HF_TOKEN", "hfToken", "OPENAI_API_KEY", "client_secret", "DB_PASSWORD", "api_keys"):
        assert is_secret(name), name
    for name in ("max_num_batched_tokens", "tokenizer", "key", "model", "max-model-len"):
        assert not is_secret(name), name


def test_sentences_keep_their_words():
    """A sentence about tokens is not masked; a command in it is."""
    assert masked("bytes per token = layers x heads: 131,072") == "bytes per token = layers x heads: 131,072"
    assert masked("run `vllm serve M --api-key s3cret`") == "run `vllm serve M --api-key ****"


@pytest.mark.parametrize("name", sorted(formats()))
def test_no_format_prints_a_secret(name):
    """A secret on an underlined line, in a message, a note or a fix is in no format."""
    source = Source("f", "- --api-key\n- s3cretvalue\n- name: HF_TOKEN\n  value: s3cretvalue 9\n")
    found = finding(
        source,
        "9",
        message="in --api-key s3cretvalue",
        labels=(Label(at(source, "s3cretvalue"), "HF_TOKEN=s3cretvalue"),),
        notes=("--token s3cretvalue",),
    )
    assert "s3cretvalue" not in formats()[name](Checked(findings=[found]), rules=RULES)
