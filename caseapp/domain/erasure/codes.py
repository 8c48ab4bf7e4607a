"""Codes and labels of erasures. Which grounds the law knows awaits sign-off."""

STATES = REQUESTED, REFUSED, WITHDRAWN, DONE = "requested", "refused", "withdrawn", "done"
GROUNDS = {
    "client": "The client asked for it",
    "proxy": "Somebody who may act for the client asked for it",
    "retention": "The record needn’t be kept any longer",
    "error": "The record should never have been made",
}
REFUSALS = {
    "law": "The law requires us to keep the record",
    "claim": "The record is needed for a legal claim",
    "mistake": "It was requested by mistake",
    "other": "Another reason",
}
RETENTION = "retention"
"""The ground for which a record has to be due."""
HOLDING = {"law": "law", "claim": "claim"}
"""The refusals that place a legal hold on the record, and of which kind."""
