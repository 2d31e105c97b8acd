"""Located YAML: every scalar knows its place; broken, hostile and templated documents do no harm."""

import string
import time

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from kvplan.deploy.tree import MOST_NODES, Node, documents
from kvplan.launch.text import MASK, Source, Text

BLANKS = " \t\r\n\x85\u2028\u2029"


def only(text: str) -> Node:
    found = documents(Source("x.yaml", text))
    assert [each.error for each in found] == [""]
    return found[0].root


def stood(text: Text, part: str) -> str:
    """Return what stands in the file where a part of a text does."""
    place = text.cut(text.value.index(part), text.value.index(part) + len(part)).place()
    assert place is not None
    return f"{place.line}:{place.column} {place.text}"


@pytest.mark.parametrize(
    "source, place",
    [
        ("a: --max-model-len 4096", "1:20 4096"),
        ("a: '--max-model-len 4096'", "1:21 4096"),
        ('a: "--max-model-len 4096"', "1:21 4096"),
        ("a: 'it''s --max-model-len 4096'", "1:27 4096"),
        ('a: "it\\x41\\n --max-model-len\\t4096"', "1:31 4096"),
        ('a: "vllm serve \\\n     x --max-model-len 4096"', "2:24 4096"),
        ('a: "vllm serve\n\n     x --max-model-len 4096"', "3:24 4096"),
        ("a: vllm serve x\n  --max-model-len\n  4096", "3:3 4096"),
        ("a: |\n  vllm serve x \\\n    --max-model-len 4096\n", "3:21 4096"),
        ("a: |-  # a comment\n\n\n  vllm serve x\n  --max-model-len   4096", "5:21 4096"),
        ("a: |2\n    vllm serve x\n  --max-model-len 4096\n", "3:19 4096"),
        ("a: >-\n  vllm serve x\n\n  --max-model-len\n    4096\n", "5:5 4096"),
        ("a: > \n  vllm 4096 serve\n", "2:8 4096"),
        ("a: &anchor !!str --max-model-len 4096", "1:34 4096"),
        ("\ufeffa: --max-model-len 4096", "1:21 4096"),
        ("a: x\r\nb:\r\n  - |\r\n    --max-model-len 4096\r\n", "4:21 4096"),
        ("a: 😀 --max-model-len 4096", "1:22 4096"),
        ("? |\n  a key 4096\n: x", "2:9 4096"),
    ],
)
def test_a_word_is_found_through_every_style_of_scalar(source, place):
    """Line and column are those of the word itself, however YAML writes the text it stands in."""
    nodes = [node for each in only(source).walk() for node in (each, *(key for key, _ in each.pairs))]
    text = next(node.text for node in nodes if node.kind == "scalar" and "4096" in node.value)
    assert stood(text, "4096") == place


LINE = st.text(alphabet=string.ascii_letters + string.digits + " \t'\"\\#:-{}[]&*!|>%@`é😀", max_size=20)
VALUE = st.lists(LINE, max_size=4).map("\n".join)
STYLE = st.sampled_from([None, "'", '"', "|", ">"])


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(VALUE, STYLE), min_size=1, max_size=4), st.integers(20, 80), st.booleans())
def test_the_place_of_every_scalar_holds_its_characters(values, width, flow):
    """In whatever YAML a writer makes of texts, each run of characters stands where it says, and in the text's order."""
    nodes = [yaml.ScalarNode("tag:yaml.org,2002:str", value, style=style) for value, style in values]
    tree = yaml.SequenceNode("tag:yaml.org,2002:seq", nodes, flow_style=flow)
    written = yaml.serialize(tree, width=width, allow_unicode=True)
    found = only(written)
    assert len(found.items) == len(values)
    for item, reread in zip(found.items, yaml.compose(written).value, strict=True):
        assert item.value == item.text.value == reread.value
        covered, before = 0, 0
        for run in item.text.runs:
            assert before <= run.start <= run.end <= len(written)
            before = run.end
            if run.end - run.start == run.length:
                own = item.value[run.offset : run.offset + run.length]
                there = written[run.start : run.end]
                assert [a for a, b in zip(own, there, strict=True) if a != b and a not in BLANKS] == []
            covered += run.length
        assert covered == len(item.value)


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet=" \t\n-:{}[]'\"|>&*!#%?,.a1é\r\x07\u2028{%}", max_size=80))
def test_any_text_is_read_or_refused(text):
    """No text raises: a document has a tree or an error with a place in the file."""
    for document in documents(Source("x.yaml", text)):
        assert not (document.root and document.error)
        for node in document.root.walk():
            assert 0 <= node.start <= node.end <= len(text)
            if node.kind == "scalar":
                assert node.text.value == node.value
        if document.error:
            assert document.error_place is not None
            assert 0 <= document.error_place.start <= len(text)


def test_a_text_inside_a_text_leads_back_to_the_file():
    """YAML in a block scalar of YAML is placed in the outer file, two levels deep."""
    source = "data:\n  outer: |\n    inner: |\n      a: 'x'\n      len: 4096\n"
    inner = documents(only(source).get("data", "outer").text)[0].root.get("inner")
    value = documents(inner.text)[0].root.get("len")
    assert stood(value.text, "4096") == "5:12 4096"
    assert (value.place.line, value.place.column) == (5, 12)


def test_one_broken_document_leaves_the_others():
    """Documents are read one by one; the broken one says where."""
    found = documents(Source("x.yaml", "a: 1\n---\nb: [1\nc: 2\n---\n# nothing\n---\nd: 4\n"))
    assert [each.root.get("a").number or each.root.get("d").number for each in found] == [1, None, 4]
    assert found[1].error
    assert found[1].error_place is not None
    assert found[1].error_place.line in (3, 4)


def test_directives_and_comments_are_no_documents():
    """What stands before the first `---` need not be one."""
    found = documents(Source("x.yaml", "# a\n%YAML 1.1\n---\na: 1\n...\n"))
    assert [(each.error, each.root.get("a").number) for each in found] == [("", 1)]


def test_a_tab_behind_a_value_is_passed_over():
    """Go's parser takes `type: LoadBalancer<TAB>`, so it is deployed, and must be read."""
    assert only("type: LoadBalancer\t\nb: 2\t# why\n").get("b").number == 2


def test_the_last_of_repeated_keys_counts_and_both_are_kept():
    """As loaders take it; a rule may still name the first."""
    root = only("a: 1\nb: 2\na: 3\n")
    assert root.get("a").number == 3
    assert [key.value for key, _ in root.pairs] == ["a", "b", "a"]
    assert [key.value for key, _ in root.entries()] == ["a", "b"]


def test_aliases_and_merge_keys_are_followed():
    """A merged mapping counts last, an earlier one before a later one, and values stand where they are written."""
    root = only("x: &x {a: 1, b: 1}\ny: &y {b: 2, c: 2}\nz:\n  <<: [*x, *y]\n  a: 3\nw: *x\nq: {'<<': 1}\n")
    merged = {key.value: value.number for key, value in root.get("z").entries()}
    assert merged == {"a": 3, "b": 1, "c": 2}
    assert root.get("z", "c").place.line == 2
    assert root.get("w", "a").number == 1
    assert root.get("q", "<<").number == 1


@pytest.mark.parametrize(
    "text, value",
    [
        ("on", True), ("No", False), ("~", None), ("", None), ("010", 8), ("0x10", 16), ("1_000", 1000), ("1e3", "1e3"),
        ("1.5e+3", 1500.0), ("190:20:30", "190:20:30"), ("'on'", "on"), (".inf", ".inf"), ("9" * 5000, "9" * 5000),
    ],
)  # fmt: skip
def test_scalars_are_typed_as_yaml_1_1_does(text, value):
    """Truth values, octal and underscored numbers are those of the loaders that deploy."""
    assert only(f"a: {text}").get("a").typed == value


def laughs(levels: int) -> str:
    lines = ["a0: &a0 {k: v}"]
    lines += [f"a{n}: &a{n} {{{', '.join(f'x{m}: *a{n - 1}' for m in range(9))}}}" for n in range(1, levels)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    "text",
    [
        laughs(100),
        "\n".join(["a0: &a0 {k0: v}", *(f"a{n}: &a{n} {{<<: *a{n - 1}, k{n}: v}}" for n in range(1, 20_000))]),
        "\n".join(["a0: &a0 {k: v}", *(f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}]}}" for n in range(1, 150))]),
        f"a: &a {{{', '.join(f'k{n}: v' for n in range(1000))}}}\nb: {{<<: [{', '.join(['*a'] * 50_000)}]}}",
        "[" * 100_000,
        "- " * 100_000,
        "{a: " * 5_000,
        "a: &a [*a]",
        "&a a: {<<: *a}",
        "- a\n" * (MOST_NODES + 10),
        "{{" * 300_000,
        "{{/* " * 200_000,
        '{{ "' * 200_000 + "}}",
        "a: " + "\t" * 300_000 + "b: c: d",
        "{%" * 300_000,
        "a: '" + "''" * 200_000 + "'",
        'a: "' + "\\x41 " * 100_000 + '"',
        "a: |\n" + "  x\n" * 100_000,
        "a: " + " " * 500_000 + "x",
        "---\n" * 100_000,
        "x: \x00",
    ],
    ids=range(21),
)
def test_bombs_do_no_harm(text):
    """Aliases, depth, size and templates without end are refused or read in seconds."""
    started = time.perf_counter()
    for document in documents(Source("x.yaml", text)):
        for node in document.root.walk():
            assert node.get("no such key", "at all").string == ""
            if node.kind == "scalar":
                assert node.text.value == node.value
    assert time.perf_counter() - started < 20


def test_a_rendered_document_names_its_template():
    """`helm template` writes above each document where it is from."""
    text = "---\n# Source: chart/templates/a.yaml\na: 1\n---\n# by hand\n# Source: chart/templates/sub/b.yaml\nb: 2\n"
    text += "---\nc: 3\n# Source: no\n"
    assert [each.origin for each in documents(Source("-", text))] == [
        "chart/templates/a.yaml",
        "chart/templates/sub/b.yaml",
        "",
    ]


TEMPLATE = """\
{{- if .Values.enabled }}
{{- $root := . }}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ include "chart.fullname" . }}
  labels: {{- include "chart.labels" . | nindent 4 }}
    app: own
  {{- with .Values.annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  replicas: {{ .Values.replicas | default 1 }}
  template:
    spec:
      containers:
        - name: {{ .Chart.Name }}
          image: "{{ .Values.image.repository }}:{{ .Values.image.tag | default "latest" }}"
          command:
          {{- range .Values.command }}
            - {{ . | quote }}
          {{- end }}
          args:
            - --model={{ .Values.model }}
            - --max-model-len
            - "8192"
            {{- if .Values.tp }}
            - --tensor-parallel-size{{ if .Values.eq }}={{ end }}
            - {{ .Values.tp | quote }}
            {{- else if not (eq .Values.x "}}") }}
            - --enforce-eager
            {{- end }}
          {{/* a comment
               of two lines: with: colons */}}
          lifecycle: {{ toYaml .Values.lifecycle | nindent 12 }}
          resources:
{{ toYaml .Values.resources | indent 12 }}
          script: |-
{{- if .Values.script }}
{{ .Values.script | nindent 12 }}
{{- else }}
            #!/bin/bash
            echo nothing
{{- end }}
{{- end }}
"""


def test_a_template_that_was_not_rendered_is_read_as_far_as_it_goes():
    """Branches, loops and blocks that bring lines are cut, values masked; what is written out keeps its place."""
    document = documents(Source("t.yaml", TEMPLATE))[0]
    assert document.error == ""
    assert document.templated
    container = document.root.get("spec", "template", "spec", "containers").items[0]
    args = [each.text.written() for each in container.get("args").items]
    assert args[:3] == ["--model={{ .Values.model }}", "--max-model-len", "8192"]
    assert args[-1] == "--enforce-eager"
    assert container.get("image").text.written() == (
        '{{ .Values.image.repository }}:{{ .Values.image.tag | default "latest" }}'
    )
    assert MASK in document.root.get("spec", "replicas").value
    length = container.get("args").items[2]
    assert stood(length.text, "8192") == "27:16 8192"
    assert document.root.get("metadata", "labels", "app").string == "own"
    assert stood(container.get("script").text, "nothing") == "44:18 nothing"


@pytest.mark.parametrize(
    "text",
    [
        "a: 'x {{.Name}}'\nb: 1",
        "a: --model=${{ matrix.model }}\nb: |\n  ${{ inputs.a }}\n  ${{ x &&\n     y }}\n",
        'a: "{% for m in messages %}{{ m }}{% endfor %}"',
        "a: |\n  {% for m in messages %}\n  {{- m }}\n  {% endfor %}\n",
        "a: curl -w '%{http_code}' x",
        "a: echo ${#array[@]} {x,y}",
    ],
)
def test_expressions_in_texts_make_no_template(text):
    """Placeholders of KServe, GitHub's expressions, chat templates and curl's formats are texts of YAML as it stands."""
    document = documents(Source("x.yaml", text))[0]
    assert document.error == ""
    assert not document.templated
    assert document.root.get("a")


def test_an_unquoted_placeholder_is_masked():
    """`{{HF_TOKEN}}` without quotes is a mapping to YAML; it is meant as a value to be put in."""
    root = documents(Source("x.yaml", "a: {{HF_TOKEN}}\nb: 2\n"))[0].root
    assert root.get("a").text.written() == "{{HF_TOKEN}}"
    assert root.get("b").number == 2


def test_lines_of_a_variable_alone_make_a_template_where_nothing_else_is_yaml():
    """`${ARGS}` on a line of its own, in a file for envsubst, is cut; in a text it is the text's."""
    (document,) = documents(Source("a.yaml", "limits:\n${LIMITS}\n  memory: 1Gi\nargs:\n  - --x\n${ARGS}\n"))
    assert (document.error, document.templated) == ("", True)
    assert document.root.get("limits", "memory").value == "1Gi"
    assert [each.value for each in document.root.get("args").items] == ["--x"]
    (document,) = documents(Source("a.yaml", "run: |\n  ${COMMAND}\n"))
    assert (document.templated, document.root.get("run").value) == (False, "${COMMAND}\n")


@pytest.mark.parametrize("marks", ["", "\ufeff", "\ufeff\ufeff\ufeff"])
def test_marks_of_the_byte_order_shift_no_place(marks):
    """Places are counted in the file, with whatever stands before its first word."""
    (document,) = documents(Source("a.yaml", f"{marks}a: 16\n"))
    assert document.root.get("a").text.place().text == "16"
