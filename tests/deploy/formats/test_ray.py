"""Ray's configurations and resources."""

import pytest
from workload_samples import at, flag_at, read, texts

from kvplan.deploy.formats import ray

SERVE = """\
applications:
  - name: chat
    import_path: ray.serve.llm:build_openai_app
    args:
      llm_configs:
        - model_loading_config:
            model_id: served-name
            model_source: org/model
          accelerator_type: L40S
          engine_kwargs:
            tensor_parallel_size: 2
            max_model_len: 8192
            enforce_eager: true
            enable_prefix_caching: false
            speculative_config: {method: ngram, num_speculative_tokens: 3}
          deployment_config:
            autoscaling_config:
              min_replicas: 1
              max_replicas: 4
          runtime_env:
            env_vars:
              VLLM_ATTENTION_BACKEND: FLASHINFER
        - model_loading_config:
            model_id: org/second
"""


def test_a_serve_configuration_gives_one_engine_for_each_model():
    """engine_kwargs are vLLM's flags; the source is the model, and the served name only where there is none."""
    first, second = read(ray, SERVE)

    assert first.engine == second.engine == "vllm"
    assert first.model.value == "org/model"
    assert at(first.model) == (8, 27)
    assert second.model.value == "org/second"
    assert flag_at(first.words, "--tensor-parallel-size") == ("2", (11, 35))
    assert at(first.words[0]) == (11, 13)
    assert "--enforce-eager" in texts(first.words)
    assert "--no-enable-prefix-caching" in texts(first.words)
    assert flag_at(first.words, "--speculative-config")[0] == '{"method": "ngram", "num_speculative_tokens": 3}'
    assert first.gpus.types[0].value == "L40S"
    assert first.replicas.value == "1"
    assert first.environment["VLLM_ATTENTION_BACKEND"].value == "FLASHINFER"
    assert first.name != second.name


def test_a_bucket_stays_as_it_is_written():
    """A source that is a bucket is not a model's name."""
    first, _ = read(ray, SERVE.replace("model_source: org/model", "model_source: {bucket_uri: s3://bucket/model}"))

    assert first.model.value == "s3://bucket/model"


def test_prefill_and_decode_are_engines_of_their_own():
    """The form with prefill_config and decode_config holds two engines."""
    text = """\
applications:
  - args:
      prefill_config:
        model_loading_config: {model_id: org/m}
        engine_kwargs: {max_num_batched_tokens: 2048}
      decode_config:
        model_loading_config: {model_id: org/m}
        engine_kwargs: {max_num_seqs: 64}
"""
    prefill, decode = read(ray, text)

    assert "prefill" in prefill.name
    assert flag_at(prefill.words, "--max-num-batched-tokens")[0] == "2048"
    assert flag_at(decode.words, "--max-num-seqs")[0] == "64"


def _service(inner, replicas=1, gpus=4):
    indented = "".join(f"    {line}\n" for line in inner.splitlines())
    return f"""\
apiVersion: ray.io/v1
kind: RayService
metadata:
  name: llm
spec:
  serveConfigV2: |
{indented}  rayClusterConfig:
    headGroupSpec:
      template:
        spec:
          containers:
            - name: head
              image: rayproject/ray-llm:2.46.0-py311-cu124
    workerGroupSpecs:
      - groupName: gpu
        replicas: {replicas}
        template:
          spec:
            nodeSelector:
              cloud.google.com/gke-accelerator: nvidia-l4
            containers:
              - name: worker
                image: rayproject/ray-llm:2.46.0-py311-cu124
                resources:
                  limits:
                    nvidia.com/gpu: {gpus}
"""


def test_a_service_holds_the_configuration_in_a_text():
    """The text's values stand where they stand in the file, and the GPUs are those of the workers."""
    first, second = read(ray, _service(SERVE.replace("          accelerator_type: L40S\n", "")))

    assert flag_at(first.words, "--max-model-len") == ("8192", (17, 32))
    assert first.gpus.count.value == 4
    assert first.gpus.types[0].value == "nvidia-l4"
    assert first.gpus.nodes is None
    assert first.image.text == "rayproject/ray-llm:2.46.0-py311-cu124"
    assert second.model.value == "org/second"


def test_an_engine_larger_than_a_machine_is_spread():
    """Ranks that do not fit one machine's GPUs take several."""
    first, second = read(ray, _service(SERVE, replicas=2, gpus=1))

    assert first.gpus.nodes.value == 2
    assert second.gpus.nodes is None


def test_code_that_is_not_here_is_a_half():
    """An application of someone's own that starts vLLM is read as far as its variables tell, and said to be a half."""
    text = """\
applications:
  - import_path: ray-operator.config.samples.vllm.serve:model
    runtime_env:
      env_vars:
        MODEL_ID: org/model
        TENSOR_PARALLELISM: "2"
  - import_path: fruit:app
    runtime_env: {env_vars: {MODEL_ID: org/model}}
"""
    (engine,) = read(ray, text)

    assert engine.half
    assert engine.model.value == "org/model"
    given = engine.environment["TENSOR_PARALLELISM"]
    assert (given.value, at(given)) == ("2", (6, 30))


CLUSTER = """\
apiVersion: orchestration.aibrix.ai/v1alpha1
kind: RayClusterFleet
metadata: {name: r1}
spec:
  replicas: 1
  template:
    spec:
      headGroupSpec:
        template:
          spec:
            containers:
              - name: head
                image: vllm/vllm-openai:v0.7.3
                command: [/bin/bash, -lc, --]
                args: ["$KUBERAY_GEN_RAY_START_CMD; vllm serve org/model --tensor-parallel-size 8 --pipeline-parallel-size 2"]
                resources: {limits: {nvidia.com/gpu: "8"}}
      workerGroupSpecs:
        - groupName: w
          replicas: 1
          template:
            spec:
              containers:
                - name: worker
                  image: vllm/vllm-openai:v0.7.3
                  command: [/bin/bash, -lc, --]
                  args: ["$KUBERAY_GEN_RAY_START_CMD"]
                  resources: {limits: {nvidia.com/gpu: "8"}}
"""


def test_an_engine_on_a_cluster_has_the_head_and_the_workers():
    """Head and workers of a cluster are one group of machines."""
    head, worker = read(ray, CLUSTER)

    assert head.group == worker.group != ""
    assert head.gpus.nodes.value == 2
    assert head.gpus.count.value == 8
    assert head.image.text == "vllm/vllm-openai:v0.7.3"


def test_containers_without_a_command_run_ray():
    """KubeRay has a container without a command run `ray start`, whatever its image."""
    lines = [line for line in CLUSTER.splitlines() if "command:" not in line and "args:" not in line]

    assert read(ray, "\n".join(lines)) == []


def test_a_jobs_entry_point_is_a_script():
    """A RayJob runs a shell's text on its cluster."""
    text = """\
kind: RayJob
metadata: {name: j}
spec:
  entrypoint: vllm serve org/model --tensor-parallel-size 2
  rayClusterSpec:
    workerGroupSpecs:
      - replicas: 1
        template: {spec: {containers: [{name: w, resources: {limits: {nvidia.com/gpu: 2}}}]}}
"""
    (job,) = read(ray, text)

    assert job.script.value.startswith("vllm serve")
    assert job.gpus.count.value == 2
    assert job.gpus.nodes.value == 1


@pytest.mark.parametrize(
    "text",
    [
        "applications: [1, {args: {llm_configs: {model_loading_config: x}}}]\n",
        "kind: RayService\nspec: {serveConfigV2: {a: b}, rayClusterConfig: [1]}\n",
        "kind: RayService\nspec: {serveConfigV2: '{[', rayClusterConfig: {workerGroupSpecs: {replicas: x}}}\n",
        "kind: RayJob\nspec: {entrypoint: [1]}\n",
    ],
)
def test_odd_resources_start_nothing(text):
    """Resources of odd shapes are passed over."""
    assert read(ray, text) == []
