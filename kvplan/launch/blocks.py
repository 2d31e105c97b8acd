"""What is open at a point of a shell's text: branches, loops and groups, and the list of commands that is being read."""

from dataclasses import dataclass, field

from kvplan.launch.conditions import LIKELY, Outcome
from kvplan.launch.forks import Fork


@dataclass(slots=True)
class Block:
    """A branch, loop or group that is open: its keyword, and whether it is passed through; None: not known."""

    keyword: str
    taken: bool | None = None
    was_taken: bool | None = False
    # The variables of each branch, once one of them may or may not be taken; whether one of them surely is.
    fork: Fork | None = None
    complete: bool = False
    # Whether default values choose this branch, and whether they chose one before it; None: they do not tell.
    chosen: bool | None = None
    was_chosen: bool | None = False
    # Of a text that is read in between: whether it may or may not be reached on the way that is followed.
    perhaps: bool = False
    # Of a loop over what the script is called with: nothing, as far as is known.
    over_arguments: bool = False
    # Of `case`: the word, None where it is not known; what it is by default; whether a pattern comes next, those seen of it.
    word: str | None = None
    default: str | None = None
    awaits: bool = False
    patterns: list[str] = field(default_factory=list)


@dataclass(slots=True)
class CommandList:
    """Commands that `&&` and `||` join: whether the next one is reached (None: not known), by which, and how the last ended."""

    reached: bool | None = True
    by: str = ""
    status: Outcome = LIKELY
    # Of the one command so far: what it comes to by default values; None where they do not tell, or there are several.
    by_default: bool | None = None
    count: int = 0

    def go_on(self, outcome: Outcome, ends: str) -> None:
        """Take in how a command ended, and what stands behind it."""
        self.count += 1
        if self.reached:
            self.status = outcome
        elif self.reached is None:
            tells = (self.by == "&&" and outcome is False) or (self.by == "||" and outcome in (True, LIKELY))
            self.status = outcome if tells else None
        if ends in ("&&", "||"):
            self.by = ends
            succeeded = self.status if self.status != LIKELY else True if ends == "&&" else None
            self.reached = succeeded if ends == "&&" or succeeded is None else not succeeded
        elif ends not in ("|", "|&", "("):
            self.reached, self.by = True, ""
