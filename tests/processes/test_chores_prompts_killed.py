"""Kill what comes before a prompt at any moment: the week's page is the old or the new one, and in the end just one."""

import itertools
from pathlib import Path

from test_chores_killed import FOREVER, contents, mortals, put


def test_weekly_audit_prep_killed_before_any_call(tmp_path: Path) -> None:
    with mortals("weekly_audit_prep") as run:
        for last in itertools.count(1):
            vault = tmp_path / str(last)
            (vault / ".aiemp").mkdir(parents=True)
            put(vault / "Prompts/weekly_audit_prep.md", "Write it.")
            put(vault / "Plans/a.md", "a plan")
            ended = run(vault, last)
            pages = list((vault / "Briefings").glob("[!.]*")) if (vault / "Briefings").exists() else []
            assert all(page.read_text().endswith("\n## Stale approvals\n\nNone.\n") for page in pages)
            assert run(vault, FOREVER)
            (name,) = contents(vault / "Briefings")
            assert name.endswith("_weekly_data.md")
            assert set(contents(vault)) == {"Prompts/weekly_audit_prep.md", "Plans/a.md", f"Briefings/{name}"}
            if ended:
                assert last > 10, "nothing was killed"
                return


def test_weekly_audit_prep_killed_over_its_own_page(tmp_path: Path) -> None:
    with mortals("weekly_audit_prep") as run:
        put(tmp_path / "Prompts/weekly_audit_prep.md", "Write it.")
        (tmp_path / ".aiemp").mkdir()
        assert run(tmp_path, FOREVER)
        for last in itertools.count(1):
            ended = run(tmp_path, last)
            (page,) = (tmp_path / "Briefings").glob("[!.]*")
            assert page.read_text().endswith("\n## Stale approvals\n\nNone.\n")
            if ended:
                break
        assert len(contents(tmp_path / "Briefings")) == 1, "what killed runs left is removed by the next"
