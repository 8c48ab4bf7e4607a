"""Worksheets: a client's answers, the copy shared with the coach, and uploaded PDFs."""
