"""`magi top`: a live view of a running MAGI in a terminal.

What is scraped (`scraped`, `places`, `collect`) becomes figures (`counting`, `recorder`, the `…_model`s of the sections
of a `frame`), and a frame becomes lines (`draw_…`, `screen`). Only `collect`, `bus_view`, `servers` and `loop` wait for
anything.
"""
