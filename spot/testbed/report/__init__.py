"""Reports: what a run showed, for people (terminal, page), programs (JSON) and CI (JUnit).

write_report(result)          results/<scenario>/<time>/report.json report.html junit.xml
print_result(console, result) a table in the terminal
write_summary(directory)      one page over all runs below a directory
"""

from spot.testbed.report.document import BrokenReport, Report, as_report, read_report
from spot.testbed.report.listing import StoredRun, UnknownRun, find_run, list_runs
from spot.testbed.report.summary import write_summary
from spot.testbed.report.terminal import print_report, print_result
from spot.testbed.report.writing import write_report

__all__ = [
    "BrokenReport",
    "Report",
    "StoredRun",
    "UnknownRun",
    "as_report",
    "find_run",
    "list_runs",
    "print_report",
    "print_result",
    "read_report",
    "write_report",
    "write_summary",
]
