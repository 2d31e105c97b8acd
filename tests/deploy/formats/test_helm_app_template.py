"""Values of the app-template chart."""

from workload_samples import read, texts

from kvplan.deploy.formats import helm_app_template, helm_values

VALUES = """\
defaultPodOptions:
  nodeSelector: {nvidia.com/gpu.product: NVIDIA-L4}
controllers:
  main:
    replicas: 1
    initContainers:
      download: {image: {repository: vllm/vllm-openai, tag: latest}, command: [hf, download, org/m]}
    containers:
      app:
        image: {repository: vllm/vllm-openai, tag: v0.11.0}
        args: [--config, /etc/vllm/config.yaml]
        env: {VLLM_LOGGING_LEVEL: INFO}
        resources: {limits: {nvidia.com/gpu: 1}}
      exporter: {enabled: false, image: {repository: vllm/vllm-openai, tag: latest}}
route:
  main: {enabled: true}
configMaps:
  settings:
    data:
      config.yaml: |
        model: org/m
        max-model-len: 4096
persistence:
  config: {type: configMap, identifier: settings, globalMounts: [{path: /etc/vllm}]}
"""


def test_a_controllers_containers_are_read_as_pods():
    """Image, words, variables and GPUs are the container's, the placement the pod's; what prepares and what is off is none."""
    (found,) = read(helm_app_template, VALUES, "values.yaml")
    assert found.image.text == "vllm/vllm-openai:v0.11.0"
    assert texts(found.args) == ["--config", "/etc/vllm/config.yaml"]
    assert (found.gpus.count.value, found.gpus.types[0].value) == (1, "NVIDIA-L4")
    assert found.environment["VLLM_LOGGING_LEVEL"].value == "INFO"
    assert "max-model-len: 4096" in found.files["/etc/vllm/config.yaml"].value
    assert read(helm_values, VALUES, "values.yaml") == []


def test_it_may_be_a_sub_chart():
    """Values under the chart's name are found as well, with settings that a template makes the file of."""
    text = (
        "app-template:\n  controllers:\n    vllm:\n      containers:\n        main:\n"
        "          image: {repository: org/vllm, tag: a}\n"
        "          command: [vllm, serve, --config, /vllm/config.yaml]\n"
        "config:\n  - {key: model, value: org/m}\n  - {key: max-model-len, value: 4096}\n  - {key: max-num-seqs, value: 4}\n"
    )
    (found,) = read(helm_app_template, text, "values.yaml")
    assert found.name == "values app-template.vllm.main"
    assert '"max-model-len": 4096' in found.files["/vllm/config.yaml"].value
