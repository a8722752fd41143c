"""Telling people: who is told what, when, and how loud. Nobody decides anything by a notice."""
