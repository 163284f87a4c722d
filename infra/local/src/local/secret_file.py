from pathlib import Path


def write_secret(path: Path, text: str) -> None:
    """Write a file that other users can never read, and nobody sees half-written."""
    target = path.resolve()  # if the name is a link, it stays one
    partial = target.with_name(f"{target.name}.partial")
    partial.touch(mode=0o600)
    partial.chmod(0o600)
    partial.write_text(text)
    partial.replace(target)
