from pathlib import Path


def write_secret(path: Path, text: str) -> None:
    """Write a file that is never readable by others, not even for a moment."""
    path.touch(mode=0o600)
    path.chmod(0o600)
    path.write_text(text)
