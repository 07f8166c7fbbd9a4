"""A page in the browser that shows what a classifier does: `build` makes it, with Gradio.

from inference.demo import build

demo = build("output/digits_rdrop", language="zh")
demo.launch()
"""

from inference.demo.page import build

__all__ = ["build"]
