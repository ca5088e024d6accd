"""What azero bench prints."""

from collections.abc import Sequence
from typing import Any

from azero.commands.table import print_table

Rows = Sequence[dict[str, Any]]


def show_search(rows: Rows) -> None:
    """The table of both backends, whether they agree, how cost grows and where time goes."""
    from azero.bench.measure import short
    from azero.bench.search import breakdown, growth

    headings: tuple[str, ...] = (
        "game",
        "A",
        "batch",
        "simulations",
        "part",
        "mctx, sim/s",
        "azero, sim/s",
        "azero / mctx",
        "pairs",
    )
    headings += ("compile, s", "memory, MiB", "same visits")
    lines = []
    for row in rows:
        both = [f"{short(row[name])} ({_ends(row[f'{name}_range'])})" for name in ("mctx", "azero")]
        compiling = "{mctx:.1f}, {azero:.1f}".format_map(row["compile_seconds"])
        memory = ", ".join(f"{row['peak_bytes'][name] / 2**20:,.1f}" for name in ("mctx", "azero"))
        place = (row["game"], row["actions"], row["batch"], row["simulations"], row["part"])
        lines.append(
            (*place, *both, _ratio(row, "ratio"), row["pairs"], compiling, memory, f"{row['same_visits']:.1%}")
        )
    first = rows[0]
    kind = f"{first['algorithm']}, lanes {first['lanes']}, {_machine(rows)}"
    print_table(f"Simulations a second, {kind}", headings, lines, left=("game", "part"))
    print("median (least-greatest) of calls in turn; compile and memory: mctx, azero; memory: arguments, results and")
    agree = min(row["same_visits"] for row in rows)
    print(
        f"workspace of the compiled search; same visits: positions in which both visited the same, at least {agree:.1%}"
    )
    _show_growth(list(growth(rows)))
    _show_breakdown(list(breakdown(rows)), rows)


def _show_growth(found: Rows) -> None:
    if not found:
        return
    print()
    for row in found:
        few, many = row["few"], row["many"]
        shares = f"azero {row['azero']:.0%}, mctx {row['mctx']:.0%}"
        print(f"growth, {row['game']}, {row['part']}: simulations/s at {many} are {shares} of those at {few}")


def _show_breakdown(found: Rows, rows: Rows) -> None:
    alone = {
        (row["game"], row["batch"], row["simulations"], name): share
        for row in rows
        for name, share in row.get("not_network", {}).items()
    }
    lines = []
    for row in found:
        shares = [f"{row[part] / row['all']:.0%}" for part in ("tree", "rules", "network")]
        place = (row["game"], row["batch"], row["simulations"], row["backend"])
        micro = 1e6 * row["all"] / row["simulations"]
        lines.append((*place, *shares, f"{micro:,.0f}", f"{alone.pop(place):.0%}"))
    if lines:
        print()
        headings = (
            "game",
            "batch",
            "simulations",
            "search",
            "tree",
            "rules",
            "network",
            "us a simulation",
            "not network",
        )
        print_table("Where time goes: what each part adds", headings, lines, left=("game", "search"))
        print("us a simulation: of the whole batch; not network: share of the search beyond its evaluations made alone")
    for (game, batch, simulations, name), share in alone.items():
        print(f"not the network, {game}, {batch} games, {simulations} simulations, {name}: {share:.0%} of the search")


def show_selfplay(rows: Rows) -> None:
    """A line for each side."""
    from azero.bench.measure import short

    headings: tuple[str, ...] = (
        "game",
        "games",
        "simulations",
        "network",
        "side",
        "moves/s",
        "simulations/s",
        "azero / side",
    )
    headings += ("compile, s", "memory, MiB", "rounds")
    lines = []
    for row in rows:
        place = (row["game"], row["games"], row["simulations"], _network(row["network"]))
        for side in (side for side in ("azero", "mctx", "pgx") if side in row):
            speed = f"{row[side]:,.0f} ({_ends(row[f'{side}_range'])})"
            ratio = _ratio(row, f"ratio_{side}") if f"ratio_{side}" in row else "-"
            work = short(row[f"{side}_simulations_per_second"])
            costs = (f"{row[f'{side}_compile_seconds']:.1f}", f"{row[f'{side}_peak_bytes'] / 2**20:,.1f}")
            lines.append((*place, side, speed, work, ratio, *costs, row["rounds"]))
    print_table(f"Self-play, {_machine(rows)}", headings, lines, left=("game", "network", "side"))
    print("median (least-greatest) of calls in turn; mctx: azero with search.backend mctx; pgx: its example's loop")


def show_learning(rows: Rows) -> None:
    """The curve of each seed."""
    headings = ("seed", "seconds", "iteration", "moves", "network, %", "with search, %")
    lines = []
    for row in rows:
        place = (row["seed"], f"{row['seconds']:.0f}", row["iteration"], f"{row['moves']:,}")
        lines.append((*place, _share(row, "network"), _share(row, "search")))
    print_table(f"{rows[0]['game']}: strength against time (95 % interval)", headings, lines, left=())


def _share(row: dict[str, Any], name: str) -> str:
    low, high = row[f"{name}_interval"]
    return f"{100 * row[name]:.1f} ({100 * low:.1f}-{100 * high:.1f})"


def show_floor(found: Rows) -> None:
    """A table for each preset."""
    from azero.bench.measure import short

    for floor in found:
        needs, machine, seconds = floor["needs"], floor["machine"], floor["seconds"]
        of_one = needs["bytes"]
        lines = [
            ("parameters", f"{needs['parameters']:,}"),
            ("FLOP of a simulation", short(needs["flops"])),
            ("bytes of a simulation, network", "-" if of_one is None else short(of_one)),
            ("bytes of a simulation, tree node", short(needs["node_bytes"])),
            ("a large product, FLOP/s, one device and all", _pair(machine["product_flops"])),
            ("products of the network's shape, FLOP/s", _pair(machine["own_product_flops"])),
            ("copy, bytes/s, one device and all", _pair(machine["copy_bytes"])),
            ("self-play, moves/s", f"{floor['moves_per_second']:,.0f}"),
            ("self-play, evaluations/s", short(floor["evaluations_per_second"])),
            ("self-play, FLOP/s", short(floor["flops_reached"])),
            ("share of the large product", f"{floor['share_of_product']:.1%}"),
            ("share of the network's shape", f"{floor['share_of_own_product']:.1%}"),
            ("share of the copy", f"{floor['share_of_copy']:.1%}"),
            ("a move in all games, ms", f"{1e3 * seconds['selfplay']:,.2f}"),
        ]
        for part in ("network", "tree", "rules", "rest", "outside"):
            lines.append((f"  {PARTS[part]}", f"{seconds[part] / seconds['selfplay']:.1%}"))
        title = f"{floor['game']}, {floor['games']} games, {floor['simulations']} simulations, "
        title += f"{_network(floor['network'])}, {_machine([floor])}"
        print(title)
        print_table("", ("", "measured"), lines, left=("",))
        print()


PARTS = {
    "network": "the network's evaluations, made alone",
    "tree": "the tree",
    "rules": "the rules",
    "rest": "the rest of the search",
    "outside": "outside the search",
}


def _pair(rates: dict[str, float]) -> str:
    from azero.bench.measure import short

    return f"{short(rates['one'])}, {short(rates['all'])}"


def _ends(ends: Sequence[float]) -> str:
    from azero.bench.measure import short

    return "-".join(map(short, ends))


def _ratio(row: dict[str, Any], name: str) -> str:
    low, high = row[f"{name}_range"]
    return f"{row[name]:.2f} ({low:.2f}-{high:.2f})"


def _network(config: dict[str, Any]) -> str:
    return f"{config['kind']}:{config['blocks']}x{config['width']}"


def _machine(rows: Rows) -> str:
    devices = sorted({row["devices"] for row in rows})
    return f"{'/'.join(map(str, devices))} {rows[0]['device']} device(s)"
