"""Report of a finished run: tables, figures, video, HTML."""
