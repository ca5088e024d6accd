"""Results as a table of text on stdout."""

from collections.abc import Iterable, Sequence

WIDE = 160  # columns where nothing says how many there are


def print_table(title: str, headings: Sequence[str], rows: Iterable[Sequence[object]], left: Sequence[str]) -> None:
    """Prints a table.

    Args:
      headings: of the columns.
      rows: a cell for each column.
      left: the headings whose columns are text and stand on the left; numbers stand on the right.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    # All of it as Text, for in a plain str what stands in brackets, as the options of a player, is taken for markup.
    said = Text(title, "table.title") if title else None
    table = Table(title=said, title_justify="left", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in headings:
        table.add_column(Text(heading), justify="left" if heading in left else "right", no_wrap=True)
    for row in rows:
        table.add_row(*(Text(str(cell)) for cell in row))
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=WIDE)
    console.print(table)
