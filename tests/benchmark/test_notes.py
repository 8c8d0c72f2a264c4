from __future__ import annotations

import subprocess
import sys


def test_notes_are_printed_once_they_are_asked_for_and_what_others_log_is_not() -> None:
    program = (
        "import logging; from benchmark.notes import NOTES, print_notes\n"
        "NOTES.info('before'); print_notes(); print_notes()\n"
        "NOTES.info('%d of %d', 3, 7); NOTES.warning('left out'); logging.getLogger('other').info('chatter')\n"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert (ran.stdout, ran.stderr) == ("", "3 of 7\nleft out\n")
