"""What is taken from the GPU before the cache."""

from typing import Final

from kvplan.engines.vllm.changes.change import Change

CHANGES: Final[tuple[Change, ...]] = (
    Change(
        key="free_memory_checked",
        since=(0, 9, 1),
        what="Starts are refused where less is free than the fraction asks for; before, V1 charged what others use to itself.",
        source="v1/worker/gpu_worker.py init_device, determine_available_memory",
    ),
    Change(
        key="indexer_buffer",
        since=(0, 13),
        what="Sparse indexers reserve keys for 40 x max_model_len in the profile run; before, for 2 x.",
        source="v1/attention/backends/mla/indexer.py get_max_prefill_buffer_size",
    ),
    Change(
        key="kept_workspace",
        since=(0, 13),
        what="Experts' and indexers' workspaces stay allocated, one buffer for all; before, for the length of a layer.",
        source="v1/worker/workspace.py",
    ),
    Change(
        key="unsorted_sampler",
        since=(0, 17),
        what="Top-k and top-p without sorting: the sampler peaks at 14 B for each sequence and token of the vocabulary, not 38.",
        source="v1/sample/ops/topk_topp_sampler.py apply_top_k_top_p",
    ),
    Change(
        key="graphs_tried",
        since=(0, 18),
        what="CUDA graphs are tried out in the profile run; what stays of that outside torch is counted.",
        source="v1/worker/gpu_worker.py determine_available_memory",
    ),
    Change(
        key="whole_experts_batch",
        since=(0, 18),
        what="Fused experts take the whole batch at once (VLLM_FUSED_MOE_CHUNK_SIZE is gone).",
        source="model_executor/layers/fused_moe/modular_kernel.py",
    ),
    Change(
        key="flashinfer_sampler",
        since=(0, 20),
        what="FlashInfer samples where it runs; the Triton kernel's rows are not there then.",
        source="envs.py VLLM_USE_FLASHINFER_SAMPLER",
    ),
    Change(
        key="graphs_subtracted",
        since=(0, 21),
        what="The estimate of CUDA graphs is taken from the cache; before, graphs came on top of the fraction.",
        source="envs.py VLLM_MEMORY_PROFILER_ESTIMATE_CUDAGRAPHS",
    ),
    Change(
        key="v2_runner",
        since=(0, 22),
        what="Model runner V2 serves dense Qwen 3 in 16 bits, from 0.23 on Llama and Mistral too.",
        source="config/vllm.py DEFAULT_V2_MODEL_RUNNER_ARCHITECTURES",
    ),
    Change(
        key="v2_runner_quantised",
        since=(0, 24),
        what="Model runner V2 serves listed architectures in any format, DeepSeek V2 and V3 among them.",
        source="config/vllm.py _is_default_v2_model_runner_model",
    ),
    Change(
        key="v2_runner_dense",
        since=(0, 25),
        what="Model runner V2 serves every model that is neither hybrid nor a mixture of experts, and listed others.",
        source="config/vllm.py _is_default_v2_model_runner_model",
    ),
    Change(
        key="consumed",
        since=(0, 27),
        what="Everything that is gone from the GPU's free memory counts: what compiling leaves, runner V2's counts of tokens.",
        source="utils/mem_utils.py memory_profiling total_consumed",
    ),
    Change(
        key="v2_logits_as_they_are",
        since=(0, 27),
        what="Runner V2 copies logits to float32 only where a request asks for processing; in the profile run none does.",
        source="v1/worker/gpu/sample/sampler.py apply_sampling_params",
    ),
    Change(
        key="larger_graphs",
        since=(0, 28),
        what="Graphs are captured for batches up to 1,024 on B200 and its kin; elsewhere up to 512.",
        source="config/vllm.py _set_cudagraph_sizes",
    ),
    Change(
        key="v2_runner_all",
        since=(0, 29),
        what="Model runner V2 serves every model.",
        source="config/vllm.py use_v2_model_runner",
    ),
    Change(
        key="v2_graphs_subtracted",
        since=(0, 29),
        what="Runner V2 estimates CUDA graphs; before, it took nothing for them.",
        source="v1/worker/gpu/cudagraph_utils.py profile_cudagraph_memory",
    ),
    Change(
        key="rocm_graphs_subtracted",
        since=(0, 29),
        what="Graphs are estimated on AMD too.",
        source="v1/worker/gpu_worker.py determine_available_memory",
    ),
    Change(
        key="unsplit_profile",
        since=(0, 31),
        what="Blocks of 20 MiB and more are not split in the profile run, so that what compiling used is given back.",
        source="v1/worker/gpu_worker.py _scoped_allocator_max_split",
    ),
    Change(
        key="xpu_graphs_subtracted",
        since=(0, 31),
        what="Graphs are estimated on Intel too.",
        source="v1/worker/gpu_worker.py determine_available_memory",
    ),
    Change(
        key="warm_sampler",
        since=(0, 33),
        what="Runner V2 profiles the sampler with every option on: 14 B for each sequence and token of the vocabulary.",
        source="v1/worker/gpu/model_runner.py _dummy_sampler_run",
    ),
    Change(
        key="small_index_buffer",
        since=(0, 33),
        what="Beyond 256 Ki tokens sparse indexers reserve 16 x max_model_len, not 40 x.",
        source="config/vllm.py sparse_mla_prefill_workspace_factor",
    ),
)
