"""Tests of what suits a client and of giving it."""
