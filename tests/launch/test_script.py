"""What a shell's text starts, as far as its words tell: each case was compared with bash."""

import pytest

from kvplan.errors import SettingError
from kvplan.launch.peel import find_launches
from kvplan.launch.script import Script
from kvplan.launch.text import Source
from kvplan.launch.variables import Variables
from kvplan.launch.words import Given, split


def no_files(name):
    """Return no file."""
    raise SettingError(f"there is no {name}")


def launches(text, environment=None, read_file=no_files):
    """Return the engines that a text starts."""
    return find_launches(split(Source("start.sh", text).whole()), read_file, environment)[0]


def served(text, environment=None):
    """Return the words of each engine that a text starts."""
    return [[word.text for word in launch.words] for launch in launches(text, environment)]


@pytest.mark.parametrize(
    "text, words",
    [
        # -- assignments
        ("M=a; vllm serve $M ${M}b", ["a", "ab"]),
        ('M="a b"; vllm serve $M "$M"', ["a", "b", "a b"]),
        ("M=a; M+=b; vllm serve ${M}c", ["abc"]),
        ("M='$A'; A=1; vllm serve $M", ["$A"]),
        ('M=m; A="--model $M"; M=n; vllm serve $A', ["--model", "m"]),
        ("A=''\nA=\"$A --a 1\"\nA=\"$A --b 2\"\nvllm serve m $A", ["m", "--a", "1", "--b", "2"]),
        ("export A=1 B C=2; readonly D=3; vllm serve $A$C$D", ["123"]),
        ('X="a b"\nY=$X vllm serve c', ["c"]),
        ("A=x; B=$A$A; A=y; vllm serve $B", ["xx"]),
        ("vllm serve '$A' \"\\$A\" a\\ b $'it\\'s'", ["$A", "$A", "a b", "it's"]),
        ("vllm serve m \"\" '' \"\"x", ["m", "", "", "x"]),
        ('A=" x "; vllm serve a$A"b" $A', ["a", "x", "b", "x"]),
        # -- arrays
        ('A=(--a 1 "b c"); A+=(--d); vllm serve M "${A[@]}"', ["M", "--a", "1", "b c", "--d"]),
        ('A=(p q "r s"); vllm serve "${A[*]}" "${A[1]}" "${#A[@]}" $A ${A[@]}', ["p q r s", "q", "3", "p", "p", "q", "r", "s"]),
        ('A=(); vllm serve M "${A[@]}" x', ["M", "x"]),
        ('A=(); vllm serve M ${A[@]+"${A[@]}"} x', ["M", "x"]),
        ('A=(p "q r"); vllm serve M ${A[@]+"${A[@]}"} x', ["M", "p", "q r", "x"]),
        ('A=(p q); vllm serve M ${A[@]:+"${A[@]}"}', ["M", "p", "q"]),
        ('A=(""); vllm serve m --x "${A[@]}" y', ["m", "--x", "", "y"]),
        ('A=(a b c); vllm serve "p${A[@]}q" "${A[@]:1}"', ["pa", "b", "cq", "b", "c"]),
        ('declare -a A=(x y); vllm serve "${A[@]}"', ["x", "y"]),
        ('cmd=(vllm serve m --a)\ncmd+=(--b 1)\nexec "${cmd[@]}" x', ["m", "--a", "--b", "1", "x"]),
        # -- defaults and changes
        ("vllm serve ${X:-${Y:-z}}", ["z"]),
        ("X=; vllm serve ${X:-a} ${X-b}c", ["a", "c"]),
        ('X=1; vllm serve ${X:+--flag $X} ${Y:+--no} "${X:+--flag $X}"', ["--flag", "1", "--flag 1"]),
        ('M=${1:-"a b"}; N="${2:-c}"; vllm serve "$M" $N', ["a b", "c"]),
        (': "${M:=abc}"\nvllm serve "$M"', ["abc"]),
        ("M=a/b/c; vllm serve ${M##*/} ${M#*/} ${M%/*} ${M%%/*}", ["c", "b/c", "a/b", "a"]),
        ('M=a/b.gguf; vllm serve ${M%.gguf} ${M%".gguf"} ${M//\\//-} ${M/a/x}', ["a/b", "a/b", "a-b.gguf", "x/b.gguf"]),
        ("M=AbC; vllm serve ${M,,} ${M^^} ${M:1} ${M:0:1} ${#M} ${M: -1}", ["abc", "ABC", "bC", "A", "3", "C"]),
        # -- arithmetic
        ("N=4; vllm serve $((N*2)) $(( N + 1 )) $((-7/2)) $((-7%3)) $((2**3)) $((N>3))", ["8", "5", "-3", "-1", "8", "1"]),
        ("T=2; vllm serve m --x=$((T+1)).5", ["m", "--x=3.5"]),
        # -- functions
        ('f() { vllm serve "$@"; }\nf a "b c" d', ["a", "b c", "d"]),
        ('function f { local m=$1; shift; vllm serve "$m" "$@"; }\nf a "b c" d', ["a", "b c", "d"]),
        ('start()\n{\n  vllm serve "$1" --tp ${2:-1} $#\n}\nstart a', ["a", "--tp", "1", "1"]),
        ("f() { local A=2; B=3; }; A=1; f; vllm serve $A$B", ["13"]),
        ('f() { vllm serve "$1" $2 ${3:-c}; }; f a', ["a", "c"]),
        ("f() { return 0; vllm serve a; }\nf; vllm serve b", ["b"]),
        ('set -- a b; shift; vllm serve "$@"', ["b"]),
        ('main() { vllm serve a "$@"; }\nmain "$@"', ["a"]),
        # -- eval, shells
        ("B='$A'; A=x; eval \"vllm serve $B 'a b'\"", ["x", "a b"]),
        ('C="vllm serve M --x 1"; $C', ["M", "--x", "1"]),
        ("sh -c 'exec vllm serve \"$0\" \"$@\"' x 'a b' c", ["x", "a b", "c"]),
        ("X=1 bash -euo pipefail -c 'vllm serve $X'", ["1"]),
        ("bash -lc \"vllm serve a --x '{\\\"a\\\": 1}'\"", ["a", "--x", '{"a": 1}']),
        # -- redirections, comments, groups
        ("exec > >(tee log) 2>&1\nvllm serve a --b # it's c", ["a", "--b"]),
        ("( cd /tmp && vllm serve a ) 2>&1 | tee log", ["a"]),
        ("{ vllm serve a; } &> log &", ["a"]),
    ],
)  # fmt: skip
def test_words_are_those_that_bash_gives_the_engine(text, words):
    """Variables, arrays, defaults, sums, functions and nested shells come to the words that bash hands over."""
    assert served(text) == [words]


@pytest.mark.parametrize(
    "text, words",
    [
        # -- settled
        ('A=1\nif [ "$A" = 1 ]; then vllm serve a; else vllm serve b; fi', [["a"]]),
        ("A=2\nif [ $A = 1 ]; then vllm serve a; elif [[ $A == 2 ]]; then vllm serve b; else vllm serve c; fi", [["b"]]),
        ("if [ 1 = 2 ]; then :; elif true; then vllm serve b; elif true; then vllm serve c; else vllm serve d; fi", [["b"]]),
        ("if [ 1 = 1 ]; then\n if [ 1 = 2 ]; then vllm serve a\n else vllm serve b\n fi\nelse vllm serve c\nfi", [["b"]]),
        ("if [ 1 -eq 1 ] && [ 2 -gt 3 ]; then vllm serve a; else vllm serve b; fi", [["b"]]),
        ('M=x-AWQ; if [[ $M == *"GPTQ"* || $M == *AWQ* ]]; then Q="-q awq"; fi; vllm serve $M $Q', [["x-AWQ", "-q", "awq"]]),
        ("if (( 2 > 1 )); then vllm serve a; else vllm serve b; fi", [["a"]]),
        ("if ! [ 1 = 2 ]; then vllm serve a; fi; ! true || vllm serve b", [["a"], ["b"]]),
        ("A=b\ncase $A in\n a) X=1 ;;\n b|c) if true; then X=2; fi ;;\n *) X=3 ;;\nesac\nvllm serve $X", [["2"]]),
        ("case abc in a*c) vllm serve a;; esac; case x in [a-c]) vllm serve b;; (?) vllm serve q;; esac", [["a"], ["q"]]),
        ("A=x\n[ $A = x ] && B=1 || B=2\n[ $A = y ] && C=1 || C=2\nvllm serve $B$C", [["12"]]),
        ('A=\n[ -n "$A" ] && { echo; exit 1; }\nvllm serve a', [["a"]]),
        ('A=\n[ -n "$A" ] && { B=1; C=2; } || { B=3; }\nvllm serve $B', [["3"]]),
        ('A=()\n[ 1 = 1 ] && A+=(--a)\n[ 1 = 2 ] && A+=(--b)\nvllm serve m "${A[@]}"', [["m", "--a"]]),
        ("die() { echo no; exit 1; }\n[ 1 = 1 ] || die\nvllm serve a", [["a"]]),
        ("cd /srv || exit 1\nvllm serve a", [["a"]]),
        ("false && vllm serve a || vllm serve b; true && vllm serve c", [["b"], ["c"]]),
        ('f() { if [ "$1" = x ]; then vllm serve x; else vllm serve other; fi; }\nf x\nf y', [["x"], ["other"]]),
        ("exec vllm serve a; vllm serve b", [["a"]]),
        ("( exec vllm serve a ); vllm serve b", [["a"], ["b"]]),
        ("exit 0\nvllm serve a", []),
        ("for m in one; do vllm serve $m; done", [["one"]]),
        ("trap 'kill 0' EXIT; vllm serve a & vllm serve b; wait", [["a"], ["b"]]),
    ],
)  # fmt: skip
def test_settled_branches_are_taken_or_left(text, words):
    """Conditions that the text itself settles decide which commands are reached; nothing behind exec or exit is."""
    found = launches(text)
    assert [[word.text for word in launch.words] for launch in found] == words
    assert not any(launch.conditional for launch in found)


@pytest.mark.parametrize(
    "text, words",
    [
        ("if [ -f x ]; then vllm serve a; else vllm serve b; fi", [["a"], ["b"]]),
        ('case "$1" in\n a) vllm serve a ;;\n *) vllm serve b ;;\nesac', [["a"], ["b"]]),
        ("for m in a b; do vllm serve $m; done", [["$m"]]),
        ("for ((i=0; i<2; i++)); do vllm serve $i; done", [["$i"]]),
        ("while read -r M; do vllm serve $M; done", [["$M"]]),
        ("command -v uv && vllm serve a", [["a"]]),
        ("vllm serve a || vllm serve b", [["a"], ["b"]]),
        ("[ -f x ] && { vllm serve a; }", [["a"]]),
        ("f() { vllm serve a; }\n[ -f x ] && f", [["a"]]),
    ],
)
def test_unsettled_branches_are_all_seen(text, words):
    """Where a condition is not in the text every branch is seen, and what stands in it is conditional."""
    found = launches(text)
    assert [[word.text for word in launch.words] for launch in found] == words
    assert found[-1].conditional


@pytest.mark.parametrize(
    "text, words",
    [
        # Set differently on different ways: open.
        ("if [ -f x ]; then T=1; else T=2; fi; vllm serve m --tp $T", ["m", "--tp", "$T"]),
        ("T=1; [ -f x ] && T=2; vllm serve m --tp $T", ["m", "--tp", "$T"]),
        ("T=; if [ -f x ]; then T=2; fi; vllm serve m --tp ${T}", ["m", "--tp", "${T}"]),
        ('if [ -f x ]; then A=(--a); else A=(--b); fi; vllm serve m "${A[@]}"', ["m", "${A[@]}"]),
        ('A=1; if [ -f x ]; then A=2; fi; vllm serve "${A:-3}"', ["${A:-3}"]),
        # The same on all ways: settled.
        ("if [ -f x ]; then T=2; else T=2; fi; vllm serve m --tp $T", ["m", "--tp", "2"]),
        # What only some ways add is left out.
        ('A=(--a); [ -f x ] && A+=(--b); vllm serve m "${A[@]}"', ["m", "--a"]),
        ('A=--a; if [ -f x ]; then A="$A --b"; fi; vllm serve m $A', ["m", "--a"]),
        # What commands print, ask or read is open.
        ("M=$(cat model); vllm serve $M $(nproc) `date`", ["$M", "$(nproc)", "`date`"]),
        ("M=a; read -r M; N=b; printf -v N %s c; vllm serve $M $N", ["$M", "$N"]),
        ("N=1; ((N++)); let K=2; vllm serve $N $K", ["$N", "$K"]),
        ("declare -A S=([a]=1 [b]=2); vllm serve m --tp ${S[a]}", ["m", "--tp", "${S[a]}"]),
        ('vllm serve "$1" ${2}', ["$1", "${2}"]),
    ],
)
def test_what_the_text_does_not_tell_stays_open(text, words):
    """A value that depends on the way through the text, a command's output or a caller stays as it is written."""
    assert served(text) == [words]


def test_variables_around_a_text_are_its_own():
    """A container's variables settle a text's, and are seen by the engine with what the text adds."""
    text = "export A=1\nB=2 vllm serve $MODEL --tp ${TP:-1} -pp ${PP:=3}"
    (launch,) = launches(text, {"MODEL": Given("m"), "TP": Given("4")})
    assert [word.text for word in launch.words] == ["m", "--tp", "4", "-pp", "3"]
    assert {name: given.value for name, given in launch.environment.items()} == {
        "MODEL": "m", "TP": "4", "A": "1", "B": "2", "PP": "3",
    }  # fmt: skip


@pytest.mark.parametrize(
    "text, words",
    [
        ("bash <<END\nvllm serve a\nEND", [["a"]]),
        ("M=m\nbash <<END\nvllm serve $M \\$N\nEND", [["m", "$N"]]),
        ("bash <<'END'\nM=x\nvllm serve $M\nEND", [["x"]]),
        ("bash -s p q <<-'END'\n\tvllm serve $1 \"$2\"\n\tEND", [["p", "q"]]),
        ("cat <<END | bash\nvllm serve a\nEND", [["a"]]),
        ("bash <<< 'vllm serve a'", [["a"]]),
        ("ssh host <<'END'\nvllm serve a\nEND\nvllm serve b", [["a"], ["b"]]),
        ("sbatch <<END\n#!/bin/bash\nsrun vllm serve a\nEND", [["a"]]),
        ("docker exec -i c bash <<'END'\nvllm serve a\nEND", [["a"]]),
        ("cat <<END\nvllm serve nothing\nEND\nvllm serve a", [["a"]]),
        ("kubectl apply -f - <<END\napiVersion: v1\ncommand: vllm serve no\nEND\nvllm serve a", [["a"]]),
        ("S=''\nread -r -d '' S <<'END'\nvllm serve a\nEND\nbash -c \"$S\"", [["a"]]),
    ],
)
def test_lines_that_a_shell_reads_are_its_text(text, words):
    """A here-document that a shell reads is followed; what is printed or applied is not."""
    assert served(text) == words


def test_files_that_a_text_writes_are_known():
    """Here-documents written to files are kept under their paths, with variables put in unless the end is quoted."""
    text = "D=/etc/x\nN=4\ncat > $D/a.yaml <<END\ntp: $N\nEND\ntee b.yaml <<'END' >/dev/null\ntp: $N\nEND\nvllm serve m"
    (launch,) = launches(text)
    assert launch.files["/etc/x/a.yaml"].value == "tp: 4\n"
    assert launch.files["b.yaml"].value == "tp: $N\n"


def test_a_text_that_is_sourced_is_followed():
    """A file that the text writes and sources sets its variables."""
    assert served("cat > env.sh <<'END'\nM=a\nEND\n. ./env.sh\nvllm serve $M") == [["a"]]


def test_a_script_of_the_same_file_is_followed():
    """A script that a deployment file mounts is read with the words behind it as its arguments; another file's is not."""
    source = Source("pod.yaml", "bash /s/start.sh m\nexec vllm serve $1 --tp 2\n")
    body, other = source.piece(19, len(source.text)), Source("start.sh", "vllm serve other").whole()
    words = split(source.piece(0, 18))
    found, _ = find_launches(words, lambda _: body)
    assert [word.text for word in found[0].words] == ["m", "--tp", "2"]
    assert find_launches(words, lambda _: other)[0] == []


def test_variables_that_hold_each_other_are_refused():
    """Values that grow without end are refused with an error of kvplan's; a text that runs itself is left after a while."""
    with pytest.raises(SettingError, match="longer than"):
        launches("A=xx\n" + "A=$A$A\n" * 40 + "vllm serve $A")
    assert served('A=\'eval "$A"\'\neval "$A"\nvllm serve m') == [["m"]]


@pytest.mark.parametrize(
    "text",
    [
        "$(" * 10_000,
        "${" * 20_000,
        "`" * 40_000,
        "(" * 40_000,
        "f(){ " * 8_000,
        "<<A " * 10_000,
        "f(){ return; " + "x;" * 10_000 + "}\n" + "f\n" * 10_000,
        "A='" + "x;" * 4_000 + "'\n" + 'eval "$A"\n' * 5,
    ],
)
def test_odd_texts_take_no_long_time(text):
    """Texts made to be slow are read like others."""
    assert launches(text) == []


def test_steps_tell_what_they_read_and_write():
    """A step has the lines that it reads and the file that it writes; lines that a shell runs are its script instead."""
    text = "cat > f.yaml <<END\na: 1\nEND\nbash <<END\nls\nEND\nif [ -f x ]; then ls; fi"
    steps = list(Script(Variables()).steps(split(text)))
    assert [(step.words[0].text, step.output, step.conditional) for step in steps] == [
        ("cat", "f.yaml", False), ("bash", "", False), ("ls", "", True),
    ]  # fmt: skip
    assert steps[0].input is not None
    assert steps[0].input.text == "a: 1\n"
    assert steps[1].input is None
    assert steps[1].script is not None
    assert steps[1].script.text == "ls\n"
