from pathlib import Path


def write_secret(path: Path, text: str) -> None:
    """Write a file that is never readable by others, and never half-written, not for a moment."""
    target = path.resolve()  # the name may be a link, which stays
    partial = target.with_name(f"{target.name}.partial")
    partial.touch(mode=0o600)
    partial.chmod(0o600)
    partial.write_text(text)
    partial.replace(target)
