"""Documents of no known format, and files whose names say what a template becomes."""

import pytest
from formats.workload_samples import flag_at, texts

from kvplan.deploy.file import File
from kvplan.deploy.formats import workloads
from kvplan.launch.text import MASK, Source


def found_in(text, path="x.yaml"):
    return workloads(File(Source(path, text)))


def test_values_beside_a_command_are_put_in():
    """`{name}` in a command is what stands beside it, where it stands; what does not is not known."""
    text = """\
defaults:
  length: 4096
command: |
  vllm serve org/model-7b --max-model-len {length} --port {port} --speculative-config '{"method":"mtp"}'
"""
    (found,) = found_in(text)

    assert "--max-model-len 4096 " in found.script.value
    assert f"--port {MASK * 6} " in found.script.value
    assert '{"method":"mtp"}' in found.script.value
    place = found.script.cut(found.script.value.index("4096"), found.script.value.index("4096") + 4).place()
    assert (place.line, place.column) == (2, 11)


def test_a_container_for_each_set_of_arguments():
    """A resource that holds a command once and several lists of arguments starts as many engines."""
    text = """\
apiVersion: example.org/v1
kind: Runtime
metadata: {name: vllm}
spec:
  image: vllm/vllm-openai:v0.9.0
  command: [vllm, serve]
  configs:
  - {name: small, args: [org/a, --max-model-len, "1024"]}
  - {name: large, args: [org/a, --max-model-len, "4096"]}
"""
    first, second = found_in(text)

    assert texts(first.command) == ["vllm", "serve"]
    assert flag_at(first.args, "--max-model-len") == ("1024", (8, 51))
    assert flag_at(second.args, "--max-model-len")[0] == "4096"


POD = "apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec: {containers: [{name: a, image: vllm/vllm-openai}]}\n"


@pytest.mark.parametrize(
    "name", ["pod.yaml.tpl", "pod.yml.j2", "pod.yaml.tmpl", "pod.yaml.erb", "pod.YAML.example", "pod.tpl", "pod.gotmpl"]
)
def test_templates_are_read_as_what_they_become(name):
    """The suffix before that of the template counts; without one, the first keys."""
    assert [each.format for each in found_in(POD, name)] == ["kubernetes"]


@pytest.mark.parametrize("name", ["_helpers.tpl", "page.html.j2", "notes.txt.tmpl"])
def test_other_templates_are_no_yaml(name):
    """A file of definitions, and one that becomes no YAML, is left alone."""
    assert found_in('{{- define "x" -}}\nimage: vllm/vllm-openai\n{{- end -}}\n', name) == []


def test_expressions_of_erb_are_masked():
    """A value is not known; what decides about lines makes a template of it."""
    text = POD.replace("name: x", "name: <%= @name %>") + "<% if @more %>\n# more\n<% end %>\n"
    (found,) = found_in(text, "pod.yaml.erb")

    assert found.templated
    assert found.image.text == "vllm/vllm-openai"
