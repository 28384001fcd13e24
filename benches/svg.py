"""Draws plots as SVG, readable on light and on dark pages and without colours alone.

Positions are in pixels, from the top left corner. Texts are escaped here and nowhere else.
"""

import html
import math

WIDTH = 800
ROW = 22
MARGIN = 16

# Dark or light is what the reader's system says, as a page cannot say it to an image.
STYLE = """
text{font:13px system-ui,-apple-system,"Segoe UI",sans-serif;fill:#1f2328}
.title{font-weight:600;font-size:15px}.small{font-size:12px;fill:#59636e}
.back{fill:#fff;stroke:#d1d9e0}.grid{stroke:#d1d9e0}.bound{stroke:#cf222e;stroke-dasharray:4 3}.bound-text{fill:#cf222e}
.a{fill:#0969da}.b{fill:#9ec9f5}.c{fill:#bc4c00}.d{fill:#8250df}
.line{fill:none;stroke-width:2}.line.a{stroke:#0969da}.line.c{stroke:#bc4c00;stroke-dasharray:6 3}
@media (prefers-color-scheme:dark){
text{fill:#f0f6fc}.small{fill:#9198a1}.back{fill:#0d1117;stroke:#3d444d}.grid{stroke:#3d444d}
.bound{stroke:#f85149}.bound-text{fill:#f85149}
.a{fill:#4493f8}.b{fill:#24497a}.c{fill:#f0883e}.d{fill:#ab7df8}
.line.a{stroke:#4493f8}.line.c{stroke:#f0883e}.line{fill:none}
}
"""


class Axis:
    """Maps values to positions between `left` and `right`; `ticks` are the values that are named."""

    def __init__(self, left, right, ticks, logarithmic=False):
        self.left, self.right, self.ticks = left, right, ticks
        self.scale = math.log10 if logarithmic else float

    def at(self, value):
        assert self.ticks[0] <= value <= self.ticks[-1], f"{value} is beyond the axis: {self.ticks}"
        low, high = self.scale(self.ticks[0]), self.scale(self.ticks[-1])
        return self.left + (self.scale(value) - low) / (high - low) * (self.right - self.left)


class Plot:
    """One picture. Its parts are drawn in the order of the calls; `y` is where the next row goes."""

    def __init__(self, title, *lines):
        self.parts, self.title, self.y = [], title, MARGIN + 16
        self.text(MARGIN, self.y, title, "title")
        for line in lines:
            self.y += 18
            self.text(MARGIN, self.y, line, "small")
        self.y += 14

    def text(self, x, y, text, style="", anchor="start"):
        attributes = f' class="{style}"' if style else ""
        self.parts.append(f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{attributes}>{html.escape(text)}</text>')

    def rectangle(self, x, y, width, height, style):
        self.parts.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" class="{style}"/>')

    def line(self, x1, y1, x2, y2, style):
        self.parts.append(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{style}"/>')

    def path(self, points, style):
        places = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        self.parts.append(f'<polyline points="{places}" class="line {style}"/>')

    def mark(self, x, y, style, shape):
        """A point: a shape of its own for each style, so that colours are not needed."""
        shapes = {
            "dot": f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" class="{style}"/>',
            "square": f'<rect x="{x - 4.5:.1f}" y="{y - 4.5:.1f}" width="9" height="9" class="{style}"/>',
            "diamond": f'<path d="M{x:.1f} {y - 6.5:.1f} l6.5 6.5 -6.5 6.5 -6.5 -6.5z" class="{style}"/>',
        }
        self.parts.append(shapes[shape])

    def keys(self, x, *entries):
        """Says what the styles mean: `(style, shape or None for a bar, meaning)`."""
        for style, shape, meaning in entries:
            if shape:
                self.mark(x + 6, self.y, style, shape)
            else:
                self.rectangle(x, self.y - 5, 12, 10, style)
            self.text(x + 18, self.y + 4, meaning, "small")
            x += 34 + 6.6 * len(meaning)
        self.y += 18

    def columns(self, axis, rows_height, name, write=str):
        """The lines of an axis over rows of that height, with their values above."""
        self.y += 12
        for tick in axis.ticks:
            self.text(axis.at(tick), self.y, write(tick), "small", "middle")
            self.line(axis.at(tick), self.y + 6, axis.at(tick), self.y + 10 + rows_height, "grid")
        self.text(axis.left - 24, self.y, name, "small", "end")
        self.y += 10

    def __str__(self):
        height = self.y + MARGIN
        return "\n".join(
            [
                f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" width="{WIDTH}" '
                f'height="{height:.0f}" role="img">',
                f"<title>{html.escape(self.title)}</title>",
                f"<style>{STYLE}</style>",
                f'<rect x="0.5" y="0.5" width="{WIDTH - 1}" height="{height - 1:.0f}" rx="6" class="back"/>',
                *self.parts,
                "</svg>\n",
            ]
        )
