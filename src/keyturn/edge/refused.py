"""A refusal on its way out, past whatever is between the flow and the answer."""

from keyturn.core.refusal import Refusal


class Refused(Exception):  # noqa: N818  # a "no" on its way out
    """A refusal that is to be the answer.  Raised at this edge only, after whatever recorded it has committed."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.kind)
        self.refusal = refusal
