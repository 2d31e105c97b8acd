"""Start scripts in ConfigMaps."""

import kvplan

TEXT = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: scripts}
data:
  start.sh: |
    LEN=8192
    vllm serve org/model \\
      --max-model-len $LEN
  notes.txt: |
    vllm serve org/other --max-model-len 4096
"""


def test_scripts_are_read_with_their_places():
    """A script in a ConfigMap is followed as any other; other texts in it are not run."""
    (unit,) = kvplan.check("cm.yaml", text=TEXT).units
    length = unit.inputs["max_model_len"]
    assert (length.value, length.place.line, unit.inputs["model"].place.line) == (8192, 6, 7)


def test_a_script_that_a_pod_of_the_stream_runs_is_one_engine():
    """A pod that mounts and runs the script adds its GPUs and image, not a second engine."""
    pod = """\
---
apiVersion: v1
kind: Pod
metadata: {name: p}
spec:
  volumes: [{name: s, configMap: {name: scripts}}]
  containers:
    - name: c
      image: vllm/vllm-openai:v0.11.0
      command: ["bash", "/scripts/start.sh"]
      volumeMounts: [{name: s, mountPath: /scripts}]
      resources: {limits: {nvidia.com/gpu: 1}}
"""
    (unit,) = kvplan.check("cm.yaml", text=TEXT + pod).units
    assert (unit.version, unit.inputs["gpu_count_requested"].value, unit.inputs["max_model_len"].value) == (
        "0.11.0",
        1,
        8192,
    )
