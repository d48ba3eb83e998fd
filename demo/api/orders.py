"""Sample data."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Order:
    id: str
    customer: str
    item: str
    quantity: int
    unit_price: str  # decimal text: money is never a float
    currency: str
    status: str
    ordered_at: str

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


ORDERS = (
    Order("1042", "Fjord & Fell", "Walnut desk lamp", 2, "148.00", "EUR", "shipped", "2026-11-02T09:14:00Z"),
    Order("1043", "Café Olé", "Espresso cups, set of six", 12, "39.50", "EUR", "packed", "2026-11-04T16:40:00Z"),
    Order("1044", "Münster Optik", "Reading glasses case", 40, "11.20", "EUR", "packed", "2026-11-07T08:02:00Z"),
    Order("1045", "Kyōto Paper", "Handmade notebook", 75, "9.80", "JPY", "waiting for stock", "2026-11-11T23:55:00Z"),
    Order("1046", "Søren's Bikes", "Leather grip tape", 18, "22.00", "DKK", "ordered", "2026-11-15T12:30:00Z"),
    Order("1047", "Harbour Books", "Brass bookmark", 120, "6.40", "GBP", "ordered", "2026-11-19T10:05:00Z"),
    Order("1048", "Ладога", "Linen table runner", 8, "54.00", "EUR", "returned", "2026-11-20T14:20:00Z"),
)
