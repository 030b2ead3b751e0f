"""Does: read, decide, write, tell.  One file per noun; each flow is handed an open transaction.

A flow touches rows only, so it may be run again whole after a conflict.
Every change and every refused attempt leaves exactly one audit record in the same transaction.
"""
