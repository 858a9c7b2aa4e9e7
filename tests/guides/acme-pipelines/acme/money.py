def total_cents(lines: list[dict]) -> int:
    """What order lines cost together, in cents."""
    return sum(line["quantity"] * line["price_cents"] for line in lines)
