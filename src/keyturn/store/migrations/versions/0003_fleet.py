"""A fleet: leases of nodes, for how long they are given, and the counters that limits are shared out of."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("authority", sa.Column("lease_length", sa.BigInteger(), nullable=False, server_default="5000000"))
    op.add_column("authority", sa.Column("lease_margin", sa.BigInteger(), nullable=False, server_default="50000"))
    # When the newest revision was written, and the one before it; unknown until there is a next one.
    op.add_column("authority", sa.Column("rev_at", sa.BigInteger(), nullable=True))
    op.add_column("authority", sa.Column("before_rev_at", sa.BigInteger(), nullable=True))
    op.add_column("authority", sa.Column("peppers", sa.Text(), nullable=False, server_default="{}"))
    op.create_table(
        "leases",
        sa.Column("instance", sa.String(length=64), nullable=False),
        sa.Column("counter", sa.BigInteger(), nullable=False),
        sa.Column("lasts", sa.BigInteger(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("acked_rev", sa.BigInteger(), nullable=False),
        sa.Column("applied_rev", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("grants", sa.Boolean(), nullable=False),
        sa.Column("verifiers", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("instance", name=op.f("pk_leases")),
    )
    op.create_table(
        "limits",
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("arrival", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("loans", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_limits")),
    )
