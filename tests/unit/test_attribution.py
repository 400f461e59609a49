"""For whom a call is, where body and headers both say it."""

from foz.canon.request import NOBODY, Attribution, over


def test_a_body_wins_over_headers_field_by_field() -> None:
    """What the body says counts; what it leaves out is taken from the headers."""
    headers = Attribution("h-project", "h-process", "h-sub", "h-user")

    assert over(Attribution(project="b", user_key="u"), headers) == Attribution("b", "h-process", "h-sub", "u")
    assert over(NOBODY, headers) is headers
    assert over(headers, NOBODY) is headers
    assert over(NOBODY, NOBODY) is NOBODY
