"""Terraform: SageMaker's models, manifests and values inside."""

import pytest
from format_files import at, only, texts, values, workloads

from kvplan.launch.text import MASK

MODEL = """variable "model" {
  type    = string
  default = "a/b"
}
variable "open" {}
locals { common = { OPTION_ROLLING_BATCH = "vllm" } }
resource "aws_sagemaker_model" "llm" {
  primary_container {
    image = "${data.x.registry["a"]}/djl-inference:0.29.0-lmi11.0.0-cu124"
    environment = merge({
      HF_MODEL_ID                    = var.model # which
      "OPTION_MAX_MODEL_LEN"         : "8192",
      OPTION_TENSOR_PARALLEL_DEGREE  = tostring(4)
      OPTION_OPEN                    = var.open
      OPTION_TASK                    = "x-${var.model}"
    }, {})
  }
}
resource "aws_sagemaker_endpoint_configuration" "c" {
  production_variants {
    model_name             = aws_sagemaker_model.llm.name
    instance_type          = "ml.g5.12xlarge"
    initial_instance_count = 1
  }
  production_variants {
    model_name    = aws_sagemaker_model.other.name
    instance_type = "ml.p5.48xlarge"
  }
}
"""


def test_a_model_of_sagemaker():
    """Variables with their references put in, what is not known masked, and the instance type of its own variant."""
    found = only("terraform", "main.tf", MODEL)
    own = values(found.environment)
    assert (own["HF_MODEL_ID"], own["OPTION_MAX_MODEL_LEN"], own["OPTION_TENSOR_PARALLEL_DEGREE"]) == (
        "a/b",
        "8192",
        "4",
    )
    assert (set(own["OPTION_OPEN"]), own["OPTION_TASK"]) == ({MASK}, "x-a/b")
    assert at(found.environment["HF_MODEL_ID"]) == ("main.tf", 3, 14, "a/b")
    assert at(found.environment["OPTION_MAX_MODEL_LEN"]) == ("main.tf", 12, 41, "8192")
    assert [each.value for each in found.gpus.types] == ["ml.g5.12xlarge"]
    assert found.image.text.endswith("/djl-inference:0.29.0-lmi11.0.0-cu124")
    assert (found.replicas.value, found.engine) == (1, "vllm")


def test_files_beside_state_what_references_mean():
    """Defaults of variables.tf hold, values of terraform.tfvars go before them."""
    text = 'resource "aws_sagemaker_model" "m" { container { environment = { HF_MODEL_ID = var.m, N = var.n } } }'
    beside = {
        "variables__tf": 'variable "m" { default = "a/b" }\nvariable "n" { default = 1 }',
        "terraform__tfvars": "n = 2",
    }
    assert values(only("terraform", "main.tf", text, **beside).environment) == {"HF_MODEL_ID": "a/b", "N": "2"}


def test_manifests_inside_are_read():
    """YAML in a here-document and a mapping that becomes YAML are read as their formats are, with places in the file."""
    text = """resource "kubectl_manifest" "pod" {
  yaml_body = <<-YAML
    kind: Pod
    spec:
      containers:
        - image: vllm/vllm-openai:v0.8.5
          args: ["--model", "${var.model}"]
    ---
    kind: None
  YAML
}
variable "model" { default = "a/b" }
resource "kubernetes_manifest" "map" {
  manifest = {
    kind = "Pod"
    spec = { containers = [{ image = "vllm/vllm-openai:v0.8.5", args = ["--model", var.model, "--tp", 2] }] }
  }
}
"""
    first, second = workloads("terraform", "main.tf", text)
    assert (first.format, first.name.startswith("kubectl_manifest pod, Pod")) == ("kubernetes", True)
    assert texts(first.args) == ["--model", "a/b"]
    assert at(first.args[0]) == ("main.tf", 7, 19, "--model")
    assert at(first.image)[1:3] == (6, 18)
    assert texts(second.args) == ["--model", "a/b", "--tp", "2"]
    assert at(second.args[3]) == ("main.tf", 16, 103, "2")


DOCKER = """variable "settings" {
  type    = object({ length = number })
  default = { length = 4096, none = null }
}
variable "big" { default = null }
locals {
  names  = { small = "a/b" }
  length = var.big != null ? var.big : var.settings.length
  more   = ["--seed", "1"]
}
resource "docker_image" "vllm" { name = "vllm/vllm-openai:v0.9.1" }
resource "docker_container" "llm" {
  image    = docker_image.vllm.image_id
  gpus     = "all"
  shm_size = 1024
  command  = concat(["--model", local.names["small"], "--max-model-len", tostring(local.length)], local.more)
  env      = ["A=${var.settings["length"]}", "B=x"]
  device_requests {
    count = 2
  }
}
"""


def test_containers_of_docker():
    """Images are followed to their resource, references into objects; conditions are settled and lists put together."""
    found = only("terraform", "docker.tf", DOCKER)
    assert (found.image.text, found.name, found.command) == ("vllm/vllm-openai:v0.9.1", "docker_container llm", None)
    assert texts(found.args) == ["--model", "a/b", "--max-model-len", "4096", "--seed", "1"]
    assert at(found.args[3]) == ("docker.tf", 3, 24, "4096")
    assert values(found.environment) == {"A": "4096", "B": "x"}
    assert (found.gpus.count.value, found.shared_memory.value) == (2, 2**30)


@pytest.mark.parametrize(
    "condition, chosen",
    [
        ("var.on ? 1 : 2", "1"),
        ("!var.on ? 1 : 2", "2"),
        ('var.name == "x" ? 1 : 2', "1"),
        ('var.name != "x" ? 1 : 2', "2"),
        ('var.name == "y" ? "a?b:c" : "${var.name}?:"', "x?:"),
        ("var.none == null ? 1 : 2", "1"),
        ("var.name == null ? 1 : 2", "2"),
        ("var.open ? 1 : 2", None),
        ("var.open == null ? 1 : 2", None),
        ("length(var.name) > 1 ? 1 : 2", None),
        ("local.loop ? 1 : 2", None),
    ],
)
def test_conditions(condition, chosen):
    """A branch is taken where the files settle the condition; else the value is open."""
    text = f"""variable "on" {{ default = true }}
variable "name" {{ default = "x" }}
variable "none" {{ default = null }}
variable "open" {{}}
locals {{ loop = local.loop ? 1 : 2 }}
resource "docker_container" "c" {{
  image   = "vllm/vllm-openai"
  command = ["--seed", {condition}]
}}
"""
    value = texts(only("terraform", "main.tf", text).args)[1]
    assert value == chosen if chosen is not None else not value.strip(MASK)


TASKS = """resource "docker_service" "swarm" {
  task_spec {
    container_spec {
      image = "vllm/vllm-openai:v1"
      args  = ["--model", "a/b"]
      env   = { A = "1" }
    }
  }
}
resource "aws_ecs_task_definition" "task" {
  container_definitions = jsonencode([{
    name                 = "llm"
    image                = "vllm/vllm-openai:v1"
    entryPoint           = ["vllm", "serve"]
    command              = ["a/b"]
    memory               = 1024
    environment          = [{ name = "A", value = "1" }]
    resourceRequirements = [{ type = "GPU", value = "4" }]
    linuxParameters      = { sharedMemorySize = 512 }
  }])
}
resource "aws_ecs_task_definition" "json" {
  container_definitions = <<JSON
[{"image": "vllm/vllm-openai:v1", "command": ["--model", "a/b"], "resourceRequirements": [{"type": "GPU", "value": "2"}]}]
JSON
}
resource "google_cloud_run_v2_service" "run" {
  template {
    containers {
      image = "vllm/vllm-openai:v1"
      args  = ["--model", "a/b"]
      env {
        name  = "A"
        value = "1"
      }
      resources { limits = { "nvidia.com/gpu" = "1" } }
    }
    node_selector { accelerator = "nvidia-l4" }
  }
}
resource "azurerm_container_group" "group" {
  container {
    name                  = "llm"
    image                 = "vllm/vllm-openai:v1"
    commands              = ["vllm", "serve", "a/b"]
    environment_variables = { A = "1" }
    gpu {
      count = 1
      sku   = "V100"
    }
  }
}
resource "google_vertex_ai_endpoint_with_model_garden_deployment" "vertex" {
  model_config {
    container_spec {
      image_uri = "vllm/vllm-openai:v1"
      args      = ["--model", "a/b"]
    }
  }
  deploy_config {
    dedicated_resources {
      machine_spec {
        machine_type      = "g2-standard-12"
        accelerator_type  = "NVIDIA_L4"
        accelerator_count = 1
      }
    }
  }
}
resource "kubernetes_deployment_v1" "pod" {
  spec {
    replicas = 2
    template {
      spec {
        node_selector = { "nvidia.com/gpu.product" = "NVIDIA-L4" }
        container {
          image = "vllm/vllm-openai:v1"
          args  = ["--model", "a/b"]
          resources { limits = { "nvidia.com/gpu" = 1 } }
        }
      }
    }
  }
}
"""


def test_containers_of_clouds():
    """Each provider's words for image, command, variables and GPUs are read."""
    found = workloads("terraform", "main.tf", TASKS)
    assert {each.image.text for each in found} == {"vllm/vllm-openai:v1"}
    commands = [[*texts(each.command or ()), *texts(each.args)] for each in found]
    model, serve = ["--model", "a/b"], ["vllm", "serve", "a/b"]
    assert commands == [model, serve, model, model, serve, model, model]
    counts = [each.gpus.count.value if each.gpus.count else None for each in found]
    assert counts == [None, 4, 2, 1, 1, 1, 1]
    types = [each.gpus.types[0].value if each.gpus.types else None for each in found]
    assert types == [None, None, None, "nvidia-l4", "V100", "NVIDIA_L4", "NVIDIA-L4"]
    assert [values(each.environment) for each in found] == [{"A": "1"}, {"A": "1"}, {}, {"A": "1"}, {"A": "1"}, {}, {}]
    assert (found[1].memory.value, found[1].shared_memory.value) == (2**30, 2**29)
    assert found[6].replicas.value == 2


def test_scripts_of_machines():
    """Startup scripts run on the machine's GPUs; its references are put in, `$${` is the shell's; files it writes are read."""
    text = """variable "model" { default = "a/b" }
resource "google_compute_instance" "vm" {
  guest_accelerator {
    type  = "nvidia-l4"
    count = 2
  }
  metadata_startup_script = <<-EOT
    docker run vllm/vllm-openai:v1 --model ${var.model} --seed $${SEED:-1}
  EOT
}
resource "aws_instance" "box" {
  instance_type = "g5.12xlarge"
  user_data = base64encode(<<-EOT
    cat > compose.yaml <<Y
    services:
      llm:
        image: vllm/vllm-openai:v1
        command: --model c/d
    Y
  EOT
  )
}
resource "hcloud_server" "cloud" {
  user_data = <<-EOT
    #cloud-config
    runcmd:
      - docker run vllm/vllm-openai:v1 --model e/f
      - [echo, done]
  EOT
}
resource "aws_instance" "none" { user_data = "echo none" }
"""
    first, *second, third = workloads("terraform", "main.tf", text)
    assert first.script.value == "docker run vllm/vllm-openai:v1 --model a/b --seed ${SEED:-1}\n"
    assert (first.name, first.place.path, first.place.line) == ("google_compute_instance vm", "main.tf", 8)
    assert (first.gpus.count.value, first.gpus.types[0].value) == (2, "nvidia-l4")
    compose = second[-1]
    assert (compose.name, texts(compose.args)) == ("aws_instance box, service llm", ["--model", "c/d"])
    assert (at(compose.args[1])[:3], compose.gpus.types[0].value) == (("main.tf", 18, 26), "g5.12xlarge")
    assert third.script.value.startswith("docker run vllm/vllm-openai:v1 --model e/f")


RELEASE = """resource "helm_release" "llm" {
  chart  = "llm"
  values = [
    yamlencode({
      image     = { repository = "vllm/vllm-openai", tag = "v1" }
      args      = ["--model", "a/b"]
      resources = { limits = { "nvidia.com/gpu" = 1 } }
    }),
    <<-EOT
      args: ["--model", "c/d"]
    EOT
  ]
  set {
    name  = "resources.limits.nvidia\\\\.com/gpu"
    value = "2"
  }
  set {
    name  = "args[1]"
    value = "e/f"
  }
}
"""


def test_values_of_a_release_are_laid_over_each_other():
    """Later values go before earlier ones, and what is set goes before all; each stays where it is written."""
    found = only("terraform", "main.tf", RELEASE)
    assert (found.image.text, texts(found.words)) == ("vllm/vllm-openai:v1", ["--model", "e/f"])
    assert (found.gpus.count.value, found.name.startswith("helm_release llm, ")) == (2, True)
    assert at(found.words[0]) == ("main.tf", 10, 15, "--model")
    assert at(found.words[1])[1:] == (19, 14, "e/f")
    only_set = RELEASE.replace("set {", "odd {", 1).replace("set {", "odd {", 1)
    assert texts(only("terraform", "main.tf", only_set).words) == ["--model", "c/d"]


def test_a_chart_that_starts_an_engine_by_itself():
    """Ollama's chart needs no values; what is set says on how many GPUs it runs."""
    text = """resource "helm_release" "o" {
  chart = "ollama"
  set = [
    { name = "ollama.gpu.number", value = var.gpus },
  ]
}
"""
    found = only("terraform", "main.tf", text)
    assert (found.engine, found.name) == ("ollama", "helm_release o")
    assert (set(found.gpus.count.value), found.gpus.count.words[0].place.written()) == ({MASK}, "var.gpus")
    assert workloads("terraform", "main.tf", text.replace('"ollama"', '"grafana"')) == []


def test_a_module_that_is_told_an_engines_settings():
    """An argument that is called after an engine holds its settings, where the module is told the model too."""
    text = """module "endpoint" {
  source        = "../.."
  hf_model_id   = "a/b"
  instance_type = "ml.g5.2xlarge"
  tgi_config    = { max_total_tokens = 4096 }
}
module "other" {
  vllm_config = { max_model_len = 1 }
}
"""
    found = only("terraform", "main.tf", text)
    assert (found.engine, found.model.value, found.gpus.types[0].value) == ("tgi", "a/b", "ml.g5.2xlarge")
    assert texts(found.words) == ["--max-total-tokens", "4096"]


def test_sagemakers_container_of_tgi():
    """Its image may be looked up by repository and tag, merged variables are followed, and its entry point's names are TGI's."""
    text = """locals { base = { HF_MODEL_ID = "a/b" } }
data "aws_sagemaker_prebuilt_ecr_image" "i" {
  repository_name = "huggingface-pytorch-tgi-inference"
  image_tag       = "2.0"
}
resource "aws_sagemaker_model" "m" {
  primary_container {
    image       = data.aws_sagemaker_prebuilt_ecr_image.i.registry_path
    environment = merge(local.base, { SM_NUM_GPUS = "2" })
  }
}
"""
    found = only("terraform", "main.tf", text)
    own = values(found.environment)
    assert (found.image.text, own["MODEL_ID"], own["NUM_SHARD"]) == (
        "huggingface-pytorch-tgi-inference:2.0",
        "a/b",
        "2",
    )


def test_references_without_end_do_no_harm():
    """Locals that double each other, conditions in conditions and many layers of values come to an end."""
    doubled = "".join(f"  m{n} = merge(local.m{n - 1}, local.m{n - 1}, {{ k{n} = 1 }})\n" for n in range(1, 80))
    lists = "".join(f"  l{n} = concat(local.l{n - 1}, local.l{n - 1})\n" for n in range(1, 80))
    chosen = "".join(f"  c{n} = local.c{n - 1} ? local.c{n - 1} : local.c{n - 1}\n" for n in range(1, 80))
    layers = "values = [" + "local.m79, " * 300 + "]"
    text = f"""locals {{
  m0 = {{ a = 1 }}
  l0 = ["a"]
  c0 = true
{doubled}{lists}{chosen}}}
resource "helm_release" "x" {{ {layers} }}
resource "docker_container" "c" {{
  image   = "vllm/vllm-openai"
  command = [local.l79, local.c79]
  env     = local.m79
}}
"""
    assert len(workloads("terraform", "main.tf", text)) == 1


def test_odd_files_are_none():
    """What is not Terraform, or says nothing, yields nothing and does no harm."""
    for text in (
        "",
        "resource",
        'resource "aws_sagemaker_model" "m" {',
        'resource "helm_release" "x" { values = [file("v.yaml"), var.x, 3] }',
        'resource "kubectl_manifest" "m" { yaml_body = "a: [" }',
        'module "m" { vllm_config = 1 }',
        'resource "helm_release" "x" { set = [1, { name = "a[", value = 1 }, { name = [], value = 2 }, { name = "b" }] }',
        'resource "aws_ecs_task_definition" "x" { container_definitions = jsonencode([1, { image = [] }]) }',
        'resource "aws_instance" "x" { user_data = [1] }',
        'locals { a = local.a }\nresource "kubectl_manifest" "m" { yaml_body = local.a }',
    ):
        assert workloads("terraform", "main.tf", text) == []
