"""The table that everything loads into; plain, so that every subject's process can read it."""

SCHEMA = "raw"
NAME = "orders"
KEY = "order_id"
# (name, PostgreSQL type, nullable)
COLUMNS = (
    ("order_id", "bigint", False),
    ("customer_id", "bigint", False),
    ("quantity", "integer", False),
    ("price", "double precision", False),
    ("weight_kg", "double precision", True),
    ("status", "text", False),
    ("customer_name", "text", False),
    ("note", "text", True),
    ("ordered_at", "timestamp with time zone", False),
    ("shipped_at", "timestamp with time zone", True),
)


def create(name: str = f"{SCHEMA}.{NAME}", kind: str = "") -> str:
    """CREATE TABLE without the key; `kind` may be TEMPORARY or UNLOGGED."""
    columns = ", ".join(
        f"{column} {type_}{'' if nullable else ' NOT NULL'}" for column, type_, nullable in COLUMNS
    )
    return f"CREATE {kind} TABLE {name} ({columns})"


def add_key(name: str = f"{SCHEMA}.{NAME}") -> str:
    """ALTER TABLE that adds the primary key."""
    return f"ALTER TABLE {name} ADD PRIMARY KEY ({KEY})"
