"""GPT-2 and its kin, Falcon, MPT and T5: model types with key names of their own."""

from typing import Any

from kvplan.models.gguf.keys import Keys, given, rule


@rule("gpt2")
def gpt2(keys: Keys) -> dict[str, Any]:
    """GPT-2."""
    return keys.base("gpt2", n_inner=keys.optional("feed_forward_length"))


@rule("starcoder")
def starcoder(keys: Keys) -> dict[str, Any]:
    """StarCoder and SantaCoder, all of which have one KV head."""
    multi_query = keys.count("attention.head_count_kv", 1) == 1
    values = keys.base("gpt_bigcode", n_inner=keys.optional("feed_forward_length"), multi_query=multi_query)
    return {key: value for key, value in values.items() if key != "num_key_value_heads"}


@rule("gptneox")
def gpt_neox(keys: Keys) -> dict[str, Any]:
    """GPT-NeoX, Pythia, RedPajama INCITE."""
    return keys.base("gpt_neox")


@rule("bloom")
def bloom(keys: Keys) -> dict[str, Any]:
    """BLOOM, whose files state the longest sequence of its training."""
    return keys.base("bloom")


@rule("mpt")
def mpt(keys: Keys) -> dict[str, Any]:
    """MPT: ALiBi is a learned table where the files have one instead."""
    width = keys.quotient("feed_forward_length", keys.hidden, "embedding_length")
    heads = keys.count("attention.head_count_kv", keys.heads)
    grouped = {"attn_type": "grouped_query_attention", "kv_n_heads": heads} if heads != keys.heads else {}
    return keys.outer() | given(
        model_type="mpt",
        d_model=keys.hidden,
        n_layers=keys.layers,
        n_heads=keys.heads,
        expansion_ratio=width,
        attn_config=grouped or None,
        no_bias=None if keys.present("attn_qkv.bias") is None else not keys.present("attn_qkv.bias"),
    )


@rule("falcon")
def falcon(keys: Keys) -> dict[str, Any]:
    """Falcon 1 and 2: groups of KV heads are the new form; llama.cpp runs attention and MLP side by side in both."""
    heads = keys.count("attention.head_count_kv", keys.heads)
    two_norms = keys.present("attn_norm_2.weight")
    norms = {} if two_norms is None else {"num_ln_in_parallel_attn": 2 if two_norms else 1}
    return (
        keys.outer()
        | given(
            model_type="falcon",
            hidden_size=keys.hidden,
            num_hidden_layers=keys.layers,
            num_attention_heads=keys.heads,
            num_kv_heads=heads,
            multi_query=heads == 1,
            new_decoder_architecture=heads > 1,
            parallel_attn=True,
            alibi=False,
            bias=keys.present("attn_qkv.bias") or False,
            ffn_hidden_size=keys.optional("feed_forward_length"),
        )
        | norms
    )


@rule("codeshell")
def codeshell(keys: Keys) -> dict[str, Any]:
    """CodeShell 7B."""
    return keys.outer() | given(
        model_type="codeshell",
        n_embd=keys.hidden,
        n_layer=keys.layers,
        n_head=keys.heads,
        num_query_groups=keys.count("attention.head_count_kv", keys.heads),
        n_inner=keys.optional("feed_forward_length"),
    )


@rule("refact")
def refact(keys: Keys) -> dict[str, Any]:
    """Refact 1.6B: the family knows the MLP's width by rule."""
    if keys.count("attention.head_count_kv", 1) != 1:
        raise keys.refuse("attention.head_count_kv", "is not 1.")
    return keys.outer() | {
        "model_type": "gpt_refact",
        "n_embd": keys.hidden,
        "n_layer": keys.layers,
        "n_head": keys.heads,
    }


@rule("jais")
def jais(keys: Keys) -> dict[str, Any]:
    """Jais 13B and 30B: ALiBi and a gated MLP, the only form llama.cpp converts (conversion/jais.py)."""
    return keys.outer() | given(
        model_type="jais",
        n_embd=keys.hidden,
        n_layer=keys.layers,
        n_head=keys.heads,
        n_inner=keys.optional("feed_forward_length"),
        activation_function="swiglu",
        position_embedding_type="alibi",
    )


@rule("openelm")
def openelm(keys: Keys) -> dict[str, Any]:
    """OpenELM: heads and widths of each layer's own."""
    hidden = keys.hidden
    widths = keys.listed("feed_forward_length")
    values = keys.outer()
    return given(
        model_type="openelm",
        vocab_size=values.get("vocab_size"),
        max_context_length=values.get("max_position_embeddings"),
        share_input_output_layers=values.get("tie_word_embeddings"),
        torch_dtype=values.get("torch_dtype"),
        model_dim=hidden,
        num_transformer_layers=keys.layers,
        head_dim=keys.count("attention.key_length"),
        num_query_heads=keys.listed("attention.head_count"),
        num_kv_heads=keys.listed("attention.head_count_kv"),
        # The widths are whole already: a divisor of 1 leaves them as they are.
        ffn_multipliers=[width / hidden for width in widths],
        ffn_dim_divisor=1,
        normalize_qk_projections=keys.present("attn_q_norm.weight"),
    )


@rule("t5")
def t5(keys: Keys) -> dict[str, Any]:
    """T5, Flan-T5 and UMT5, which has relative positions in every layer (conversion/t5.py)."""
    every_layer = keys.tensors.get("dec.blk.1.attn_rel_b.weight") is not None
    gated = "enc.blk.0.ffn_gate.weight" in keys.tensors if keys.tensors else None
    return given(
        model_type="umt5" if every_layer else "t5",
        architectures=["UMT5ForConditionalGeneration" if every_layer else "T5ForConditionalGeneration"],
        vocab_size=keys.vocabulary,
        tie_word_embeddings=keys.tied,
        torch_dtype=keys.dtype,
        d_model=keys.hidden,
        num_layers=keys.layers,
        num_decoder_layers=keys.count("decoder_block_count", keys.layers),
        num_heads=keys.heads,
        d_kv=keys.head_dim,
        d_ff=keys.count("feed_forward_length"),
        relative_attention_num_buckets=keys.optional("attention.relative_buckets_count"),
        n_positions=keys.optional("context_length"),
        feed_forward_proj=None if gated is None else "gated-gelu" if gated else "relu",
    )
