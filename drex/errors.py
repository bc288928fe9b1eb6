"""The one kind of error a user sees: where it is, what was expected, what was found, and what to do."""


class UserError(Exception):
    """A mistake that the user can mend; printed as one sentence, exit status 2.

    Args:
        where: the file, field or argument at fault, for example ``"demos.npz: actions"``.
        expected: what would have been right.
        found: what stands there instead.
        do: one short advice, or empty when the first three say it all.
    """

    def __init__(self, where: str, *, expected: str, found: str, do: str = "") -> None:
        self.where, self.expected, self.found, self.do = where, expected, found, do
        advice = f"; {do}" if do else ""
        super().__init__(f"{where}: expected {expected}, found {found}{advice}")
