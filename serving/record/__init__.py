"""The record of every question: who asked about whom, when, by which models, and what was predicted."""
