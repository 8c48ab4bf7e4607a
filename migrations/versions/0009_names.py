"""Tables, columns and coded values take the names of the glossary; every row stays."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

# Old name to new name.
TABLES: dict[str, str] = {
}
# New table name, then old column name to new column name.
COLUMNS: dict[str, dict[str, str]] = {
}
# New table name and new column name, then old code to new code.
VALUES: dict[tuple[str, str], dict[str, str]] = {
}


def upgrade() -> None:
    for old, new in TABLES.items():
        op.rename_table(old, new)
    for table, columns in COLUMNS.items():
        for old, new in columns.items():
            op.execute(f'ALTER TABLE "{table}" RENAME COLUMN "{old}" TO "{new}"')
    for (table, column), codes in VALUES.items():
        _recode(table, column, codes)


def downgrade() -> None:
    for (table, column), codes in VALUES.items():
        _recode(table, column, {new: old for old, new in codes.items()})
    for table, columns in COLUMNS.items():
        for old, new in columns.items():
            op.execute(f'ALTER TABLE "{table}" RENAME COLUMN "{new}" TO "{old}"')
    for old, new in TABLES.items():
        op.rename_table(new, old)


def _recode(table: str, column: str, codes: dict[str, str]) -> None:
    """Replace codes in one column; several at once, so that two codes may change places."""
    place = sa.table(table, sa.column(column, sa.Text))
    op.execute(
        sa.update(place)
        .where(place.c[column].in_(codes))
        .values({column: sa.case(codes, value=place.c[column])})
    )
