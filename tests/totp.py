"""An authenticator app that is confirmed already, and whose present code is still there for the test to show."""

import time
from collections.abc import Callable

import pyotp


def confirmed(app: pyotp.TOTP, confirm: Callable[[str], list[str]]) -> list[str]:
    """The recovery codes that `confirm` answers, none for a code that is refused.

    It is shown the code before the present one, for a code counts once.  That one is accepted until the present one
    ends, which may be at any moment: then there is another.
    """
    for _ in range(3):
        if codes := confirm(app.at(int(time.time()) - app.interval)):
            return codes
    raise AssertionError("no code was accepted")
