"""Worksheets: what a client writes in a sheet, what of it the coach may read, and PDFs that came back."""
