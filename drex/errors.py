"""The error type for users' mistakes, and what may be shown of their input."""


class UserError(Exception):
    """A mistake that the user can correct, in one sentence; exit status 2 on the command line.

    Args:
        where: the file, field or argument at fault, for example ``"demos.npz: actions"``.
        expected: a correct value.
        found: the actual value.
        do: short advice, or empty.
    """

    def __init__(self, where: str, *, expected: str, found: str, do: str = "") -> None:
        self.where, self.expected, self.found, self.do = where, expected, found, do
        advice = f"; {do}" if do else ""
        super().__init__(printable(f"{where}: expected {expected}, found {found}{advice}"))


def printable(text: str) -> str:
    """The text in one line, with control characters escaped, since a terminal would obey them."""
    line = " ".join(text.splitlines())
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)
