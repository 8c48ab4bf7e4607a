"""Tests of giving one sheet to several clients."""
