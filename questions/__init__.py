"""The questions: what is asked of a log, and of a bundle as of a log. They read, and print nothing."""
