"""What the exporter says when it cannot go on."""


class ExportError(Exception):
    """One line that names the file, and the tensor or entry, that is wrong."""
