"""Here-documents of scripts: a shell's text, manifests, units of systemd."""

from format_files import workloads

UNIT = """\
sudo tee /etc/systemd/system/llm.service > /dev/null <<EOF
[Unit]
Description=LLM

[Service]
Environment=OLLAMA_CONTEXT_LENGTH=8192
ExecStart=/usr/local/bin/ollama serve
EOF
sudo systemctl restart llm
"""


def test_a_unit_of_systemd_that_a_script_writes_is_read():
    """It is the unit's file wherever it is written to, with its places in the script."""
    found = [each for each in workloads("script", "setup.sh", UNIT) if each.format == "systemd"]
    assert [each.name for each in found] == ["llm.service"]
    assert found[0].environment["OLLAMA_CONTEXT_LENGTH"].value == "8192"
    assert (found[0].place.source.path, found[0].place.line) == ("setup.sh", 7)


def test_a_manifest_that_a_script_applies_is_read():
    """`kubectl apply -f - <<EOF` holds a resource."""
    text = (
        "kubectl apply -f - <<EOF\napiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n  containers:\n"
        "  - {name: vllm, image: 'vllm/vllm-openai:v0.11.0', args: [--model, org/m]}\nEOF\n"
    )
    assert [each.format for each in workloads("script", "up.sh", text) if each.format != "shell"] == ["kubernetes"]
