"""Cron expressions: which ones are taken, and what is said about the others."""

import pytest

from orchestrator.schedule.cron import check_cron


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("0 9 * * 1-5", "0 9 * * 1-5"),
        ("  0\t9 *  * mon-FRI ", "0 9 * * mon-FRI"),
        ("@hourly", "0 * * * *"),
        ("@daily", "0 0 * * *"),
        ("@weekly", "0 0 * * 0"),
        ("@monthly", "0 0 1 * *"),
        ("@yearly", "0 0 1 1 *"),
        ("*/15 0-8/2,20 L,15 jan,7-9 5#2,5L", "*/15 0-8/2,20 L,15 jan,7-9 5#2,5L"),
        ("0 0 29 2 *", "0 0 29 2 *"),
        ("0 0 29 2 */7", "0 0 29 2 */7"),  # 29 February on a Sunday: next in 2032
        ("0 0 31 2 1", "0 0 31 2 1"),  # the 31st or a Monday
    ],
)
def test_cron_expressions_as_they_are_kept(expression: str, expected: str) -> None:
    assert check_cron(expression) == expected


@pytest.mark.parametrize(
    ("expression", "complaint"),
    [
        ("", r'is "", which has 0 fields; five are needed, minute, hour, day of the month'),
        ("0 9 * *", "has 4 fields; five"),
        ("0 0 9 * * 1-5", "has 6 fields; five .* no seconds"),
        ("@reboot", "is unknown; allowed: @hourly @daily @weekly @monthly @yearly"),
        ("@daily 5", "is unknown"),
        ("60 9 * * *", 'has "60" as its minute; allowed: 0 to 59'),
        ("0 24 * * *", 'has "24" as its hour; allowed: 0 to 23'),
        ("0 9 0 * *", 'has "0" as its day of the month; allowed: 1 to 31'),
        ("0 9 * 13 *", 'has "13" as its month; allowed: 1 to 12, or jan to dec'),
        ("0 9 * * 8", 'has "8" as its day of the week; allowed: 0 to 7'),
        ("0 9 * * mon-", "day of the week"),
        ("5-1 9 * * *", "as its minute"),
        ("*/0 9 * * *", "as its minute"),
        ("0 9 ? * *", "as its day of the month"),
        ("0 9 * * ſun", "as its day of the week"),
        ("٣ 9 * * *", "as its minute"),
        ("1/2/3 9 * * *", "as its minute"),
        ("9" * 5000 + " 9 * * *", "as its minute"),
        ("1L * * * *", "as its minute"),
        ("0 0 31 2 *", 'is "0 0 31 2 \\*", which never fires; a day that its months have'),
        ("0 0 31 4,6,9,11 *", "never fires"),
        ("0 0 30 2 */2", "never fires"),
        ("0 0 30,31 2 *", "never fires"),
    ],
)
def test_wrong_cron_expressions_are_named_with_what_is_allowed(expression: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint) as caught:
        check_cron(expression)
    assert len(str(caught.value)) < 400
    assert "\n" not in str(caught.value)
