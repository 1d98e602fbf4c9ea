"""The demo: one network, nine ways of weighing its losses, and a table of errors."""
