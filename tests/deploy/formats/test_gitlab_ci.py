"""GitLab's pipelines."""

from format_files import only, values, workloads

PIPELINE = """variables: {M: a/b, N: {value: "3", description: x}}
default: {image: python:3.12}
.base:
  image: {name: "vllm/vllm-openai:v0.8.5"}
  variables: {TP: 2}
  before_script: [export A=1]
serve:
  extends: .base
  script:
    - vllm serve $M --tensor-parallel-size $TP
    - [echo done]
stages: [a]
other: {stage: a}
"""


def test_jobs_are_scripts():
    """Lines before and in a script, variables of all levels, templates that a job extends; templates are no jobs."""
    found = only("gitlab_ci", ".gitlab-ci.yml", PIPELINE)
    assert (found.name, found.place.line, found.image.text) == ("job serve", 7, "vllm/vllm-openai:v0.8.5")
    assert found.script.value.splitlines() == ["export A=1", "vllm serve $M --tensor-parallel-size $TP", "echo done"]
    assert values(found.environment) == {"M": "a/b", "N": "3", "TP": "2"}
    assert found.script.cut(11, 15).place().line == 10


def test_other_files_are_none():
    """Only files of GitLab's name are read; odd types do no harm."""
    assert workloads("gitlab_ci", "ci.yml", PIPELINE) == []
    assert (
        workloads("gitlab_ci", ".gitlab-ci.yml", "a: {script: {b: c}}\nb: {extends: [b, {c: d}], script: }\n[]: 1\n")
        == []
    )
