"""Figures about keyturn, each beside a floor measured in the same run: a ratio holds where the machine's speed drifts.

Rounds of ours and of the floor take turns; medians are told.
"""
