"""Tables to paste: what the languages read as commands is escaped."""

from report.tables import latex, markdown, sortable


def test_markdown():
    found = markdown(["setting", "n"], [["a|b\nc", "5"]])
    assert found.splitlines() == ["| setting | n |", "| --- | ---: |", "| a\\|b c | 5 |"]


def test_latex():
    rows = [[r"lr_x=1%, \input{a}", "97.65 ± 0.60"]]
    found = latex(["setting", "top-1 (%)"], rows).splitlines()
    assert found[0] == r"\begin{tabular}{lr}"
    assert found[2] == r"setting & top-1 (\%) \\"
    assert found[4] == (r"lr\_x=1\%, \textbackslash{}input\{a\} & 97.65 $\pm$ 0.60 \\")
    assert found[-1] == r"\end{tabular}"


def test_numbers_sort_by_their_value():
    found = sortable(["<b>", "n"], [("a", (1200.0, "1,200")), ("b", (float("nan"), "–"))])
    assert "<button>&lt;b&gt;</button>" in found
    assert 'data-key="1200.0">1,200<' in found
    assert 'data-key="-1e+300">–<' in found
