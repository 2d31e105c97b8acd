"""Ways through a shell's text that its words do not choose between: variables on each, and what is left of them behind."""

from dataclasses import dataclass, field
from typing import Self

from kvplan.launch.assignments import UNSETTLED
from kvplan.launch.text import Text, join
from kvplan.launch.variables import Variables, text_of
from kvplan.launch.words import Given, Word


@dataclass(slots=True)
class State:
    """What a shell has set at one point."""

    values: dict[str, Given]
    arrays: dict[str, list[Word]]
    open: set[str]
    arguments: list[Word] | None = None

    @classmethod
    def of(cls, variables: Variables) -> Self:
        """Return what is set now."""
        return cls(dict(variables.values), dict(variables.arrays), set(variables.open), variables.arguments)

    def put_into(self, variables: Variables) -> None:
        """Let this be what is set."""
        variables.values, variables.arrays, variables.open = dict(self.values), dict(self.arrays), set(self.open)
        variables.arguments = self.arguments

    @property
    def size(self) -> int:
        """Return how many variables there are."""
        return len(self.values) + len(self.arrays) + len(self.open)

    def copy(self, name: str, other: "State") -> None:
        """Let a variable be what it is in another state."""
        self.values.pop(name, None)
        self.arrays.pop(name, None)
        self.open.discard(name)
        if name in other.values:
            self.values[name] = other.values[name]
        if name in other.arrays:
            self.arrays[name] = other.arrays[name]
        if name in other.open:
            self.open.add(name)

    def add_unknown(self, name: str) -> None:
        """Put behind a variable's value that more follows which is not known."""
        if name in self.arrays:
            self.arrays[name] = [*self.arrays[name], Word(f"${{{name}[@]}}")]
        elif name in self.values:
            text = join([text_of(self.values[name]), Text(f" ${{{name}}}")])
            self.values[name] = Given(text.value, (Word(text.value, place=text if text.runs else None),))


@dataclass(slots=True)
class Fork:
    """The ways through a block, each begun with what was set before it.

    Attributes:
        base: what was set before the block.
        ends: what is set at the end of each way, and the variables that it only put something behind.
        added: what the way that is followed has put behind values from before it.
        replaced: what it has set itself.
        left: whether it does not come out of the block: it ends the script.
        preferred: the end of the way that default values choose.

    """

    base: State
    ends: list[tuple[State, set[str]]] = field(default_factory=list)
    added: set[str] = field(default_factory=set)
    replaced: set[str] = field(default_factory=set)
    left: bool = False
    preferred: State | None = None

    @property
    def changed(self) -> set[str]:
        """Return the variables that some way sets to something else than before it."""
        return {
            name
            for state, _ in self.ends
            for name in (*state.values, *state.open)
            if name not in self.base.values
            or name in state.open
            or state.values[name].value != self.base.values[name].value
        }

    def begin(self, variables: Variables) -> None:
        """Start another way through the block."""
        self.base.put_into(variables)
        self.added, self.replaced, self.left = set(), set(), False

    def note(self, name: str, *, adds: bool) -> None:
        """Take in that the way that is followed sets a variable, or puts something behind its value."""
        if not adds:
            self.replaced.add(name)
            self.added.discard(name)
        elif name not in self.replaced:
            self.added.add(name)

    def end(self, variables: Variables, *, preferred: bool = False) -> None:
        """End the way that is followed."""
        if not self.left:
            self.ends.append((State.of(variables), self.added))
            if preferred:
                self.preferred = self.ends[-1][0]

    def join(self, variables: Variables, *, complete: bool) -> None:
        """Go on behind the block.

        What only some ways put behind a value is left out; what they set to different values is open from there on.

        Args:
            variables: that are set.
            complete: whether one of the ways is surely taken.

        """
        if self.preferred is not None:
            self.preferred.put_into(variables)
            return
        every = set.intersection(*(added for _, added in self.ends)) if complete and self.ends else set()
        certain = merged([state for state, _ in self.ends] or [self.base])
        states = []
        for state, added in self.ends:
            for name in added:
                state.copy(name, self.base)
            states.append(state)
        found = merged(states if complete and states else [*states, self.base])
        for name in every:
            if name in certain.open:
                found.add_unknown(name)
            else:
                found.copy(name, certain)
        found.put_into(variables)


def merged(states: list[State]) -> State:
    """Return what is set where one of several states holds: a variable that only some of them set is as in these."""
    if len(states) == 1:
        return states[0]
    found = State(
        {}, {}, {name for state in states for name in state.open}, _shared([each.arguments for each in states])
    )
    names = dict.fromkeys(name for state in states for names in (state.values, state.arrays) for name in names)
    for name in names:
        given = _settled([state.values[name] for state in states if name in state.values])
        lists = [state.arrays[name] for state in states if name in state.arrays]
        if name in found.open:
            continue
        if not lists and all(each.value == given[0].value for each in given):
            found.values[name] = given[0]
        elif not given and all([each.text for each in one] == [each.text for each in lists[0]] for one in lists):
            found.arrays[name] = lists[0]
        else:
            found.open.add(name)
    return found


def _settled(given: list[Given]) -> list[Given]:
    """Return the values that are known, where there are any: another one comes from outside, which says nothing."""
    return [each for each in given if not UNSETTLED.search(str(each.value))] or given


def _shared(arguments: list[list[Word] | None]) -> list[Word] | None:
    """Return the arguments that all ways have, where some only put more behind them; None where they differ otherwise."""
    known = [each for each in arguments if each is not None]
    if len(known) < len(arguments) or not known:
        return None
    first = min(known, key=len)
    texts = [each.text for each in first]
    return first if all([each.text for each in one[: len(texts)]] == texts for one in known) else None
