"""`blendloss info`."""

from __future__ import annotations

from rich.table import Table

from blendloss._internal.startup import import_tensorflow, without_notes
from blendloss.console.environment import devices, versions
from blendloss.console.screen import screen


def info() -> None:
    """Prints versions, devices, and whether XLA works."""
    import_tensorflow()
    table = Table.grid(padding=(0, 2))
    for name, version in versions().items():
        table.add_row(name, version)
    for device in devices():
        table.add_row("device", device)
    with without_notes():
        table.add_row("XLA", _xla())
    screen(soft_wrap=True).print(table)


def _xla() -> str:
    """Compiles a function and compares it with the same one run eagerly."""
    import tensorflow as tf

    def function(x: tf.Tensor) -> tf.Tensor:
        return tf.reduce_sum(tf.square(x) + 3.0 * x)

    x = tf.linspace(-1.0, 1.0, 64)
    try:
        compiled = tf.function(function, jit_compile=True)(x)
    except tf.errors.OpError as error:
        return f"does not compile: {str(error).splitlines()[0]}"
    if abs(float(compiled) - float(function(x))) > 1e-4:
        return f"compiles, but wrongly: {float(compiled)} instead of {float(function(x))}"
    return "compiles and agrees with eager execution"
