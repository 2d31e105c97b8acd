"""Terraform: SageMaker's models, manifests and values inside."""

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


def test_odd_files_are_none():
    """What is not Terraform, or says nothing, yields nothing and does no harm."""
    for text in (
        "",
        "resource",
        'resource "aws_sagemaker_model" "m" {',
        'resource "helm_release" "x" { values = [file("v.yaml"), var.x, 3] }',
        'resource "kubectl_manifest" "m" { yaml_body = "a: [" }',
        'locals { a = local.a }\nresource "kubectl_manifest" "m" { yaml_body = local.a }',
    ):
        assert workloads("terraform", "main.tf", text) == []
