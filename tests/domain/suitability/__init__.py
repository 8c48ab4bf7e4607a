"""Tests of suitability and of recommendations."""
