"""The operator's door: `caseapp …`."""
