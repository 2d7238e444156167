"""Decisions made from facts: one small pure function per rule. No torch."""
