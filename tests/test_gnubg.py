"""GNU Backgammon as a player: the real program, and programs that misbehave."""

import json
import re
import sys

import jax
import numpy as np
import pytest
from engine_lines import program
from test_backgammon import position

from azero.answers import GIVEN_UP, Answer
from azero.cli import main
from azero.match import play_match
from azero.players import make_player
from games import make
from games.backgammon import PASS
from games.core import State

GAME = make("backgammon")
START = ({24: 2, 13: 5, 8: 3, 6: 5}, {1: 2, 12: 5, 17: 3, 19: 5})
FAKE = """
import sys, time
for line in sys.stdin:
    if line.startswith(">"):
        {}
"""


def one(state: State) -> State:
    return jax.tree.map(lambda leaf: np.asarray(leaf)[None], state)


def turn(text: str, state: State) -> list[str]:
    """The moves that a player makes until its turn is over."""
    player = make_player(text, "backgammon")[0]
    assert player.playing
    assert GAME.chance
    memory, moves = player.playing.begin(one(state)), []
    after = jax.jit(GAME.chance.after)
    while state.board.left.any():
        answer, memory = player.playing.answer(memory, one(state), jax.random.key(0), np.zeros(1, np.int32))
        assert answer.reason() == ""
        action = int(answer.action[0])
        moves.append(GAME.notation.move(state, action))
        state = after(state, action)
        if state.board.left.any():
            state = jax.jit(GAME.chance.happen)(state, 0)
    return moves


@pytest.mark.parametrize(
    ("dice", "moves"),
    [
        ([3, 1], {"8/5", "6/5"}),  # the openings that every book has
        ([6, 5], {"24/18", "18/13"}),
        ([4, 2], {"8/4", "6/4"}),
        ([6, 6, 6, 6], {"24/18", "13/7"}),
        ([6, 1], {"13/7", "8/7"}),
    ],
)
@pytest.mark.parametrize("text", ["gnubg", "gnubg:plies=2"])
def test_openings(text: str, dice: list[int], moves: set[str]) -> None:
    program("gnubg")
    played = turn(text, position(*START, dice))
    assert set(played) == moves
    assert len(played) == len(dice)


@pytest.mark.parametrize(
    ("mine", "other", "dice", "bar", "moves"),
    [
        ({5: 2, 3: 1}, {24: 15}, [6, 3], (0, 0), ["5/off(6)", "3/off"]),
        ({5: 1, 4: 1}, {24: 15}, [6, 5], (0, 0), ["5/off", "4/off(6)"]),
        ({1: 3, 2: 2}, {24: 15}, [1, 1, 1, 1], (0, 0), ["2/1", "1/off", "1/off", "1/off"]),
        ({6: 14}, {22: 1, 20: 2, 3: 12}, [5, 3], (1, 0), ["bar/22*"]),  # 22/17 may be played too
    ],
)
def test_turns(mine: dict, other: dict, dice: list[int], bar: tuple[int, int], moves: list[str]) -> None:
    """Bearing off, a double that is not borne off whole, and an entry that hits."""
    program("gnubg")
    assert turn("gnubg", position(mine, other, dice, bar))[: len(moves)] == moves


def test_a_match_of_whole_games() -> None:
    """Its moves are legal to the end of every game, and better than random ones in all of them."""
    program("gnubg")
    players = [make_player(text, "backgammon")[0] for text in ("gnubg", "random")]
    result = play_match(GAME, players[0], players[1], games=16)
    assert (result.wins, result.gave_up, result.openings) == (16, (0, 0), 8)


def test_it_passes_where_it_must() -> None:
    program("gnubg")
    state = position({13: 5, 8: 3, 6: 6}, {20: 2, 22: 2, 3: 11}, [5, 3], (1, 0))
    assert turn("gnubg", state) == ["pass"]


@pytest.mark.parametrize(
    ("does", "reason"),
    [
        ("sys.exit('no weights')", "crashed (exit code 1): no weights"),
        ("print('azero 10 7 9 8', flush=True)", "played 10/7 9/8, which is not legal"),
        ("print('azero', flush=True)", "played fewer moves than it must, which is not legal"),
        ("print('SystemError: NULL', flush=True)", "said 'SystemError: NULL'"),
        ("time.sleep(60)", "no move within 3 s"),
    ],
)
def test_one_that_misbehaves_forfeits(tmp_path, monkeypatch, does: str, reason: str) -> None:
    """Only the game in question: the next one is answered by a new process."""
    path = tmp_path / "gnubg"
    path.write_text(f"#!{sys.executable}\n{FAKE.format(does)}")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("azero.engines.gnubg.SECONDS", 3.0)
    player = make_player("gnubg", "backgammon")[0]
    assert player.playing
    state = one(position(*START, [3, 1]))

    def ask() -> Answer:
        memory = player.playing.begin(state)
        return player.playing.answer(memory, state, jax.random.key(0), np.zeros(1, np.int32))[0]

    answer = ask()
    assert answer.action.tolist() == [GIVEN_UP]
    assert answer.reason() == reason
    path.write_text(f"#!{sys.executable}\n" + FAKE.format("print('azero 8 5 6 5', flush=True)"))
    assert ask().action[0] not in (GIVEN_UP, PASS)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gnubg:plies=9", "gnubg:plies=9: plies must be 0 to 4, not 9"),
        ("gnubg:plys=2", "gnubg:plys=2: unknown option 'plys'; did you mean plies?"),
        ("gnubg", "gnubg: there is no program 'gnubg'; on Debian and Ubuntu, apt-get install gnubg"),
    ],
)
def test_what_is_refused(tmp_path, monkeypatch, text: str, message: str) -> None:
    if text == "gnubg":
        monkeypatch.setattr("azero.engines.program.ELSEWHERE", str(tmp_path))
        monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ValueError, match=re.escape(message)):
        make_player(text, "backgammon")


def test_other_games_and_begun_turns_are_refused() -> None:
    program("gnubg")
    with pytest.raises(ValueError, match=r"^gnubg plays backgammon, not tic_tac_toe$"):
        make_player("gnubg", "tic_tac_toe")
    player = make_player("gnubg", "backgammon")[0]
    assert player.playing
    begun = one(position(*START, [3]))
    with pytest.raises(ValueError, match=r"^gnubg plays whole turns, so a game must not begin within one$"):
        player.playing.answer(player.playing.begin(begun), begun, jax.random.key(0), np.zeros(1, np.int32))


def test_a_match_by_command(tmp_path, monkeypatch, capsys) -> None:
    """The record has the moves that were made; points are counted as backgammon does; no random moves come first."""
    program("gnubg")
    monkeypatch.chdir(tmp_path)
    assert main(["eval", "gnubg", "random", "--game", "backgammon", "--games", "4", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    mean, low, high = report["won"]
    assert low < mean < high
    assert 1 <= mean <= 3
    lines = (tmp_path / "matches/backgammon/gnubg-random/games.jsonl").read_text().splitlines()
    games = [json.loads(line) for line in lines]
    assert mean == pytest.approx(np.mean([game["won"] for game in games]))
    assert all(game["opening"] == 0 for game in games)
    for game in games:
        assert len(game["texts"]) == len(game["moves"])
        assert game["texts"][-1].split("(")[0].endswith("/off")
    record = (tmp_path / report["record"]).read_text()
    assert all(" ".join(game["texts"]) in record for game in games)
    assert main(["eval", "gnubg", "random", "--game", "backgammon", "--games", "4"]) == 0
    assert f"won {mean:+.3f} points a game" in capsys.readouterr().out
