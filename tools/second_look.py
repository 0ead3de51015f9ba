"""What failed beside others is run once more, alone.

Hundreds of cases with real servers, clocks and browsers share one machine of two cores with each other: once in some
runs one of them waits longer than its patience. A case that fails alone too has failed. One that passes alone counts as
passed, and is named in the summary, for whoever mends it next: it is a fault of the test, or a rare one of the program.
No second look: where a sanitizer found something, and when more than LIMIT programs or files failed in a run.
"""
import re

LIMIT = 6
FINDINGS = re.compile(r"(?:Address|Leak|Thread|Memory|UndefinedBehavior)Sanitizer|: runtime error: ")


class SecondLook:
    def __init__(self):
        self.left = LIMIT
        self.passed_alone = []

    def is_allowed(self, output, count=1):
        """Whether `count` programs or files, whose first run printed this, may be run once more."""
        if FINDINGS.search(output) or count > self.left:
            return False
        self.left -= count
        return True

    def judge(self, name, is_good):
        """Notes how it went alone, and returns it."""
        print(f"second look: {name} {'passed' if is_good else 'failed'} alone", flush=True)
        if is_good:
            self.passed_alone.append(name)
        return is_good

    def tell(self):
        for name in self.passed_alone:
            print(f"  failed once, passed alone: {name}")
