"""Tests: they mirror the source and run against the installed package."""
