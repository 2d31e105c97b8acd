"""Models whose language model a rule covers and whose towers none does: the cache is right, the parameters unknown."""

from functools import cached_property
from typing import ClassVar

from kvplan.models.decoder import Decoder
from kvplan.models.listed import ListedMoe
from kvplan.models.towers import Composed
from kvplan.weights.parts import Component


class MuseSparkText(ListedMoe):
    """Muse Spark's language model: both lists are required, windows and experts where they say."""

    model_types = ("muse_spark_text",)
    source = "vLLM 0.33 models/muse_spark/nvidia/model.py (MuseSpark1xAttention), configs/muse_spark.py"
    unknown_parameters = "its gated residuals and pooled experts are not counted"

    def layer_type_rule(self, index: int) -> str:  # noqa: ARG002
        """Refuse: there is no rule without the list.

        Raises:
            UnsupportedArchitectureError: always.

        """
        raise self.refuse("layer_types", "is not stated.", "Give the list that the published file has.")


class CogVlm(Decoder):
    """CogVLM and CogVLM 2: Llama with weights of their own for the positions of an image; all are kept alike."""

    model_types = ("cogvlm", "cogvlm2")
    architectures = ("CogVLMForCausalLM", "CogVLMVideoForCausalLM")
    source = "LMDeploy pytorch/models/cogvlm.py: num_multi_query_heads, else the query heads"
    unknown_parameters = "no rule covers its tower and the weights for images"

    @cached_property
    def kv_heads(self) -> int:
        """`num_multi_query_heads`, else one per query head."""
        return self.config.optional_count("num_multi_query_heads", "num_key_value_heads") or self.heads


class BesideText(Composed):
    """A language model with towers that are not counted; they keep no cache."""

    towers: ClassVar[dict[str, Component]] = {}

    @cached_property
    def unknown_parameters(self) -> str | None:
        """The towers are not counted."""
        return f"no rule covers what stands beside the language model of {self.config.model_type or 'this class'}"


class FlatLlama(BesideText):
    """The original LLaVA repository's classes on Llama: the file names its tower without describing it."""

    model_types = ("llava_llama",)
    architectures = ("LlavaLlamaForCausalLM",)
    source = "haotian-liu/LLaVA llava_llama.py: LlavaConfig is LlamaConfig under another name"
    text_type = "llama"


class FlatMistral(BesideText):
    """The same on Mistral: LLaVA 1.6 and LLaVA-Med."""

    model_types = ("llava_mistral",)
    architectures = ("LlavaMistralForCausalLM",)
    source = "haotian-liu/LLaVA llava_mistral.py: LlavaMistralConfig is MistralConfig under another name"
    text_type = "mistral"


class FlatQwen2(BesideText):
    """The same on Qwen 2: LLaVA-NeXT's Qwen models, FastVLM."""

    model_types = ("llava_qwen", "llava_qwen2")
    architectures = ("LlavaQwenForCausalLM", "LlavaQwen2ForCausalLM")
    source = "LLaVA-VL/LLaVA-NeXT llava_qwen.py, apple/ml-fastvlm llava_qwen.py: Qwen2Config under another name"
    text_type = "qwen2"


class FlatQwen3(BesideText):
    """Isaac, Keye-VL: Qwen 3's values at the top level, or under `text_config`."""

    model_types = ("isaac", "Keye", "KeyeVL1_5")
    architectures = (
        "IsaacForConditionalGeneration",
        "KeyeForConditionalGeneration",
        "KeyeVL1_5ForConditionalGeneration",
    )
    source = "vLLM 0.33 models/isaac.py, keye.py, keye_vl1_5.py: the language model is Qwen3ForCausalLM"
    fixed: ClassVar[dict[str, str]] = {"text_config": "qwen3"}


class FlatPhi3(BesideText):
    """Phi 4 reasoning vision: Phi 3's values at the top level."""

    model_types = ("phi4-siglip",)
    architectures = ("Phi4ForCausalLMV",)
    source = "vLLM 0.33 models/phi4siglip.py: the language model is Phi3ForCausalLM"
    text_type = "phi3"


class TextQwen2(BesideText):
    """OpenCUA: Qwen 2 under `text_config`."""

    model_types = ("opencua",)
    architectures = ("OpenCUAForConditionalGeneration",)
    source = "vLLM 0.33 models/opencua.py: the language model is Qwen2ForCausalLM"
    fixed: ClassVar[dict[str, str]] = {"text_config": "qwen2"}


class TextQwen3(BesideText):
    """MOSS-Transcribe: Qwen 3 under `text_config`."""

    model_types = ("moss_transcribe_diarize",)
    architectures = ("MossTranscribeDiarizeForConditionalGeneration",)
    source = "vLLM 0.33 models/moss_transcribe_diarize.py and its configuration"
    fixed: ClassVar[dict[str, str]] = {"text_config": "qwen3"}


class TextStated(BesideText):
    """Fun-Audio-Chat, Step3-VL 10B: the language model under `text_config` says what it is."""

    model_types = ("funaudiochat", "step_robotics")
    architectures = ("FunAudioChatForConditionalGeneration", "StepVLForConditionalGeneration", "Step3VL10BForCausalLM")
    source = "vLLM 0.33 models/funaudiochat.py, step_vl.py and their configurations"


class TextLlama(BesideText):
    """OpenVLA, Kanana 1.5 V: Llama under `text_config`."""

    model_types = ("openvla", "kanana-1.5-v")
    architectures = ("OpenVLAForActionPrediction", "KananaVForConditionalGeneration")
    source = "vLLM 0.33 models/openvla.py, kanana_v.py: the language model is LlamaForCausalLM"
    fixed: ClassVar[dict[str, str]] = {"text_config": "llama"}


class MiDashengLm(BesideText):
    """MiDashengLM: the language model of Qwen 2.5 Omni."""

    model_types = ("midashenglm",)
    architectures = ("MiDashengLMModel",)
    source = "vLLM 0.33 models/midashenglm.py, transformers_utils/configs/midashenglm.py"
    fixed: ClassVar[dict[str, str]] = {"text_config": "qwen2_5_omni_text"}


class InternS1Pro(BesideText):
    """Intern-S1 Pro: Qwen 3 with experts under `text_config`."""

    model_types = ("interns1_pro",)
    architectures = ("InternS1ProForConditionalGeneration",)
    source = "vLLM 0.33 models/interns1_pro.py: InternS1ProMoeLLMForCausalLM is Qwen3MoeForCausalLM"
    fixed: ClassVar[dict[str, str]] = {"text_config": "qwen3_moe"}


class NemotronNanoVL(BesideText):
    """Llama Nemotron Nano VL: Llama under `llm_config`, RADIO beside it."""

    model_types = ("Llama_Nemotron_Nano_VL",)
    architectures = ("Llama_Nemotron_Nano_VL",)
    source = "vLLM 0.33 models/nemotron_vl.py"
    text_key = "llm_config"
    text_type = "llama"


class InternLmComposer(BesideText):
    """InternLM-XComposer 2 and 2.5: InternLM 2's values at the top level, with low-rank weights for images."""

    model_types = ("internlmxcomposer2",)
    architectures = ("InternLMXComposer2ForCausalLM",)
    source = "LMDeploy models/internlm2.py, vl/model/xcomposer2.py: the language model is InternLM 2"
    text_type = "internlm2"


class Apertus15(BesideText):
    """Apertus 1.5: Apertus under `text_config`; images and sound come as tokens from their tokenizers."""

    model_types = ("apertus1p5",)
    architectures = ("Apertus1p5ForConditionalGeneration",)
    source = (
        "swiss-ai/Apertus-v1.5-8B config.json (text_config: apertus1p5_text), as ports to Megatron and Ollama read it"
    )
    fixed: ClassVar[dict[str, str]] = {"text_config": "apertus"}


class MuseSpark(BesideText):
    """Muse Spark: its language model under `text_config`."""

    model_types = ("muse_spark",)
    architectures = ("MuseSparkForConditionalGeneration",)
    source = "vLLM 0.33 models/muse_spark, transformers_utils/configs/muse_spark.py"
    fixed: ClassVar[dict[str, str]] = {"text_config": "muse_spark_text"}


class Ovis(BesideText):
    """Ovis 1.6 to 2.6 in the original form: the language model under `llm_config` says what it is."""

    model_types = ("ovis", "ovis2_5", "ovis2_6", "ovis2_6_moe")
    architectures = ("Ovis", "Ovis2_5", "Ovis2_6ForCausalLM", "Ovis2_6_MoeForCausalLM")
    source = "vLLM 0.33 models/ovis.py, ovis2_5.py, transformers_utils/configs/ovis.py"
    text_key = "llm_config"


class Bagel(BesideText):
    """BAGEL: Qwen 2 under `llm_config`, with weights of its own for making images."""

    model_types = ("bagel",)
    architectures = ("BagelForConditionalGeneration",)
    source = "vLLM 0.33 models/bagel.py: the language model is Qwen2ForCausalLM"
    text_key = "llm_config"
    fixed: ClassVar[dict[str, str]] = {"llm_config": "qwen2"}


class MultiModality(BesideText):
    """DeepSeek-VL and Janus in the original form: Llama under `language_config`."""

    model_types = ("multi_modality",)
    architectures = ("MultiModalityCausalLM",)
    source = (
        "deepseek-ai/DeepSeek-VL modeling_vlm.py, deepseek-ai/Janus modeling_vlm.py: language_config is LlamaConfig"
    )
    text_key = "language_config"
    fixed: ClassVar[dict[str, str]] = {"language_config": "llama"}
