"""The demo: one network, nine ways of weighing its losses, one table of errors. Only the command imports it."""
