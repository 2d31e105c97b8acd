"""GPT-J and CodeGen: attention and MLP side by side after one norm, rotary positions, a head of its own with a bias."""

from kvplan.models.classic import BiasedHead, Classic


class Gptj(BiasedHead, Classic):
    """GPT-J, CodeGen."""

    model_types = ("gptj", "codegen")
    architectures = ("GPTJForCausalLM", "CodeGenForCausalLM")
    source = "transformers 5.18 modeling_gptj.py, modeling_codegen.py"
    qkv_bias = False
    output_bias = False
    norms_per_layer = 1
