"""Model types that keep no language-model cache, by what they are: recognised, and said to have none.

Reviewed against transformers 5.18: no `modeling_*.py` of these carries a cache from token to token, but where a file turns an
encoder into a decoder, which is refused. A type with a file of its own (a tower, an encoder that is counted) is not listed.
"""

from typing import ClassVar, Final

from kvplan.models.family import SIGNALS, Family
from kvplan.models.spec import Layer

_VISION_MODELS: Final = """
    aimv2_vision_model align_vision_model altclip_vision_model beit bit bridgetower_vision_model
    chinese_clip_vision_model chmv2 clipseg_vision_model convnext convnextv2 cvt data2vec-vision dinat dinov2
    dinov2_with_registers dinov3_convnext dinov3_vit edgetam_vision_model efficientnet flava_image_model focalnet
    groupvit_vision_model hgnet_v2 hiera ijepa levit lw_detr_vit maskformer-swin metaclip_2_vision_model mlcd
    mlcd_vision_model mobilenet_v1 mobilenet_v2 mobilevit mobilevitv2 owlv2_vision_model owlvit_vision_model pixio
    poolformer pp_lcnet pp_lcnet_v3 pp_lcnet_v4 pvt pvt_v2 regnet resnet rf_detr_dinov2 rt_detr_resnet
    sam2_hiera_det_model sam2_vision_model sam3_vision_model sam3_vit_model sam_hq_vision_model swiftformer swin2sr
    swinv2 textnet timm_backbone timm_wrapper tipsv2_vision_model uvdoc_backbone vit_mae vit_msn vitdet
    vitpose_backbone
"""
_VIDEO_MODELS: Final = """
    pe_video_encoder timesformer videomae videoprism_vision_model vivit vjepa2 xclip_vision_model
"""
_DETECTORS: Final = """
    conditional_detr d_fine dab-detr deformable_detr deimv2 detr grounding-dino lw_detr mm-grounding-dino
    omdet-turbo owlv2 owlvit pp_doclayout_v2 pp_doclayout_v3 pp_ocrv5_mobile_det pp_ocrv5_server_det
    pp_ocrv6_medium_det pp_ocrv6_small_det rf_detr rt_detr rt_detr_v2 sam3_detr_decoder sam3_detr_encoder
    sam3_lite_text_detr_decoder sam3_lite_text_detr_encoder table-transformer yolos
"""
_SEGMENTERS: Final = """
    clipseg edgetam edgetam_video eomt eomt_dinov3 mask2former maskformer oneformer sam sam2 sam2_video sam3
    sam3_geometry_encoder sam3_lite_text sam3_lite_text_geometry_encoder sam3_lite_text_mask_decoder
    sam3_mask_decoder sam3_tracker sam3_tracker_video sam3_video sam_hq segformer seggpt upernet videomt vitmatte
"""
_DEPTH_AND_POSE: Final = """
    depth_anything depth_pro dpt efficientloftr glpn lightglue prompt_depth_anything sapiens2 sapiens2_head
    superglue superpoint tipsv2_dpt uvdoc vitpose zoedepth
"""
_TEXT_READERS: Final = """
    mgp-str pp_ocrv5_mobile_rec pp_ocrv5_server_rec pp_ocrv6_small_rec pp_ocrv6_tiny_rec slanet slanext
"""
_IMAGE_TEXT_MODELS: Final = """
    aimv2 align altclip bridgetower chinese_clip clip flava flava_multimodal_model groupvit lxmert metaclip_2
    pe_audio_video pe_audio_video_encoder pe_video perceiver siglip siglip2 tipsv2 tvp videoprism vilt
    vision-text-dual-encoder visual_bert xclip
"""
_TEXT_TOWERS: Final = """
    aimv2_text_model align_text_model altclip_text_model bridgetower_text_model chinese_clip_text_model
    clap_text_model clip_text_model clipseg_text_model clvp_encoder flava_text_model groupvit_text_model
    metaclip_2_text_model owlv2_text_model owlvit_text_model sam3_lite_text_text_model siglip2_text_model
    siglip_text_model tipsv2_text_model videoprism_text_model xclip_text_model
"""
_TEXT_ENCODERS: Final = """
    canine convbert dpr flaubert fnet funnel ibert luke mobilebert mra neomme nystromformer splinter squeezebert
    tapas yoso
"""
_DOCUMENT_ENCODERS: Final = """
    bros layoutlm layoutlmv2 layoutlmv3 layoutxlm lilt markuplm
"""
_PROTEIN_MODELS: Final = """
    esmc esmfold2
"""
_AUDIO_ENCODERS: Final = """
    audio-spectrogram-transformer clap clap_audio_model data2vec-audio granite_speech5_ctc granite_speech5_encoder
    lasr_ctc lasr_encoder nemotron3_diarization nemotron3_diarization_audio pe_audio pe_audio_encoder sew sew-d
    unispeech unispeech-sat wav2vec2-bert wav2vec2-conformer wavlm
"""
_AUDIO_CODECS: Final = """
    dac higgs_audio_v2_tokenizer neucodec vibevoice_acoustic_tokenizer vibevoice_acoustic_tokenizer_decoder
    vibevoice_acoustic_tokenizer_encoder xcodec xcodec2
"""
_SPEECH_MAKERS: Final = """
    fastspeech2_conformer fastspeech2_conformer_hifigan fastspeech2_conformer_with_hifigan qwen2_5_omni_bigvgan
    qwen2_5_omni_dit qwen2_5_omni_token2wav speecht5_hifigan univnet vits
"""
_TIME_SERIES: Final = """
    patchtsmixer patchtst timesfm timesfm2_5
"""


class WithoutCache(Family):
    """A model that nothing is kept for; its parameters are not counted."""

    source = "transformers 5.18 modeling files: no past_key_values"
    unknown_parameters = "no rule counts the parameters of this type; the checkpoint's own count is needed"
    ignored: ClassVar[dict[str, str]] = dict.fromkeys(SIGNALS, "the type keeps no cache")
    # Switches that turn the encoders of BERT's and XLM's kind into decoders, which is another model.
    decoder_switches: ClassVar[tuple[str, ...]] = ("is_decoder", "add_cross_attention", "causal")

    def __init_subclass__(cls) -> None:
        # A type that a file of its own claims stays that file's, whichever is imported first.
        claimed = dict(Family.registry)
        super().__init_subclass__()
        Family.registry.update({name: claimed[name] for name in cls.model_types if name in claimed})

    def layers(self) -> tuple[Layer, ...]:
        """Return nothing.

        Raises:
            UnsupportedArchitectureError: the file makes a decoder of the type.

        """
        for key in self.decoder_switches:
            if self.config.raw(key) is True:
                raise self.refuse(key, "is true: a decoder keeps a cache.", "Open an issue with the configuration.")
        return ()


class VisionModels(WithoutCache):
    """Image classifiers, backbones and encoders: convolutional, transformer, or both."""

    cacheless = "a vision model"
    model_types = tuple(_VISION_MODELS.split())


class VideoModels(WithoutCache):
    """Video classifiers and encoders."""

    cacheless = "a video model"
    model_types = tuple(_VIDEO_MODELS.split())


class Detectors(WithoutCache):
    """Object, layout and text detectors and the parts they are made of."""

    cacheless = "an image detector"
    model_types = tuple(_DETECTORS.split())


class Segmenters(WithoutCache):
    """Segmenters; a video segmenter's memory of earlier frames is not a language model's cache."""

    cacheless = "an image or video segmenter"
    model_types = tuple(_SEGMENTERS.split())


class DepthAndPose(WithoutCache):
    """Depth, pose, keypoints and geometry."""

    cacheless = "a model of depth, pose or keypoints"
    model_types = tuple(_DEPTH_AND_POSE.split())


class TextReaders(WithoutCache):
    """Recognisers of lines, tables and scenes with a CTC, recurrent or one-shot head."""

    cacheless = "a reader of text in images that decodes without a cache"
    model_types = tuple(_TEXT_READERS.split())


class ImageTextModels(WithoutCache):
    """Contrastive pairs and joint encoders of images, video and text."""

    cacheless = "a model that compares or joins images and text"
    model_types = tuple(_IMAGE_TEXT_MODELS.split())


class TextTowers(WithoutCache):
    """Text halves of contrastive pairs."""

    cacheless = "the text encoder of a model of images or sound"
    model_types = tuple(_TEXT_TOWERS.split())


class TextEncoders(WithoutCache):
    """Text encoders whose parameters no rule counts."""

    cacheless = "a text encoder: tokens attend both ways"
    model_types = tuple(_TEXT_ENCODERS.split())


class DocumentEncoders(WithoutCache):
    """Encoders of text with its place on the page."""

    cacheless = "a document encoder: tokens attend both ways"
    model_types = tuple(_DOCUMENT_ENCODERS.split())


class ProteinModels(WithoutCache):
    """Encoders of amino acids and folding models."""

    cacheless = "a protein model"
    model_types = tuple(_PROTEIN_MODELS.split())


class AudioEncoders(WithoutCache):
    """Encoders of sound and speech, some with a classifier or a CTC head."""

    cacheless = "an audio encoder"
    model_types = tuple(_AUDIO_ENCODERS.split())


class AudioCodecs(WithoutCache):
    """Codecs: sound to codes and back."""

    cacheless = "an audio codec"
    model_types = tuple(_AUDIO_CODECS.split())


class SpeechMakers(WithoutCache):
    """Vocoders, diffusion parts and parallel synthesisers."""

    cacheless = "a vocoder, or a speech synthesiser that writes all frames at once"
    model_types = tuple(_SPEECH_MAKERS.split())


class TimeSeries(WithoutCache):
    """Forecasters that write the whole horizon at once."""

    cacheless = "a time-series model"
    model_types = tuple(_TIME_SERIES.split())
