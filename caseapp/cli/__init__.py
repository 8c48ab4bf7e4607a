"""The command line for operators: `caseapp …`."""
