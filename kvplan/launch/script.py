"""A shell's text, followed as far as its words tell: assignments, arrays, functions, branches, loops, here-documents.

Nothing is run. Branches whose condition the text itself settles are taken or left; of all others every command is seen, each
with the variables of its own branch, and a variable that they set differently is open behind them.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from kvplan.launch.assignments import ASSIGNMENT, UNSETTLED, adds_to_itself, assign, right_side
from kvplan.launch.blocks import Block, CommandList
from kvplan.launch.conditions import LIKELY, Outcome, either, met, negated, outcome_of, truth
from kvplan.launch.forks import Fork, State, merged
from kvplan.launch.simple import ALWAYS_YIELDED, CLOSES, OPENS, PASSED, Simple, braces, is_script, simple_commands
from kvplan.launch.text import Text, join
from kvplan.launch.variables import Variables
from kvplan.launch.words import Given, Word, split, substitution_end

_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_ARGUMENT = re.compile(r"\$\{?[1-9@*#]")
_NAMED = re.compile(r"\$\{?([A-Za-z_]\w*)", re.ASCII)
_MAY_START = re.compile(
    r"vllm|sglang|llama|lmdeploy|trtllm|text-generation|docker|podman|nerdctl|apptainer|singularity|\[@\]"
)
# Values that hold where nothing else is set around the text.
_BY_DEFAULT = re.compile(r"\$\{(!?[A-Za-z_]\w*):?[-=]", re.ASCII)
# `NAME=`, `NAME+=`, `NAME++` between `((` and `))`, and the loop's `((NAME=0; ...`.
_ARITHMETIC_SETS = re.compile(r"([A-Za-z_]\w*)\s*(?:[-+*/%]?=(?!=)|\+\+|--)", re.ASCII)
_DECLARES = ("export", "declare", "local", "readonly", "typeset")
# Commands that set variables to what is not in the text.
_SETS = ("read", "mapfile", "readarray", "getopts", "printf", "let")
_NEXT_PATTERN = (";;", ";&", ";;&")
_DEEPEST_CALL, _DEEPEST_BLOCK = 6, 200
_MOST_STEPS = 20_000


@dataclass(slots=True)
class Step:
    """A simple command: its words with variables put in, what is set when it runs, and what it reads.

    Attributes:
        words: of the command, without redirections.
        variables: at this point.
        input: the lines of a here-document.
        output: the file that it is written to.
        script: such lines that a shell reads as its text; they are not `input` then.
        conditional: whether it stands in a branch or loop that the text does not settle.

    """

    words: list[Word]
    variables: Variables
    input: Word | None = None
    output: str = ""
    script: Word | None = None
    conditional: bool = False


class Script:
    """One pass over a text.

    Args:
        variables: what is set around it.
        files: by their paths, to which those are added that the text writes.

    """

    def __init__(self, variables: Variables, files: dict[str, Text] | None = None) -> None:
        self.variables = variables
        self.functions: dict[str, list[Simple]] = {}
        # The bodies' braces, by the bodies' identity.
        self.closes: dict[int, tuple[list[Simple], dict[int, int]]] = {}
        self.called: set[str] = set()
        # Variables whose values stand for arguments that a caller may give.
        self.assumed: set[str] = set()
        self.blocks: list[Block] = []
        self.list = CommandList()
        self.outcome: Outcome = LIKELY
        # What the last condition comes to by default values; None where they do not tell.
        self.by_default: bool | None = None
        # What is set where a function may end early.
        self.returns: list[State] = []
        # What the variables of the function's own that is being called hide.
        self.outer: dict[str, tuple[Given | None, list[Word] | None, bool]] = {}
        self.files = files if files is not None else {}
        self.ended = False
        self.returned = False
        self.steps_left = _MOST_STEPS

    def steps(self, words: Sequence[Word]) -> Iterator[Step]:
        """Yield the simple commands in the order they stand; bodies of functions where they are called, else at the end.

        Raises:
            SettingError: variables that hold each other without end, a quote that is never closed.

        """
        yield from self._follow(list(simple_commands(words)), 0)
        for name, body in list(self.functions.items()):
            if name not in self.called:
                self.variables.arguments = None
                self.ended = self.returned = False
                self.blocks, self.list = [], CommandList()
                yield from self._follow(body, 1)

    def _follow(self, found: list[Simple], depth: int) -> Iterator[Step]:
        _, closes = self.closes.get(id(found)) or (found, braces(found))
        at = 0
        while at < len(found):
            if (end := self._function(found, at, closes)) is not None:
                at = end
                continue
            simple = found[at]
            at += 1
            self.steps_left -= 1
            if self.steps_left < 0 or self.ended or self.returned:
                return
            yield from self._command(simple, depth)

    def _command(self, simple: Simple, depth: int) -> Iterator[Step]:
        self.outcome, self.by_default = LIKELY, None
        if len(self.blocks) > _DEEPEST_BLOCK:
            self.ended = True
            return
        words, negates = self._without_keywords(simple)
        if words is not None and self._reached:
            yield from self._simple(replace(simple, words=words), depth)
        if negates and self.by_default is not None:
            self.by_default = not self.by_default
        self.list.by_default = None if self.list.count else self.by_default
        self.list.go_on(negated(self.outcome) if negates else self.outcome, simple.ends)
        if self.blocks:
            top = self.blocks[-1]
            if simple.ends == ")" and top.keyword == "(":
                self._close()
            elif simple.ends in _NEXT_PATTERN and top.keyword == "case":
                top.awaits = True

    # -- structure ---------------------------------------------------------------------------------------------------

    def _function(self, found: list[Simple], at: int, closes: dict[int, int]) -> int | None:
        """Keep the body of a function that starts here; return where the text goes on, None where none starts."""
        texts = [word.text for word in found[at].words]
        first = at
        if texts[:1] == ["function"] and len(texts) > 1:
            name, skipped = texts[1], 2
            if found[at].ends == "(":
                first, skipped = at + 2, 0
            elif len(texts) == 2:
                first, skipped = at + 1, 0
        elif found[at].ends == "(" and len(texts) == 1:
            if at + 1 >= len(found) or found[at + 1].ends != ")" or found[at + 1].words:
                return None
            name, first, skipped = texts[0], at + 2, 0
        else:
            return None
        end = closes.get(first)
        if end is not None and not self._reached:
            return end + 1
        if end is None or [word.text for word in found[first].words[skipped : skipped + 1]] != ["{"]:
            return None
        body = [replace(found[first], words=found[first].words[skipped + 1 :]), *found[first + 1 : end]]
        body = [each for each in body if each.words or each.input is not None or each.ends in ALWAYS_YIELDED]
        self.functions[name] = body
        self.closes[id(body)] = body, braces(body)
        self.steps_left -= len(body)
        return end + 1

    def _without_keywords(self, simple: Simple) -> tuple[list[Word] | None, bool]:
        """Open and close blocks; return the command behind the keywords, None where nothing of it is one, and whether `!` is."""
        if self.blocks and self.blocks[-1].keyword == "case" and self.blocks[-1].awaits:
            words = self._without_patterns(simple.words, simple.ends)
        else:
            words = simple.words
            if simple.ends == "(" and not words:
                self._open("(")
        negates = False
        while words and not words[0].pieces:
            text = words[0].text
            if text in OPENS:
                reached = self._reached
                self.blocks.append(Block(text))
                self.list = CommandList()
                if text == "case":
                    self._case(words, simple.ends)
                    return None, False
                if text != "if" and reached:
                    self._fork()
                if text in ("for", "select"):
                    if reached:
                        self._loop(words)
                    return None, False
                if text in ("while", "until") and self.variables.arguments is None:
                    asks = any(_ARGUMENT.search(word.text) for word in words[1:])
                    self.blocks[-1].over_arguments = asks or words[1].text == "getopts" if len(words) > 1 else False
            elif text == "{":
                self._open("{")
            elif text == "}" or text in CLOSES:
                if self.blocks:
                    self._close()
            elif self.blocks and text in ("elif", "else", "then") and self.blocks[-1].keyword == "if":
                self._branch(text)
            elif text not in PASSED:
                break
            negates = negates != (text == "!")
            words = words[1:]
        return words or (None if simple.input is None else []), negates

    def _open(self, keyword: str) -> None:
        self.blocks.append(Block(keyword, taken=self.list.reached))
        self.list = CommandList()

    def _close(self) -> None:
        """Close the innermost block; a group that was passed by leaves how the command before it ended."""
        block = self.blocks[-1]
        self._end_branch(block)
        self.blocks.pop()
        if block.fork is not None:
            if block.over_arguments:
                self.assumed |= block.fork.changed
            if block.over_arguments or (block.keyword in ("if", "case") and block.was_chosen is False):
                block.fork.base.put_into(self.variables)
            else:
                block.fork.join(self.variables, complete=block.complete or bool(either(block.was_taken, block.taken)))
        if block.keyword in ("{", "("):
            self.outcome = self.list.status
        if block.keyword in ("{", "(") and block.taken is not True:
            self.list = CommandList(reached=None) if block.taken is None else CommandList(reached=False, status=False)
            self.outcome = None if block.taken is None else False

    def _branch(self, text: str) -> None:
        """Begin a part of an `if`; what stands before `then` is its condition."""
        block = self.blocks[-1]
        if text == "then":
            condition = None if self.list.status == LIKELY else self.list.status
            block.taken = False if block.was_taken else condition
            self._begin_branch(block, by_default=self.list.by_default)
        else:
            self._end_branch(block)
            block.was_taken = either(block.was_taken, block.taken)
            if text == "elif":
                block.taken = False if block.was_taken else None
            else:
                block.taken = None if block.was_taken is None else not block.was_taken
                block.complete = True
                self._begin_branch(block, by_default=True)
        self.list = CommandList()

    def _fork(self) -> None:
        """Keep the variables of the innermost block's branches apart from here on."""
        block = self.blocks[-1]
        if block.fork is None:
            block.fork = Fork(State.of(self.variables))
            self.steps_left -= block.fork.base.size // 8

    def _begin_branch(self, block: Block, *, by_default: bool | None) -> None:
        """Begin a branch, with the variables from before the block if another may have been taken."""
        block.chosen = by_default if block.was_chosen is False else False if block.was_chosen else None
        block.was_chosen = either(block.was_chosen, by_default)
        if block.taken is False or not self._reached:
            return
        if block.fork is None and block.taken is None:
            self._fork()
        if block.fork is not None:
            block.fork.begin(self.variables)
            self.steps_left -= block.fork.base.size // 8

    def _end_branch(self, block: Block) -> None:
        if block.fork is not None and block.taken is not False:
            block.fork.end(self.variables, preferred=block.chosen is True)
            self.steps_left -= block.fork.base.size // 8

    def _case(self, words: list[Word], ends: str) -> None:
        """Open `case WORD in`, with the pattern that may follow on the same line."""
        block = self.blocks[-1]
        block.taken, block.awaits = False, True
        if len(words) > 1:
            if self.variables.arguments is None and _ARGUMENT.search(words[1].text):
                for each in reversed(self.blocks):
                    if each.keyword in ("while", "until", "for"):
                        each.over_arguments = True
                        break
            value = self._tested(words[1], whole=True)[0]
            block.word = None if UNSETTLED.search(value) else value
            value = self._by_default(words[1], whole=True)[0]
            block.default = None if UNSETTLED.search(value) else value
        names = [word.text for word in words]
        if "in" in names[2:]:
            self._without_patterns(words[names.index("in", 2) + 1 :], ends)

    def _without_patterns(self, words: list[Word], ends: str) -> list[Word]:
        """Return the words of a command where a `case` awaits a pattern; a branch whose pattern is not met is left."""
        block = self.blocks[-1]
        if words and words[0].text == "esac" and not words[0].pieces:
            return words
        block.patterns += [word.text for word in words]
        if ends == ")" and block.patterns:
            found = met(block.word, block.patterns)
            self._end_branch(block)
            block.was_taken = either(block.was_taken, block.taken)
            # After a branch that may have been taken, another one is taken no more surely.
            block.taken = False if block.was_taken else None if block.was_taken is None and found else found
            block.complete = block.complete or "*" in block.patterns
            by_default = None if block.default is None else met(block.default, block.patterns)
            self._begin_branch(block, by_default=by_default)
            block.awaits, block.patterns = False, []
        return []

    def _tested(self, word: Word, *, whole: bool = False) -> list[str]:
        """Return a word of a condition with its variables put in; `whole`: not split, as by `[[` and `case`."""
        if self.variables.arguments is None and _ARGUMENT.search(word.text):
            return [word.text]  # what a script is called with is not in it
        if any(name in self.assumed for name in _NAMED.findall(word.text)) or any(
            name not in self.variables.values for name in _BY_DEFAULT.findall(word.text)
        ):
            return ["$"]
        return self._by_default(word, whole=whole)

    def _by_default(self, word: Word, *, whole: bool) -> list[str]:
        """Return a word of a condition with its variables put in, defaults for what a caller may give among them."""
        before = self.variables.arguments
        if before is None:
            self.variables.arguments = []  # a script that is called with nothing
        found = [right_side(self.variables, word, 0).value] if whole else [e.text for e in self.variables.fields(word)]
        self.variables.arguments = before
        return found or [""]

    def _loop(self, words: list[Word]) -> None:
        """Set the variable of `for NAME in ...`: to its value if there is one, else it is open."""
        if len(words) < 2:
            return
        if words[1].text.startswith("(("):
            self._arithmetic(words[1].text)
            return
        items = [each for word in words[3:] for each in self.variables.fields(word)]
        every = len(words) == 2 or any(_ARGUMENT.search(word.text) for word in words[3:])
        self.blocks[-1].over_arguments = every and self.variables.arguments is None
        name = words[1].text
        self.variables.forget(name)
        if len(items) == 1 and not UNSETTLED.search(items[0].text):
            self.blocks[-1].taken = True
            self.variables.open.discard(name)
            self.variables.values[name] = Given(items[0].text, (items[0],))

    # -- commands ----------------------------------------------------------------------------------------------------

    def _simple(self, simple: Simple, depth: int) -> Iterator[Step]:
        variables = self.variables
        variables.assigns = not self._conditional
        words = simple.words
        first = words[0].text if words else ""
        if first in _DECLARES or (words and all(ASSIGNMENT.match(word.text) for word in words)):
            for word in words:
                if first in ("local", "declare", "typeset") and depth:
                    self._keep_outer(word)
                if ASSIGNMENT.match(word.text):
                    if "$(" in word.text and depth < _DEEPEST_CALL:
                        yield from self._substituted(word, depth)
                    self._assign(word)
                    self.outcome = None if "$(" in word.text or "`" in word.text else True
            return
        if first in ("[", "[[", "test"):
            self.outcome = truth([each for word in words for each in self._tested(word, whole=first == "[[")])
            self.by_default = self.outcome
            if self.outcome is None:
                self.by_default = truth(
                    [each for word in words for each in self._by_default(word, whole=first == "[[")]
                )
            return
        if first.startswith("((") and not words[0].pieces:
            self._arithmetic(first)
            return
        fields = self._fields(words)
        name = next((each.text for each in fields if not ASSIGNMENT.match(each.text)), "")
        self.outcome = outcome_of(name)
        own = [each for each in fields if not ASSIGNMENT.match(each.text)][1:]
        body = None if simple.input is None else next(iter(variables.fields(simple.input)), None)
        if name == "eval" and own:
            if depth < _DEEPEST_CALL:
                parts = [part for each in own for part in (" ", each.place or each.text)]
                yield from self._eval(join(parts), depth)
        elif name in ("source", ".") and own and (text := self.files.get(plain_path(own[0].text))) is not None:
            if depth < _DEEPEST_CALL:
                yield from self._eval(text, depth)
        elif name in self.functions:
            if depth < _DEEPEST_CALL:
                yield from self._call(name, own, depth)
        elif not self._own(name, own, body, depth) and (fields or body is not None):
            output = "" if simple.output is None else "".join(each.text for each in variables.fields(simple.output))
            if body is not None:
                self._write(output, own if name == "tee" else [], body)
            script = body if body is not None and is_script(name, own, body) else None
            body = body if script is None else None
            yield Step(fields, variables, body, output, script, self._conditional)
            if name == "exec" and own:
                if self._conditional:
                    self._leave()
                else:
                    self._end()

    def _assign(self, word: Word) -> None:
        name = word.text.partition("=")[0].rstrip("+")
        if (self.variables.arguments is None and _ARGUMENT.search(word.text)) or (
            any(each not in self.variables.values for each in _BY_DEFAULT.findall(word.text))
        ):
            self.assumed.add(name)
        elif not self._conditional:
            self.assumed.discard(name)
        adds = "+=" in word.text[: len(name) + 2] or adds_to_itself(name, word)
        # On a way of its own, a variable is what that way sets; what is not settled takes no value's place.
        perhaps = self._perhaps or (self._conditional and not adds and not self._settles(word))
        assign(self.variables, word, conditional=perhaps)
        if not perhaps and (fork := self._fork_here) is not None:
            fork.note(name, adds=adds)

    def _settles(self, word: Word) -> bool:
        """Whether what a word assigns is known."""
        if word.items is not None:
            return True
        target = ASSIGNMENT.match(word.text)
        return target is None or not UNSETTLED.search(right_side(self.variables, word, target.end()).value)

    def _write(self, output: str, own: list[Word], body: Word) -> None:
        """Keep the lines of a here-document as the file that they are written to (`cat > FILE <<END`, `tee FILE <<END`)."""
        for name in (*(each.text for each in own if not each.text.startswith("-")), *([output] if output else ())):
            self.files[plain_path(name)] = self.files[name] = body.place or Text(body.text)

    def _fields(self, words: list[Word]) -> list[Word]:
        """Return the words of a command with variables put in; assignments before it are not split."""
        found: list[Word] = []
        before = True  # as long as only assignments stand there
        for word in words:
            target = ASSIGNMENT.match(word.text)
            if target is None or not before:
                own = self.variables.fields(word)
                before = before and all(ASSIGNMENT.match(each.text) for each in own)
                found += own
            elif word.items is None:
                value = join(
                    [
                        (word.place or Text(word.text)).cut(0, target.end()),
                        right_side(self.variables, word, target.end()),
                    ]
                )
                found.append(replace(word, text=value.value, place=value if value.runs else None, pieces=()))
        return found

    def _own(self, name: str, own: list[Word], body: Word | None, depth: int) -> bool:
        """Do what a shell does itself, so far as it changes what is read; return whether the command was such a one."""
        variables = self.variables
        if name == "set" and own and own[0].text == "--":
            parsed = len(own) == 2 and UNSETTLED.search(own[1].text) is not None  # what `getopt` made of the arguments
            variables.arguments = None if self._perhaps_here or parsed else own[1:]
        elif name == "shift":
            count = int(own[0].text) if own and own[0].text.isdecimal() and len(own[0].text) < 5 else 1
            if variables.arguments is not None:
                variables.arguments = None if self._perhaps_here else variables.arguments[count:]
        elif name == "unset":
            for each in own:
                variables.values.pop(each.text, None)
                variables.arrays.pop(each.text, None)
        elif name == "let":
            for each in own:
                self._arithmetic(f"(({each.text}))")
        elif name in _SETS and (name != "printf" or (own and own[0].text == "-v")):
            names = [each.text for each in own if _NAME.fullmatch(each.text)] or ["REPLY"]
            for each_name in names[:1] if name == "printf" else names:
                variables.forget(each_name)
            if (
                name == "read"
                and body is not None
                and len(names) == 1
                and any("d" in each.text[:4] for each in own[:-1])
            ):
                # `read -r -d '' NAME <<END`: all of the lines.
                variables.values[names[0]] = Given(body.text, (body,))
                variables.open.discard(names[0])
        elif name in ("exit", "return"):
            returns = name == "return" and depth > 0
            if self.list.reached is None or (self._conditional_here if returns else self._conditional):
                self._leave(returns=returns)
            else:
                self.returned = returns
                code = own[0].text if own else ""
                self.outcome = code == "0" if code.isdecimal() else LIKELY
                if name == "exit":
                    self._end()
        else:
            return False
        return True

    def _leave(self, *, returns: bool = False) -> None:
        """Take the branch that is followed for one that does not come out of its block."""
        if self.list.reached is True and self.blocks and (fork := self.blocks[-1].fork) is not None and not fork.left:
            fork.left = True
            if returns:
                self.returns.append(State.of(self.variables))

    def _end(self) -> None:
        """Take nothing behind for reached, but in a shell of its own."""
        if all(block.keyword != "(" for block in self.blocks):
            self.ended = True

    def _call(self, name: str, arguments: list[Word], depth: int) -> Iterator[Step]:
        self.called.add(name)
        before = self.variables.arguments, self.blocks, self.list, self.outer, self.returns
        self.blocks = [self._called()]
        self.variables.arguments, self.list, self.outer, self.returns = arguments, CommandList(), {}, []
        yield from self._follow(self.functions[name], depth + 1)
        if self.returns:
            merged([*self.returns, State.of(self.variables)]).put_into(self.variables)
        for variable, (value, array, is_open) in self.outer.items():
            self.variables.forget(variable)
            if not is_open:
                self.variables.open.discard(variable)
            if value is not None:
                self.variables.values[variable] = value
            if array is not None:
                self.variables.arrays[variable] = array
        self.outcome, self.returned = self.list.status, False
        self.variables.arguments, self.blocks, self.list, self.outer, self.returns = before

    def _called(self) -> Block:
        """Return the block of a text that is read in between: as conditional as the place that it is read at."""
        block = Block("call", taken=None if self._conditional else True)
        block.fork, block.perhaps = self._fork_here, self._perhaps
        return block

    def _keep_outer(self, word: Word) -> None:
        """Keep what a variable of a function's own hides, until its end."""
        name = _NAME.match(word.text)
        if name is not None and name[0] not in _DECLARES:
            variables = self.variables
            kept = (variables.values.get(name[0]), variables.arrays.get(name[0]), name[0] in variables.open)
            self.outer.setdefault(name[0], kept)

    def _substituted(self, word: Word, depth: int) -> Iterator[Step]:
        """Yield what runs in `NAME=$(...)`, where that may start an engine: `ID=$(docker run -d ...)`."""
        text, at = word.place or Text(word.text), 0
        while (at := text.value.find("$(", at)) >= 0:
            end = substitution_end(text.value, at)
            if end <= at + 2 or text.value.startswith("$((", at):
                at += 2
                continue
            inner = text.cut(at + 2, end - 1)
            if _MAY_START.search(inner.value):
                kept, ended, returned = State.of(self.variables), self.ended, self.returned
                yield from self._eval(inner, depth)
                self.ended, self.returned = ended, returned  # it is a shell of its own
                kept.put_into(self.variables)
                self.steps_left -= kept.size // 8
            at = end

    def _eval(self, whole: Text, depth: int) -> Iterator[Step]:
        before = self.blocks, self.list
        self.blocks = [self._called()]
        self.list = CommandList()
        yield from self._follow(list(simple_commands(split(whole if whole.runs else whole.value))), depth + 1)
        self.outcome = self.list.status
        self.blocks, self.list = before

    def _arithmetic(self, text: str) -> None:
        """Read `((...))`: what it sets is open from there on; else it may be a condition."""
        if names := _ARITHMETIC_SETS.findall(text):
            for name in names:
                self.variables.forget(name)
            return
        result = self.variables.sum_of(text[2:-2])
        self.outcome = None if result is None else result != 0

    @property
    def _reached(self) -> bool:
        return self.list.reached is not False and all(block.taken is not False for block in self.blocks)

    @property
    def _conditional_here(self) -> bool:
        """Whether the way to here is not settled within the function that is called; its arguments are its own."""
        return any(block.taken is None for block in self.blocks if block.keyword != "call")

    @property
    def _fork_here(self) -> Fork | None:
        return next((block.fork for block in reversed(self.blocks) if block.fork is not None), None)

    @property
    def _perhaps(self) -> bool:
        """Whether a command may or may not be reached on the way that is followed."""
        return self.list.reached is None or any(
            block.perhaps if block.keyword == "call" else block.taken is None and block.fork is None
            for block in self.blocks
        )

    @property
    def _perhaps_here(self) -> bool:
        """Whether a command may or may not be reached on the way that is followed within the function that is called."""
        return self.list.reached is None or any(
            block.keyword != "call" and block.taken is None and block.fork is None for block in self.blocks
        )

    @property
    def _conditional(self) -> bool:
        return self.list.reached is None or any(block.taken is None for block in self.blocks)


def plain_path(name: str) -> str:
    """Return a file's path as it stands among those that a text writes."""
    return str(PurePosixPath(name))
