"""A fleet: leases of nodes, and for how long they are given."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("authority", sa.Column("lease_length", sa.BigInteger(), nullable=False, server_default="5000000"))
    op.add_column("authority", sa.Column("lease_margin", sa.BigInteger(), nullable=False, server_default="50000"))
    op.add_column("authority", sa.Column("peppers", sa.Text(), nullable=False, server_default="{}"))
    op.create_table(
        "leases",
        sa.Column("instance", sa.String(length=64), nullable=False),
        sa.Column("counter", sa.BigInteger(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("acked_rev", sa.BigInteger(), nullable=False),
        sa.Column("applied_rev", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("grants", sa.Boolean(), nullable=False),
        sa.Column("verifiers", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("instance", name=op.f("pk_leases")),
    )
