"""What watchers print and the daemon logs: files that rotate between lines, and `tail` over all of them."""

import re

from harness import PATIENT, SLEEPER, Site, until

pytestmark = PATIENT

# Writes numbered lines in two halves, far more than the log files of its configuration hold, then waits.
FLOODS = """[supervisor.logs]
max_bytes = "64 KiB"
backups = 200
[watchers.floods]
command = ["sh", "-c", '''
i=0
while [ $i -lt 10000 ]; do i=$((i+1)); echo line $i of the flood; done
until [ -e go ]; do sleep 0.02; done
while [ $i -lt 20000 ]; do i=$((i+1)); echo line $i of the flood; done
exec sleep 1000''']
start_seconds = "0s"
"""


def test_rotation_keeps_every_line_whole_and_tail_follows_across_it(site: Site) -> None:
    site.configure(FLOODS)
    (site.vault / "Logs/watchers").mkdir(parents=True)
    wanted = [f"line {number} of the flood" for number in range(1, 20001)]
    with site.following("tail", "floods", "-f") as from_the_start:
        site.start()
        until(lambda: wanted[9999] in site.log("floods"), "the first half")
        with site.following("tail", "-f", "floods", "-n", "3") as from_the_middle:
            until(lambda: from_the_middle.read_text().splitlines() == wanted[9997:10000], "the second follower")
            (site.vault / "go").touch()
            until(lambda: wanted[-1] in site.log("floods"), "the flood's end")
            files = site.parts("watchers/floods")
            assert len(files) > 5
            assert all(path.stat().st_size <= 64 * 1024 for path in files)
            assert [line for path in files for line in path.read_text().splitlines()] == wanted
            until(lambda: from_the_start.read_text().splitlines() == wanted, "all at the first follower")
            until(lambda: from_the_middle.read_text().splitlines() == wanted[9997:], "all at the second one")


def test_only_so_many_older_files_are_kept_and_tail_reads_them_all(site: Site) -> None:
    # The watcher's deaths fill the daemon's own log meanwhile, for which the same limits hold.
    ends = site.script("ends", "exit 1")
    site.start(
        text='[supervisor.logs]\nmax_bytes = "4 KiB"\nbackups = 2\n'
        '[watchers.floods]\ncommand = ["sh", "-c", "seq 1 5000; exec sleep 1000"]\nstart_seconds = "0s"\n'
        f'[watchers.ends]\ncommand = ["{ends}"]\nbackoff = {{ initial = 0 }}\ncrash_loop = {{ max_restarts = 99 }}\n'
    )
    until(lambda: site.log("floods").endswith("\n5000\n"), "the flood's end")
    site.wait_for("ends", "paused")
    until(lambda: "ends: " in site.log() and "paused" in site.log(), "the pause in the log")
    for name in ("watchers/floods", "aiemp"):
        files = site.parts(name)
        assert [path.name.partition(".log")[2] for path in files] == [".2", ".1", ""]
        assert all(path.stat().st_size <= 4096 for path in files)
    kept = [line for path in site.parts("watchers/floods") for line in path.read_text().splitlines()]
    assert kept == [str(number) for number in range(5001 - len(kept), 5001)]
    assert len(kept) > 1600
    lines = [line for path in site.parts("aiemp") for line in path.read_text().splitlines()]
    assert [line for line in lines if not re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ [A-Z]+ ", line)] == []
    newest = len((site.vault / "Logs/watchers/floods.log").read_text().splitlines())
    for words in (("floods", "-n", str(newest + 100)), ("-n", "99999", "fl*"), ("watcher", "flood?", "-n", "2")):
        shown = site.ctl("tail", *words)
        count = min(len(kept), int(words[words.index("-n") + 1]))
        assert (shown.returncode, shown.stdout.splitlines()) == (0, kept[-count:])
    assert site.ctl("tail", "*").returncode == 2  # one at a time


def test_a_line_that_is_longer_than_a_file_may_be_stays_whole(site: Site) -> None:
    says = site.python("says", 'print("before")\nprint("x" * 20_000)\nprint("after", flush=True)\ntime.sleep(1000)')
    site.start(
        text='[supervisor.logs]\nmax_bytes = "4 KiB"\nbackups = 9\n'
        f'[watchers.says]\ncommand = {says}\nstart_seconds = "0s"\n'
    )
    until(lambda: site.log("says").endswith("after\n"), "the last line")
    texts = [path.read_text() for path in site.parts("watchers/says")]
    assert "".join(texts) == "before\n" + "x" * 20_000 + "\nafter\n"
    assert any("x" * 20_000 + "\n" in text for text in texts)
    assert all(text.endswith("\n") for text in texts)


def test_a_newline_missing_at_a_processs_end_is_added_before_the_next_ones_output(site: Site) -> None:
    says = site.script(
        "says", "test -e second && { echo whole; exec sleep 1000; }\n> second\nprintf 'one\\nhalf'\nexit 1"
    )
    site.start(text=f'[watchers.says]\ncommand = ["{says}"]\nstart_seconds = "0s"\nbackoff = {{ initial = 0 }}\n')
    until(lambda: "whole" in site.log("says"), "the successor's output")
    assert site.log("says") == "one\nhalf\nwhole\n"


def test_output_is_kept_as_written_and_tail_shows_it(site: Site) -> None:
    talks = site.script("talks", r"printf 'one\ntwo \377\nthree'; echo bad >&2; exec sleep 1000")
    site.start(text=f'[watchers.one]\ncommand = ["{talks}"]\nstart_seconds = "0s"\n')
    path = site.vault / "Logs/watchers/one.log"
    until(lambda: path.exists() and path.read_bytes().endswith(b"bad\n"), "the output")
    assert path.read_bytes() == b"one\ntwo \xff\nthreebad\n"
    assert site.ctl("tail", "one", "-n", "1").stdout == "threebad\n"


def test_tail_needs_no_daemon(site: Site) -> None:
    site.start(text=f'[watchers.says]\ncommand = ["seq", "1", "30"]\nrestart = "never"\n{SLEEPER}')
    site.wait_for("says", "exited")
    until(lambda: site.log("says").endswith("30\n"), "the output")
    assert site.stop() == 0
    for words in (("says",), ("watcher", "says"), ("sa*",)):
        shown = site.ctl("tail", *words)
        assert (shown.returncode, shown.stdout) == (0, "".join(f"{number}\n" for number in range(21, 31))), shown.stderr
    assert (site.ctl("tail", "sleeper").returncode, site.ctl("tail", "sleeper").stdout) == (0, "")
    assert site.ctl("tail", "nonesuch").returncode == 2
