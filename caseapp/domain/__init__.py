"""Everything the product is about; knows nothing of HTTP."""
