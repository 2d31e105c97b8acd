job "chat" {
  group "engine" {
    count = 2
    task "vllm" {
      driver = "docker"
      config {
        image = "vllm/vllm-openai:v0.11.0"
        args  = ["--model", "${MODEL}", "--max-model-len", "8192"] # the rest is its own
        shm_size = 1073741824
      }
      env { MODEL = "meta-llama/Llama-3.1-8B-Instruct" }
      template {
        data = <<-EOF
          LENGTH=8192
        EOF
        env = true
      }
      resources {
        memory = 32768
        device "nvidia/gpu/NVIDIA L4" { count = 1 }
      }
    }
  }
}
