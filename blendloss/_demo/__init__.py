"""The demo: one network, eight ways of blending two losses, one table of errors. Only the command imports it."""
