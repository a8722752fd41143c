"""The commands of `countersign`, one small file each.

A command module has `register(commands)`, which adds its parser to the tree and sets `run` to a coroutine function that
takes the parsed arguments and returns an exit code. `starter.py` lists the modules. Text is made in `render.py` alone.
"""
