"""Codes and labels of legal holds. Which matters oblige a practice to keep a record awaits sign-off by a lawyer."""

KINDS = {
    "court": "A court order or proceedings",
    "complaint": "A complaint",
    "claim": "A claim",
    "investigation": "An investigation",
    "law": "Another duty by law",
}
LIFT_REASONS = {
    "ended": "The matter has ended",
    "released": "The court or authority no longer needs the record",
    "mistake": "It was placed by mistake",
}
ERASED_AGAIN = "erased"
"""Why the holds of an earlier database end when a record that was erased is erased again; nobody chooses it."""
LIFT_LABELS = LIFT_REASONS | {ERASED_AGAIN: "The record had been erased before"}
SHOWN = {"standing": "In force", "due": "Review due", "lifted": "Lifted"}
"""Which legal holds a list shows."""
MAX_REVIEW_DAYS = 366
"""Days until somebody looks again at the latest. Product proposal, awaiting sign-off by a lawyer."""
REFUSAL_REVIEW_DAYS = 365
"""Days until somebody looks again at a hold that a refused request to erase a record places. Awaiting sign-off."""
