"""`make story`: the whole story unattended; its last line is the verdict."""

import argparse
import sys
import tempfile
from pathlib import Path

from tests.story.story import browser, tell, told_stack


def main() -> int:
    """0 if the story ended well."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=Path, help="where to put screenshots of every page")
    parser.add_argument("--runner-image", help="the runner in a container of this image (`make image` builds it)")
    arguments = parser.parse_args()
    if arguments.pictures is not None:
        arguments.pictures.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="answerline-story-") as directory:
        with told_stack(Path(directory), print, arguments.runner_image) as stack, browser() as people:
            told = tell(stack, people, arguments.pictures, print)
        print(told.line if told.ended_well else told.line.replace("story: ok", "story: FAILED"))
    return 0 if told.ended_well else 1


if __name__ == "__main__":
    sys.exit(main())
