"""The page in a real browser: games by mouse and by keyboard, preferences, runs, accessibility, narrow and dark.

With AZERO_SCREENSHOTS set, pictures of what is seen are written into docs/.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from reference_folder import write_reference, write_run
from served_page import free_port

import games
from azero.distill.comparisons import read_comparisons

pytest.importorskip("selenium", reason="needs selenium: pip install 'azero[dev]'")
CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(
    not (CHROMIUM and DRIVER),
    reason="needs a browser: apt-get install --no-install-recommends chromium chromium-driver",
)

HERE = Path(__file__).parent
DOCS = HERE.parent / "docs"
AUDIT = (HERE / "page_audit.js").read_text()
FRONT_DOOR = [sys.executable, "-c", "import sys; from azero.cli import main; sys.exit(main())"]
PATIENCE = 120  # seconds; a search may have to be compiled on a busy machine
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--no-first-run", "--window-size=1280,1000",
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("browser")
    write_reference(made / "ttt", "tic_tac_toe")
    rows = [
        {"iteration": n, "seconds": 3.0 * n, "policy_loss": 0.2 + 1 / n, "value_loss": 0.3 + 0.5 / n}
        | ({"kept_value": 1 - 0.5 / n, "kept_value_search": 1 - 0.3 / n} if n % 5 == 0 else {})
        for n in range(1, 61)
    ]
    write_run(made / "runs" / "first_try", made / "ttt", rows)
    return made


@pytest.fixture(scope="module")
def address(folder):
    """The page as a user starts it, by the command."""
    player = "checkpoints/tic_tac_toe" if os.environ.get("AZERO_SCREENSHOTS") else str(folder / "ttt")
    command = [*FRONT_DOOR, "serve", player, "--port", str(free_port())]
    with subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True) as process:
        line = process.stderr.readline()
        assert "tic_tac_toe" in line
        yield next(word for word in line.split() if word.startswith("http://"))
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
        assert process.stderr.read() == ""


@pytest.fixture(scope="module")
def chrome(address):
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in FLAGS:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture
def page(chrome, address):
    """A fresh page; at its end the console must be empty, and nobody else have been asked for anything."""
    seen = Seen(chrome, address)
    chrome.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    seen.colours("light")
    chrome.get("about:blank")
    seen.logs()
    yield seen
    assert seen.logs() == []


class Seen:
    """What a person does and sees."""

    def __init__(self, chrome, address):
        self.chrome, self.address = chrome, address

    def open(self, part="play"):
        self.chrome.get("about:blank")
        self.chrome.get(f"{self.address}#{part}")

    def run(self, script, *arguments):
        return self.chrome.execute_script(script, *arguments)

    def get(self, selector):
        return self.chrome.find_element("css selector", selector)

    def text(self, selector):
        return self.get(selector).text

    def until(self, what, wanted=bool):
        """Waits until what is seen is as wanted."""
        end = time.monotonic() + PATIENCE
        while not wanted(found := what()):
            if time.monotonic() > end:
                raise AssertionError(f"not in {PATIENCE} s; seen: {found!r}; trouble: {self.text('#trouble')!r}")
            time.sleep(0.05)
        return found

    def settled(self):
        """Waits until it is the person's turn and the search is shown, or the game is over."""
        ended = "['wins', 'win as', 'A draw'].some((words) => status.includes(words))"
        found = "document.querySelector('.thoughts') && document.getElementById('search').ariaBusy !== 'true'"
        turn = f"status.includes('Your move') && {found}"
        script = f"const status = document.getElementById('status').textContent; return Boolean({ended} || ({turn}))"
        self.until(lambda: self.run(script))
        return self.text("#status")

    def press(self, name):
        """Clicks the cell of this name with the mouse."""
        self.get(f'#board button[aria-label^="{name},"]').click()

    def choose(self, selector, value):
        from selenium.webdriver.support.ui import Select

        Select(self.get(selector)).select_by_value(value)

    def keys(self, *keys):
        from selenium.webdriver import ActionChains

        ActionChains(self.chrome).send_keys(*keys).perform()

    def colours(self, scheme):
        features = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        self.chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", features)

    def narrow(self, width=360):
        metrics = {"width": width, "height": 740, "deviceScaleFactor": 1, "mobile": True}
        self.chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def empty_cells(self):
        labels = self.run("return [...document.querySelectorAll('#board button')].map((one) => one.ariaLabel)")
        return [label.split(",")[0] for label in labels if "empty" in label]

    def faults(self):
        return self.run(AUDIT)

    def network(self, offline):
        conditions = {"offline": offline, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
        self.chrome.execute_cdp_cmd("Network.emulateNetworkConditions", conditions)

    def logs(self):
        """Errors on the console, and requests that went elsewhere, since the last call."""
        found = [entry["message"] for entry in self.chrome.get_log("browser") if entry["level"] == "SEVERE"]
        for entry in self.chrome.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                url = message["params"]["request"]["url"]
                if not url.startswith((self.address, "data:", "about:")):
                    found.append(f"asked for {url}")
        return found

    def picture(self, name):
        if os.environ.get("AZERO_SCREENSHOTS"):
            time.sleep(0.4)
            self.chrome.save_screenshot(str(DOCS / f"{name}.png"))


def test_a_whole_game_by_clicks(page):
    page.open()
    status = page.settled()
    assert "you are X" in status
    made = 0
    while "Your move" in status:
        page.press(page.empty_cells()[0])
        made += 1
        page.until(lambda: page.text("#record"), lambda record, made=made: len(record.split()) >= 3 * made - 1)
        status = page.settled()
    assert made >= 3
    assert any(words in status for words in ("wins", "win as", "A draw"))
    page.get("#back").click()
    page.until(lambda: page.text("#status"), lambda text: "Your move" in text)
    page.get("#new").click()
    assert page.until(page.empty_cells, lambda cells: len(cells) == 9)


def test_a_second_press_waits_for_the_answer(page):
    page.open()
    page.settled()
    first, second, *_ = page.empty_cells()
    page.run(
        "const press = (name) => document.querySelector(`#board button[aria-label^='${name},']`).click();"
        "[arguments[0], arguments[0], arguments[1]].forEach(press)",
        first,
        second,
    )
    page.until(lambda: page.text("#record"), lambda record: len(record.split()) == 3)  # the answer is the player's
    page.settled()
    assert page.text("#trouble") == ""
    assert len(page.empty_cells()) == 7


def test_a_move_that_does_not_arrive_is_not_made(page):
    page.open()
    page.settled()
    target = page.empty_cells()[0]
    page.network(offline=True)
    page.press(target)
    page.until(lambda: page.text("#trouble"))
    page.network(offline=False)
    assert len(page.empty_cells()) == 9
    assert "Your move" in page.text("#status")
    page.press(target)
    page.until(lambda: page.text("#record"), lambda record: len(record.split()) == 3)
    assert target in page.text("#record")
    assert all("ERR_INTERNET_DISCONNECTED" in entry for entry in page.logs())


def test_thinking_deeper_does_not_stop_the_players(page):
    page.open()
    page.settled()
    assert page.get("#deeper").is_enabled()
    page.run(
        "window.seen = []; new MutationObserver(() => seen.push([document.getElementById('status').textContent,"
        " document.getElementById('deeper').disabled])).observe(document.getElementById('thought'), {childList: true})"
    )
    page.press(page.empty_cells()[0])
    page.until(lambda: page.text("#record"), lambda record: len(record.split()) == 3)
    page.settled()
    during = [disabled for status, disabled in page.run("return seen") if "is thinking" in status]
    assert during
    assert all(during)


def test_a_whole_game_by_keyboard_as_the_second_player(page):
    from selenium.webdriver.common.keys import Keys

    page.open()
    page.settled()
    page.choose("#side", "1")
    page.until(lambda: page.text("#status"), lambda text: text.startswith("X played") and "you are O" in text)
    status = page.settled()
    focus = "return document.activeElement.getAttribute('role')"
    for _ in range(60):  # the board can be reached by Tab alone
        page.keys(Keys.TAB)
        if page.run(focus) == "gridcell":
            break
    assert page.run(focus) == "gridcell"
    outline = page.run("return getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
    while "Your move" in status:
        for key in (*[Keys.ARROW_UP] * 2, Keys.HOME):
            page.keys(key)
        target = page.empty_cells()[0]
        column, row = "abc".index(target[0]), 3 - int(target[1])
        for key in (*[Keys.ARROW_DOWN] * row, *[Keys.ARROW_RIGHT] * column):
            page.keys(key)
        assert page.run("return document.activeElement.ariaLabel").startswith(target)
        before = len(page.empty_cells())
        page.keys(Keys.ENTER)
        page.until(page.empty_cells, lambda cells, before=before: len(cells) < before)
        status = page.settled()
    assert any(words in status for words in ("wins", "win as", "A draw"))


def test_digits_play_columns(page):
    page.open()
    page.settled()
    page.choose("#game", "connect_four")
    page.until(page.empty_cells, lambda cells: len(cells) == 42)
    page.settled()
    page.get("#board button[tabindex='0']").send_keys("4")
    for digit in "43":
        made = len(page.text("#record").split())
        page.until(lambda: page.text("#record"), lambda record, made=made: len(record.split()) >= made // 3 * 3 + 3)
        page.settled()
        page.keys(digit)
    page.until(lambda: page.text("#record"), lambda record: len(record.split()) == 9)
    page.settled()
    page.picture("page_connect_four")
    assert len(page.empty_cells()) == 36


def test_moves_are_typed_too_and_bad_ones_are_explained(page):
    page.open()
    page.settled()
    page.get("#text").send_keys("z9")
    page.get("#type button").click()
    page.until(lambda: page.text("#trouble"), lambda text: "'z9' is not a square" in text)
    page.get("#text").clear()
    page.get("#text").send_keys("B2")
    page.get("#type button").click()
    page.until(lambda: page.text("#record"), lambda record: "b2" in record)
    refused = page.logs()  # the browser notes the refusal
    assert all("api/position" in entry and "400" in entry for entry in refused)


def test_the_search_is_laid_bare(page):
    page.open()
    page.settled()
    page.press("b2")
    page.until(lambda: page.text("#record"), lambda record: len(record.split()) == 3)
    page.settled()
    rows = page.run("return [...document.querySelectorAll('#moves tbody tr')].map((row) => row.innerText.split('\\t'))")
    assert sum(int(row[2]) for row in rows) == 64
    assert abs(sum(int(row[1].split()[0]) for row in rows) - 100) <= len(rows)
    page.until(
        lambda: page.run("return document.querySelectorAll('.badge-text').length"), lambda count: count == len(rows)
    )
    true = page.run("return [...document.querySelectorAll('#moves tbody .exact')].map((one) => one.innerText)")
    assert all(one == "draw" or " in " in one for one in true)
    assert page.run("return document.querySelectorAll('#board .thought-disc').length") == len(rows)
    assert "Expected" in page.text("#expected")
    assert page.get("#curve svg").get_attribute("aria-label").startswith("Value for X")
    page.picture("page_tic_tac_toe")
    page.get("#show").click()
    page.until(lambda: page.get("#search").is_displayed(), lambda displayed: not displayed)
    assert page.run("return document.querySelectorAll('.thoughts').length") == 0


def test_a_long_search_is_shown_while_it_goes_on(page):
    """Once it is known to be long: the second time that it is asked for."""
    page.open()
    page.choose("#game", "connect_four")
    page.settled()
    page.choose("#player-0", "rollout")
    page.choose("#level-0", "1024")
    page.until(lambda: page.text("#thought"), lambda text: "1024 simulations" in text)
    page.run("""
        const thought = document.getElementById('thought'), search = document.getElementById('search');
        window.said = [];
        const note = () => window.said.push([thought.textContent, search.ariaBusy]);
        new MutationObserver(note).observe(thought, { childList: true });
    """)
    page.get("#show").click()
    page.get("#show").click()
    said = page.until(lambda: page.run("return window.said"), lambda said: said and "1024 simulations" in said[-1][0])
    onward = [text for text, busy in said if busy == "true"]
    assert [int(text.split(" simulations")[0].split()[-1]) for text in onward] == [4, 16, 64, 256]
    assert all("searching on" in text for text in onward)
    assert said[-1][1] == "false"
    assert "searching on" not in said[-1][0]


def test_strength_goes_down_to_the_raw_network(page):
    page.open()
    page.settled()
    page.choose("#level-0", "0")
    page.until(lambda: page.text("#thought"), lambda text: "without a search" in text)
    assert page.get("#deeper").is_enabled()


def test_two_players_are_watched(page):
    page.open("watch")
    page.choose("#player-1", "random")
    page.get("#step").click() if page.get("#step").is_enabled() else None
    page.get("#run").click()
    page.until(lambda: page.text("#status"), lambda text: any(words in text for words in (" wins.", "A draw")))
    assert 5 <= len([word for word in page.text("#record").split() if not word.endswith(".")]) <= 9


def test_pieces_are_picked_up_and_put_down(page):
    page.open()
    page.settled()
    page.get("#show").click()  # so that no search need be compiled
    page.choose("#game", "animal_shogi")
    page.until(lambda: page.run("return document.querySelectorAll('#board text.koma-name').length"), lambda n: n == 8)
    page.choose("#player-0", "random")
    page.get("#show").click()
    page.settled()
    page.press("2c")
    assert page.run("return document.querySelectorAll('#board .target').length") == 1
    assert "picked up" in page.text("#status")
    page.press("2b")  # takes the chick, which then is in hand
    page.until(lambda: page.text("#hand-near"), lambda text: text.startswith("C"))
    page.until(lambda: page.text("#record"), lambda record: len(record.split()) == 3)


@pytest.mark.parametrize("by", ["mouse", "key"])
def test_which_is_better(page, folder, by):
    file = folder / "comparisons.jsonl"
    before = file.read_text().count("\n") if file.exists() else 0
    page.open("better")
    page.until(lambda: page.text("#question"), lambda text: "Which is better" in text)
    page.run("localStorage.clear()")
    page.get("#source").clear()
    page.get("#prefer-a").click()
    assert "Say who you are" in page.text("#trouble")
    page.get("#source").send_keys("Ada")
    page.picture("page_which_is_better")
    assert page.faults() == []
    if by == "mouse":
        page.get("#prefer-b").click()
    else:
        page.run("document.activeElement.blur()")
        page.keys("b")
    page.until(lambda: page.text("#given"), lambda text: text.startswith("1 answer given"))
    page.until(lambda: page.text("#question"), lambda text: "Which is better" in text)
    first = read_comparisons(games.make("tic_tac_toe"), str(file))[2]
    assert len(first) == before + 1
    assert first[-1] == 0.0
    assert json.loads(file.read_text().splitlines()[-1])["source"] == "Ada"


def test_runs_are_shown(page):
    page.open("runs")
    page.until(lambda: page.run("return document.querySelectorAll('#run-page svg').length"), lambda count: count == 3)
    assert "kept value (search) 99.5 %" in page.text("#run-list")  # 1 - 0.3 / 60
    assert "There is none yet" in page.text("#run-page")
    page.picture("page_runs")
    assert page.faults() == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("wide", [True, False], ids=["wide", "narrow"])
def test_it_can_be_read_and_used(page, scheme, wide):
    page.colours(scheme)
    if not wide:
        page.narrow()
    page.open()
    page.settled()
    paper = page.run("return getComputedStyle(document.documentElement).backgroundColor")
    assert (sum(map(int, paper[4:-1].split(", "))) < 300) == (scheme == "dark")
    for part in ("play", "watch", "better", "runs"):
        page.run("location.hash = arguments[0]", f"#{part}")
        page.until(lambda: page.text("nav a[aria-current]"))
        ready = {"better": "#better-board .letter", "runs": "#run-page svg"}.get(part, "#board .thoughts")
        page.until(lambda ready=ready: page.run("return document.querySelector(arguments[0])", ready))
        assert page.faults() == []
        assert page.run("return document.documentElement.scrollWidth <= document.documentElement.clientWidth"), part
        if part == "play" and scheme == "dark" and not wide:
            page.picture("page_narrow_dark")
    page.run("location.hash = '#play'")
    page.settled()
    page.get("#show").click()  # so that no search need be compiled
    for game in ("connect_four", "hex"):
        page.choose("#game", game)
        page.until(
            lambda: page.run("return document.querySelectorAll('#board button').length"), lambda n: n in (42, 121)
        )
        assert page.run("return document.documentElement.scrollWidth <= document.documentElement.clientWidth"), game


def test_the_audit_finds_faults(page):
    page.open()
    page.settled()
    page.run(
        "document.body.insertAdjacentHTML('beforeend', '<button></button><i id=\"main\">x</i><nav></nav>');"
        "document.querySelector('#thought').className = 'faint';"
        "document.querySelector('#thought').style.color = '#bbb'"
    )
    found = " ".join(page.faults())
    for fault in ("button has no name", "main is there twice", "one nav", "p#thought.faint"):
        assert fault in found


def test_the_theme_is_kept(page):
    page.open()
    page.settled()
    page.get("#theme").click()
    assert page.text("#theme") == "Theme: dark"
    page.open()
    page.settled()
    assert page.text("#theme") == "Theme: dark"
    assert page.run("return getComputedStyle(document.documentElement).backgroundColor") == "rgb(23, 22, 19)"
    page.run("localStorage.clear()")
