"""`make story`: runs the end-to-end story unattended; the last line is the verdict."""

import argparse
import sys
import tempfile
from pathlib import Path

from tests.story.story import browser, run_story, story_stack


def main() -> int:
    """Returns 0 if every message was answered once, by its own line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=Path, help="the directory for screenshots of every page")
    parser.add_argument("--runner-image", help="the runner in a container of this image (`make image` builds it)")
    arguments = parser.parse_args()
    if arguments.pictures is not None:
        arguments.pictures.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="answerline-story-") as directory:
        with story_stack(Path(directory), print, arguments.runner_image) as stack, browser() as people:
            result = run_story(stack, people, arguments.pictures, print)
        print(result.summary if result.is_good else result.summary.replace("story: ok", "story: FAILED"))
    return 0 if result.is_good else 1


if __name__ == "__main__":
    sys.exit(main())
