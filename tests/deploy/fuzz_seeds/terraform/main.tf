variable "length" {
  default = 8192
}
resource "aws_sagemaker_model" "chat" {
  name = "chat"
  primary_container {
    image = "763104351884.dkr.ecr.us-east-1.amazonaws.com/djl-inference:0.33.0-lmi15.0.0-cu128"
    environment = merge({ OPTION_MAX_MODEL_LEN = "${var.length}" }, {
      HF_MODEL_ID = "meta-llama/Llama-3.1-8B-Instruct" /* gated */
    })
  }
}
resource "kubectl_manifest" "pod" {
  yaml_body = <<-YAML
    apiVersion: v1
    kind: Pod
    metadata: {name: chat}
    spec:
      containers:
        - {name: vllm, image: "vllm/vllm-openai:v0.11.0", args: [--model, meta-llama/Llama-3.1-8B-Instruct]}
  YAML
}
