"""Checks that the links of Markdown pages lead to files that are there, and to headings in them.

A path of the project in a code span, such as `src/lib.rs`, has to be there too.
"""

import pathlib
import re
import subprocess
import sys

LINK = re.compile(r"\]\(([^)#\s]*)(?:#([^)\s]+))?\)")

PATH = re.compile(r"`((?:src|protocol|tests|benches|docs|fuzz|scripts|events|\.ci|\.github)/[\w./-]*)`")


def pages():
    listed = subprocess.run(["git", "ls-files", "*.md"], check=True, capture_output=True, text=True).stdout
    return [pathlib.Path(name) for name in listed.splitlines()]


def without_code(text):
    """The page without blocks of code, which may hold what looks like a link or a heading."""
    return re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)


def anchors(page):
    """The anchors that hosted Markdown makes of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", without_code(page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def problems_of(page):
    text = without_code(page.read_text())
    yield from (f"{page}: {path} is not there" for path in PATH.findall(text) if not pathlib.Path(path).exists())
    for target, anchor in LINK.findall(text):
        if target.startswith(("http:", "https:", "mailto:")):
            continue
        file = page.parent / target if target else page
        if not file.exists():
            yield f"{page}: {target} is not there"
        elif anchor and file.suffix == ".md" and anchor not in anchors(file):
            yield f"{page}: {target}#{anchor} has no heading"


def main():
    checked = pages()
    problems = [problem for page in checked for problem in problems_of(page)]
    print("\n".join(problems) or f"links: {len(checked)} pages lead where they say")
    sys.exit(1 if problems or not checked else 0)


if __name__ == "__main__":
    main()
