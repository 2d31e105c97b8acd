"""Branches that a shell's text does not choose between: each engine has its own branch's variables."""

import pytest

from tests.launch.test_script import served

BRANCHES = {
    "each branch of an if has its own values": (
        'if [ "$GPUS" -gt 1 ]; then T=2; vllm serve a --tp $T; else T=1; vllm serve a --tp $T; fi',
        [["a", "--tp", "2"], ["a", "--tp", "1"]],
    ),
    "each branch of a case has its own values": (
        'case "$1" in\n prod) M=big; vllm serve $M ;;\n dev) M=small; vllm serve $M ;;\nesac',
        [["big"], ["small"]],
    ),
    "behind branches that set other values a variable is open": (
        'if [ "$X" = 1 ]; then M=a; else M=b; fi\nvllm serve $M',
        [["$M"]],
    ),
    "behind branches that set the same value it is that": (
        'if [ "$X" = 1 ]; then M=a; else M=a; fi\nvllm serve $M',
        [["a"]],
    ),
    "what one branch only adds is left out": (
        'A=(--a)\nif [ -n "$X" ]; then A+=(--b); vllm serve m "${A[@]}"; fi\nvllm serve m "${A[@]}"',
        [["m", "--a", "--b"], ["m", "--a"]],
    ),
    "what every branch adds differently is open, and what stood before stays": (
        'A=(--a)\nif [ -n "$X" ]; then A+=(--b); else A+=(--c); fi\nvllm serve m "${A[@]}"',
        [["m", "--a", "${A[@]}"]],
    ),
    "what every branch adds alike is there": (
        'A=--a\nif [ -n "$X" ]; then A="$A --b"; else A+=" --b"; fi\nvllm serve m $A',
        [["m", "--a", "--b"]],
    ),
    "a branch that ends the script leaves nothing behind": (
        'T=1\nif [ "$X" = 1 ]; then T=9; exit 1; fi\nvllm serve m --tp $T',
        [["m", "--tp", "1"]],
    ),
    "a function that ends it does so too": (
        'die() { echo "$1"; exit 1; }\nT=1\nif [ "$X" = 1 ]; then T=9; die no; fi\nvllm serve m --tp $T',
        [["m", "--tp", "1"]],
    ),
    "a branch that starts its own engine leaves nothing behind": (
        'T=1\nif [ "$X" = 1 ]; then T=9; exec vllm serve m --tp $T; fi\nexec vllm serve m --tp $T',
        [["m", "--tp", "9"], ["m", "--tp", "1"]],
    ),
    "a function may end early with its variables set": (
        'f() { if [ "$X" = 1 ]; then T=2; return; fi; T=4; }\nf\nvllm serve m --tp $T',
        [["m", "--tp", "$T"]],
    ),
    "a default chooses a case's branch, the others are seen": (
        'MODE=${1:-awq}\ncase "$MODE" in\n fp16) M=a;;\n awq) M=b; E="--quantization awq";;\n *) exit 1;;\nesac\nvllm serve $M $E',
        [["b", "--quantization", "awq"]],
    ),
    "a default of a variable chooses as well": (
        "case ${GPU:-h100} in\n h100) L=32;;\n a100) L=16; vllm serve small;;\nesac\nvllm serve m --l $L",
        [["small"], ["m", "--l", "32"]],
    ),
    "a default that meets no condition leaves what was": (
        'D=${DEBUG:-0}\nL=8\nif [ "$D" = 1 ]; then L=4; fi\nvllm serve m --l $L',
        [["m", "--l", "8"]],
    ),
    "arguments that a caller may give are not given": (
        'M=a\nwhile [ $# -gt 0 ]; do\n case $1 in\n --big) M=b; shift;;\n --model) M="$2"; shift 2;;\n esac\ndone\nvllm serve $M',
        [["a"]],
    ),
    "both sides of a switch that a caller may give are seen": (
        (
            'MULTI=false\nfor a in "$@"; do case $a in --multi) MULTI=true;; esac; done\n'
            'if [ "$MULTI" = true ]; then vllm serve many; else vllm serve one; fi'
        ),
        [["many"], ["one"]],
    ),
    "positional words grow on some ways": (
        'set -- serve m --a\nif [ -n "$K" ]; then set -- "$@" --key; fi\nexec vllm "$@"',
        [["m", "--a"]],
    ),
    "a value from outside gives way to one in the text": (
        'if [ -n "$1" ]; then M=$1; else M=a; fi\nvllm serve $M',
        [["a"]],
    ),
    "a variable that another one names has its default": (
        'name="${ROLE}_TP"\nvllm serve m --tp ${!name:-2}',
        [["m", "--tp", "2"]],
    ),
    "what one branch puts before a value is left out": (
        'A="--a"\nif [ "$X" = y ]; then A="--gpus=all $A"; fi\nvllm serve m $A',
        [["m", "--a"]],
    ),
    "a script that is called with nothing gives itself words": (
        'if [ $# -eq 0 ]; then set -- m --a; fi\nvllm serve "$@"',
        [["m", "--a"]],
    ),
    "what getopt makes of the arguments is nothing that is known": (
        (
            'O=$(getopt -o m: -- "$@")\neval set -- "$O"\nM=a\n'
            'while true; do case "$1" in -m) M=$2; shift 2;; --) break;; esac; done\nvllm serve $M'
        ),
        [["a"]],
    ),
    "a variable that another one names is that one": ("T=4; name=T\nvllm serve m --tp ${!name}", [["m", "--tp", "4"]]),
}


@pytest.mark.parametrize("text, words", BRANCHES.values(), ids=BRANCHES)
def test_branches(text, words):
    """What a branch sets holds in it, and behind it only what all ways agree on."""
    assert served(text) == words


COMMANDS = {
    "a container's id is kept": ("ID=$(docker run -d vllm/vllm-openai --model m)", [["--model", "m"]]),
    "in quotes, with an array, as a condition": (
        'C=(docker run -d vllm/vllm-openai --model m)\nif ! ID="$("${C[@]}" 2>err)"; then exit 1; fi',
        [["--model", "m"]],
    ),
    "a process's number is kept": ("PID=$(vllm serve m > log & echo $!)", [["m"]]),
    "what only asks starts none": ("V=$(vllm --version); H=$(vllm serve --help | head)", []),
    "it is a shell of its own": ("M=a; X=$(M=b; echo vllm; exit 1)\nvllm serve $M", [["a"]]),
    "a calculation is none": ("N=$((2 * 3)) A=$(( 1 + 1 ))\nvllm serve m$N", [["m6"]]),
}


@pytest.mark.parametrize("text, words", COMMANDS.values(), ids=COMMANDS)
def test_commands_whose_output_is_kept(text, words):
    """`NAME=$(...)` runs what stands in it."""
    assert served(text) == words
