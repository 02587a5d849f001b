"""How the state of a flow run tells what the module that it ran has said."""

from flows.runtime.run_command import Result


def test_a_module_that_ended_well_or_with_a_verdict_is_told_by_its_sentence():
    assert Result("compare", 0, {"sentence": "It is better."}, "reports/x").state("Done.").message == "It is better."
    assert Result("compare", 0, {}, "reports/x").state("Done.").is_completed()
    failed = Result("promotion", 6, {"sentence": "It failed its checks."}, "x").state("")
    assert failed.is_failed() and failed.message == "It failed its checks."


def test_a_module_that_failed_is_told_by_its_last_line_and_a_killed_one_as_killed():
    assert Result("compare", 1, {}, "compare: there is none.").state("").message == "compare: there is none."
    assert Result("compare", 3, {}, "").state("").message == "compare: it ended with status 3."
    killed = Result("promotion", 137, {}, "loading it").state("")
    assert killed.is_failed() and killed.message == "promotion: it was killed (signal 9): run it again."
