"""The reset protocol (R5, R10 to R25): what each step makes of a reset and its key.

Pure decisions over values; `stage.py` holds the order, `handover.py` the dates, `proof.py` what proves whom.
Every function returns the changed values or a refusal and touches nothing else.
"""

from keyturn.core.reset.asking import (
    ask,
    check_ended,
    check_held,
    check_order,
    suspend_first,
)
from keyturn.core.reset.ending import (
    finish,
    first_use,
    is_quiet,
    quiet,
)
from keyturn.core.reset.minting import (
    UNTOUCHED,
    gap_ahead,
    may_mint,
    mint,
    preview,
)
from keyturn.core.reset.origin import (
    check_origin,
    from_here,
)
from keyturn.core.reset.proving import (
    administrator_proof,
    count_refused_proof,
    prove,
    refuse_proof,
    vouch,
)
from keyturn.core.reset.terms import (
    terms_of,
    tighten,
    wanted_of,
)
from keyturn.core.reset.value import (
    CLAIM_HELD,
    CLAIM_LASTS,
    REVOKE_FIRST,
    Asking,
    Narrowing,
    Reason,
    Reset,
    Step,
    effective_of,
    end,
    is_asker,
    is_open,
    move,
    owns,
    stage_at,
)

__all__ = [
    "CLAIM_HELD",
    "CLAIM_LASTS",
    "REVOKE_FIRST",
    "UNTOUCHED",
    "Asking",
    "Narrowing",
    "Reason",
    "Reset",
    "Step",
    "administrator_proof",
    "ask",
    "check_ended",
    "check_held",
    "check_order",
    "check_origin",
    "count_refused_proof",
    "effective_of",
    "end",
    "finish",
    "first_use",
    "from_here",
    "gap_ahead",
    "is_asker",
    "is_open",
    "is_quiet",
    "may_mint",
    "mint",
    "move",
    "owns",
    "preview",
    "prove",
    "quiet",
    "refuse_proof",
    "stage_at",
    "suspend_first",
    "terms_of",
    "tighten",
    "vouch",
    "wanted_of",
]
