"""The error type for users' mistakes."""


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
        super().__init__(f"{where}: expected {expected}, found {found}{advice}")
