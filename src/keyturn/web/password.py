"""Why a new password is not taken, in the reader's language."""

from keyturn.core.refusal import PasswordUnfit
from keyturn.outside.words import Words


def why_unfit(refusal: PasswordUnfit, words: Words) -> str:
    """A sentence to stand beside the field."""
    return words(f"unfit.{refusal.reason}", least=refusal.least, most=refusal.most)
