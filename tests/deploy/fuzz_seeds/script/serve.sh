#!/usr/bin/env bash
# kvplan: gpu=L4
set -euo pipefail
MODEL=${1:-meta-llama/Llama-3.1-8B-Instruct}
args=(--max-model-len 8192 --max-num-seqs "${SEQS:-16}")
if [[ -n "${EAGER:-}" ]]; then args+=(--enforce-eager); fi
cat > config.yaml <<'EOF'
kv-cache-dtype: fp8
EOF
serve() {
  vllm serve "$1" --config config.yaml "${args[@]}" &
}
serve "$MODEL"
docker run --rm --gpus '"device=0"' --shm-size=1g -e HF_TOKEN="$HF_TOKEN" \
  vllm/vllm-openai:v0.11.0 --model "$MODEL" --gpu-memory-utilization .5 | tee "log $(date +%F).txt"
