"""What the sampler holds at its peak in the profile run, which samples for the largest batch with top-k and top-p.

Counted from the tensors of batch x vocabulary that are alive at once, in bytes of one entry:

* to 0.16: 16-bit logits 2, float32 logits 4, and 32 in sorting them (values 4, indices 8, and torch's segmented sort, which
  keeps keys and indices twice). Logs of Qwen3-14B and gpt-oss on 0.10 to 0.15 give 38.0 when hidden states are taken off.
* V1 from 0.17 on: 2 + 4, probabilities 4, random numbers 4 (v1/sample/ops/topk_topp_sampler.py). Until 0.19 a Triton
  kernel has a row of float32 for each of its programs; from 0.20 on FlashInfer takes its place where it runs.
* V2 to 0.32: 2, and 4 for the float32 copy until 0.26 (v1/worker/gpu/sample/sampler.py apply_sampling_params; from 0.27 on
  only where a request asks for processing, which the dummy ones do not).
* V2 from 0.33 on: a second pass with every option on: 2 + 4 + 4 + 4 (model_runner.py _dummy_sampler_run).
"""

from kvplan.engines.vllm.changes import Version, applies
from kvplan.engines.vllm.profile.runner import Runner
from kvplan.units import ceil_div

_SORTED, _UNSORTED, _V2_COPY, _V2_PLAIN = 38, 14, 6, 2
_FLOAT32 = _INT32 = 4
# A program for each multiprocessor: H100's; other GPUs have 40 to 188, which makes less than 0.1 GiB.
_PROGRAMS = 132


def sampler_bytes(runner: Runner, version: Version, *, sequences: int, vocabulary: int) -> tuple[int, str]:
    """Return the peak of sampling, and how it comes about.

    Args:
        runner: that samples.
        version: of vLLM.
        sequences: the batch.
        vocabulary: tokens, as the logits have them.

    """
    each = _entry_bytes(runner, version)
    size = each * sequences * vocabulary
    how = f"{each} B x {sequences:,} sequences x {vocabulary:,} tokens of the vocabulary"
    by_triton = applies("unsorted_sampler", version) and not applies("flashinfer_sampler", version)
    if runner == "V1" and by_triton:
        rows = min(_PROGRAMS, sequences)
        return size + rows * vocabulary * _FLOAT32, f"{how} + {rows} rows of float32"
    return size, how


def _entry_bytes(runner: Runner, version: Version) -> int:
    if runner == "V2":
        if applies("warm_sampler", version):
            return _UNSORTED
        return _V2_PLAIN if applies("v2_logits_as_they_are", version) else _V2_COPY
    return _UNSORTED if applies("unsorted_sampler", version) else _SORTED


def counts_bytes(runner: Runner, version: Version, *, sequences: int, vocabulary: int) -> int:
    """Return what runner V2 keeps to penalise repetition: a number for each entry and a bit for each of the prompt's.

    Before 0.27 the accounts pass over it. Source: v1/worker/gpu/sample/penalties.py PenaltiesState.
    """
    if runner != "V2" or not applies("consumed", version):
        return 0
    return _INT32 * sequences * (vocabulary + ceil_div(vocabulary, 32))
